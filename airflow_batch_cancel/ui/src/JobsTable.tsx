import type { Job, Scope } from "./api";
import { Elapsed } from "./Elapsed";
import { formatAge, formatSeconds, formatTime, secondsBetween } from "./format";
import { ChakraUI, React, RouterLink } from "./host";
import { StateBadge } from "./StateBadge";
import { lifeOrder } from "./words";

const { Box, Button, Checkbox, Code, HStack, Icon, IconButton, Link, Progress, Table, Text } = ChakraUI;

type Column = { by: (job: Job) => number | string; key: string; label: string };

const duration = (job: Job) => secondsBetween(job.started_at, job.stopped_at) ?? -1;

const columns: Array<Column> = [
  { by: (job) => lifeOrder.indexOf(job.status ?? ""), key: "state", label: "State" },
  { by: (job) => job.job_name ?? job.job_id, key: "name", label: "Job" },
  { by: (job) => `${job.task_id} ${String(job.map_index + 1).padStart(6, "0")}`, key: "task", label: "Task" },
  { by: (job) => job.try_number, key: "try", label: "Try" },
  { by: (job) => job.job_queue ?? "", key: "queue", label: "Queue" },
  { by: (job) => job.created_at ?? "", key: "created", label: "Created" },
  { by: duration, key: "duration", label: "Duration" },
];

export type Sort = { descending: boolean; key: string };

export const sortJobs = (jobs: Array<Job>, { descending, key }: Sort): Array<Job> => {
  const by = columns.find((column) => column.key === key)?.by ?? (() => 0);
  const sign = descending ? -1 : 1;
  return jobs
    .map((job) => ({ job, value: by(job) }))
    .sort((one, other) => (one.value < other.value ? -sign : one.value > other.value ? sign : 0))
    .map(({ job }) => job);
};

const taskPath = ({ dagId, runId }: Scope, job: Job) => {
  const path = `/dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}/tasks/${encodeURIComponent(job.task_id)}`;
  return job.map_index < 0 ? path : `${path}/mapped/${job.map_index}`;
};

const ArrayProgress = ({ job }: { readonly job: Job }) => {
  const size = job.array_size ?? 0;
  const count = (...states: Array<string>) => states.reduce((sum, state) => sum + (job.array_summary?.[state] ?? 0), 0);
  const ended = count("SUCCEEDED", "FAILED");
  const text = job.finished
    ? `${count("SUCCEEDED")} of ${size} succeeded`
    : `${count("STARTING", "RUNNING")} of ${size} running, ${ended} ended`;
  return (
    <Box maxW="160px" mt={1}>
      <Progress.Root aria-label={text} max={size} size="xs" value={ended}>
        <Progress.Track>
          <Progress.Range />
        </Progress.Track>
      </Progress.Root>
      <Text color="fg.muted" fontSize="xs" whiteSpace="nowrap">
        {text}
      </Text>
    </Box>
  );
};

