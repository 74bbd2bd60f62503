import { ChakraUI, React } from "./host";
import { lookOf } from "./words";

const { Badge, Icon } = ChakraUI;

/** A state, outcome or action, in the look of Airflow's own state badges. */
export const StateBadge = ({ word }: { readonly word: string | null }) => {
  const { icon, label, meaning, palette } = lookOf(word);
  return (
    <Badge
      borderRadius="full"
      color={`${palette}.contrast`}
      colorPalette={palette}
      fontSize="sm"
      gap={1}
      px={2}
      py={1}
      title={`${word ?? ""} ${meaning}`.trim()}
      variant="solid"
      whiteSpace="nowrap"
    >
      <Icon asChild boxSize={3}>
        <svg aria-hidden="true" fill="none" stroke="currentColor" strokeLinecap="round" strokeWidth="2" viewBox="0 0 16 16">
          <path d={icon} />
        </svg>
      </Icon>
      {label}
    </Badge>
  );
};