const CopyId = ({ jobId }: { readonly jobId: string }) => {
  const [copied, setCopied] = React.useState(false);
  const copy = () => {
    void navigator.clipboard?.writeText(jobId).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  return (
    <IconButton aria-label={`Copy the id ${jobId}`} h={5} minW={5} onClick={copy} size="2xs" title="Copy the id" variant="ghost">
      <Icon asChild boxSize={3}>
        <svg aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="1.5" viewBox="0 0 16 16">
          <path d={copied ? "M3 8.5l3.5 3.5L13 4.5" : "M6 5.5h7.5V13H6zM10 5.5V3H2.5v7.5H6"} />
        </svg>
      </Icon>
    </IconButton>
  );
};

const Tick = ({
  checked,
  disabled = false,
  label,
  onChange,
}: {
  readonly checked: boolean | "indeterminate";
  readonly disabled?: boolean;
  readonly label: string;
  readonly onChange: () => void;
}) => (
  <Checkbox.Root checked={checked} colorPalette="button" disabled={disabled} onCheckedChange={onChange} size="sm">
    <Checkbox.HiddenInput aria-label={label} />
    <Checkbox.Control />
  </Checkbox.Root>
);

type RowProps = {
  readonly canCancel: boolean;
  readonly checked: boolean;
  readonly job: Job;
  readonly onCancel: (job: Job) => void;
  readonly onToggle: (job: Job) => void;
  readonly scope: Scope;
  readonly why: string | undefined;
};

/** A row is drawn anew only when something about its job has changed. */
const JobRow = React.memo(
  ({ canCancel, checked, job, onCancel, onToggle, scope, why }: RowProps) => (
    <Table.Row data-job-id={job.job_id} data-selected={checked ? "" : undefined}>
      <Table.Cell w={8}>
        <Tick
          checked={checked}
          disabled={!canCancel || job.finished}
          label={`Select ${job.job_name ?? job.job_id}`}
          onChange={() => onToggle(job)}
        />
      </Table.Cell>
      <Table.Cell>
        <HStack gap={1} wrap="wrap">
          <StateBadge word={job.status} />
          {job.outcome === null ? undefined : <StateBadge word={job.outcome} />}
        </HStack>
        {job.array_size === undefined || job.array_size === null ? undefined : <ArrayProgress job={job} />}
      </Table.Cell>
      <Table.Cell maxW="420px">
        <Text fontWeight="medium" overflowWrap="anywhere">
          {job.job_name}
        </Text>
        <HStack gap={1}>
          <Code bg="transparent" color="fg.muted" fontSize="xs" px={0} whiteSpace="nowrap">
            {job.job_id}
          </Code>
          <CopyId jobId={job.job_id} />
          {job.console_url === "" ? undefined : (
            <Link
              aria-label={`Open ${job.job_id} in the AWS console`}
              fontSize="xs"
              href={job.console_url}
              rel="noopener noreferrer"
              target="_blank"
              whiteSpace="nowrap"
            >
              AWS ↗
            </Link>
          )}
        </HStack>
        {job.status_reason === undefined || job.status_reason === "" ? undefined : (
          <Text color="fg.muted" fontSize="xs" lineClamp={2} overflowWrap="anywhere" title={job.status_reason}>
            {job.status_reason}
          </Text>
        )}
      </Table.Cell>
      {scope.taskId === undefined ? (
        <Table.Cell whiteSpace="nowrap">
          <Link asChild color="fg.info">
            <RouterLink to={taskPath(scope, job)}>
              {job.task_id}
              {job.map_index < 0 ? "" : ` [${job.map_index}]`}
            </RouterLink>
          </Link>
        </Table.Cell>
      ) : undefined}
      <Table.Cell>{job.try_number}</Table.Cell>
      <Table.Cell>{job.job_queue}</Table.Cell>
      <Table.Cell whiteSpace="nowrap">
        {job.created_at === undefined || job.created_at === null ? undefined : (
          <>
            {formatTime(job.created_at)}
            <Text color="fg.muted" fontSize="xs">
              <Elapsed format={(seconds) => `${formatAge(seconds)} ago`} from={job.created_at} />
            </Text>
          </>
        )}
      </Table.Cell>
      <Table.Cell whiteSpace="nowrap">
        <Elapsed format={formatSeconds} from={job.started_at} to={job.stopped_at} />
      </Table.Cell>
      <Table.Cell textAlign="end">
        {job.finished ? undefined : (
          <Button
            aria-label={`Cancel ${job.job_name ?? job.job_id}`}
            colorPalette="danger"
            disabled={!canCancel}
            onClick={() => onCancel(job)}
            size="xs"
            title={why}
            variant="outline"
          >
            Cancel…
          </Button>
        )}
      </Table.Cell>
    </Table.Row>
  ),
  (before, after) =>
    before.canCancel === after.canCancel &&
    before.checked === after.checked &&
    before.scope === after.scope &&
    JSON.stringify(before.job) === JSON.stringify(after.job),
);

type Props = {
  readonly canCancel: boolean;
  readonly jobs: Array<Job>;
  readonly onCancel: (job: Job) => void;
  readonly onSort: (sort: Sort) => void;
  readonly onToggle: (job: Job) => void;
  readonly onToggleAll: () => void;
  readonly scope: Scope;
  readonly selected: ReadonlySet<string>;
  readonly selection: boolean | "indeterminate";
  readonly sort: Sort;
  readonly why: string | undefined;
};

export const JobsTable = ({ canCancel, jobs, onCancel, onSort, onToggle, onToggleAll, scope, selected, selection, sort, why }: Props) => (
  <Table.Root aria-label="Batch jobs" size="sm" striped>
    <Table.Header bg="bg" position="sticky" top={0} zIndex={1}>
      <Table.Row>
        <Table.ColumnHeader>
          <Tick checked={selection} disabled={!canCancel} label="Select all jobs that have not finished" onChange={onToggleAll} />
        </Table.ColumnHeader>
        {columns
          .filter(({ key }) => key !== "task" || scope.taskId === undefined)
          .map(({ key, label }) => {
            const sorted = sort.key === key;
            const direction = sort.descending ? "descending" : "ascending";
            return (
              <Table.ColumnHeader aria-sort={sorted ? direction : "none"} key={key} paddingBlock={1} whiteSpace="nowrap">
                <Button
                  border={0}
                  fontWeight="bold"
                  gap={1}
                  onClick={() => onSort({ descending: sorted && !sort.descending, key })}
                  p={0}
                  size="sm"
                  variant="plain"
                >
                  {label}
                  <Text aria-hidden="true" as="span" color={sorted ? "fg" : "fg.subtle"} fontSize="xs">
                    {sorted ? (sort.descending ? "▼" : "▲") : "↕"}
                  </Text>
                </Button>
              </Table.ColumnHeader>
            );
          })}
        <Table.ColumnHeader />
      </Table.Row>
    </Table.Header>
    <Table.Body>
      {jobs.map((job) => (
        <JobRow
          canCancel={canCancel}
          checked={selected.has(job.job_id)}
          job={job}
          key={job.job_id}
          onCancel={onCancel}
          onToggle={onToggle}
          scope={scope}
          why={why}
        />
      ))}
    </Table.Body>
  </Table.Root>
);
