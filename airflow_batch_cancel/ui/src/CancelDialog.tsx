import { followCancel, HttpError, type Plan, planCancel, type Progress, request, type Row, type Scope, startCancel } from "./api";
import { plural } from "./format";
import { ChakraUI, React } from "./host";
import { StateBadge } from "./StateBadge";
import { usePolling } from "./usePolling";

const {
  Alert,
  Box,
  Button,
  CloseButton,
  Dialog,
  Field,
  HStack,
  Input,
  Portal,
  Progress: ProgressBar,
  RadioGroup,
  Spinner,
  Stack,
  Table,
  Text,
  Textarea,
} = ChakraUI;

const REASON_LENGTH = 1024;
const ROWS_SHOWN = 200;
const choices = [
  { label: "Terminate them now", value: "terminate" },
  { label: "Let them finish, and terminate what is left after", value: "drain" },
  { label: "Leave them running", value: "leave" },
] as const;

type Choice = (typeof choices)[number]["value"];

const secondsOf = (choice: Choice, minutes: number): number | null => {
  if (choice === "leave") {
    return null;
  }
  return choice === "drain" ? minutes * 60 : 0;
};

const Totals = ({ totals }: { readonly totals: Record<string, number> }) => (
  <HStack gap={2} wrap="wrap">
    {Object.entries(totals).map(([word, count]) => (
      <HStack gap={1} key={word}>
        <Text fontWeight="bold">{count.toLocaleString("en")}</Text>
        <StateBadge word={word} />
      </HStack>
    ))}
  </HStack>
);

const Rows = ({ label, leftOut = 0, rows }: { readonly label: string; readonly leftOut?: number; readonly rows: Array<Row> }) => (
  <Box borderWidth={1} maxH="34vh" overflowY="auto" rounded="md" tabIndex={0}>
    <Table.Root aria-label={label} size="sm" striped>
      <Table.Body>
        {rows.slice(0, ROWS_SHOWN).map((row) => (
          <Table.Row data-job-id={row.job_id} key={row.job_id}>
            <Table.Cell w="1%">
              <StateBadge word={row.outcome || (row.action ?? null)} />
            </Table.Cell>
            <Table.Cell>
              <Text fontWeight="medium" overflowWrap="anywhere">
                {row.job_name || row.job_id}
              </Text>
              <Text color="fg.muted" fontSize="xs" overflowWrap="anywhere">
                {row.message}
              </Text>
              {row.is_retried === true ? (
                <Text color="fg.warning" fontSize="xs">
                  {`Task ${row.task_id}${(row.map_index ?? -1) < 0 ? "" : ` [${row.map_index}]`} is marked failed, too: it has retries left, and would submit another job`}
                </Text>
              ) : undefined}
            </Table.Cell>
          </Table.Row>
        ))}
      </Table.Body>
    </Table.Root>
    {rows.length > ROWS_SHOWN || leftOut > 0 ? (
      <Text color="fg.muted" fontSize="sm" p={2}>
        and {(rows.length + leftOut - Math.min(rows.length, ROWS_SHOWN)).toLocaleString("en")} more
      </Text>
    ) : undefined}
  </Box>
);

const Failure = ({ children, title }: { readonly children?: React.ReactNode; readonly title: string }) => (
  <Alert.Root status="error">
    <Alert.Indicator />
    <Alert.Content>
      <Alert.Title>{title}</Alert.Title>
      {children === undefined ? undefined : <Alert.Description>{children}</Alert.Description>}
    </Alert.Content>
  </Alert.Root>
);

/** Ask for the plan anew whenever what is asked for changes. */
const usePlan = (scope: Scope, jobIds: Array<string> | null, reason: string, seconds: number | null) => {
  const [state, setState] = React.useState<{ error?: string; plan?: Plan }>({});
  const empty = reason.trim() === "";
  React.useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      planCancel(scope, request(scope, jobIds, empty ? "-" : reason, seconds))
        .then((plan) => current && setState({ plan }))
        .catch((error: unknown) => current && setState({ error: String((error as Error).message) }));
    }, 150);
    return () => {
      current = false;
      clearTimeout(timer);
    };
    // The plan is the same whatever the reason says.
  }, [scope, jobIds, seconds]);
  return state;
};

const Ask = ({
  jobIds,
  onStarted,
  scope,
  user,
}: {
  readonly jobIds: Array<string> | null;
  readonly onStarted: (progress: Progress) => void;
  readonly scope: Scope;
  readonly user: string;
}) => {
  const [reason, setReason] = React.useState(`Cancelled by ${user} in the Airflow UI`);
  const [choice, setChoice] = React.useState<Choice>("terminate");
  const [minutes, setMinutes] = React.useState("10");
  const [starting, setStarting] = React.useState(false);
  const [failure, setFailure] = React.useState<string>();
  const drain = Number(minutes);
  const badMinutes = choice === "drain" && !(drain > 0 && drain <= 7 * 24 * 60);
  const seconds = badMinutes ? 0 : secondsOf(choice, drain);
  const { error, plan } = usePlan(scope, jobIds, reason, seconds);
  const length = reason.trim().length;
  const badReason = length < 1 || length > REASON_LENGTH;
  const due = plan?.jobs.filter(({ action }) => action === "CANCEL" || action === "TERMINATE" || (action === "WAIT" && choice === "drain"));

  const start = async () => {
    setStarting(true);
    setFailure(undefined);
    try {
      onStarted(await startCancel(scope, request(scope, plan?.jobs.map((row) => row.job_id) ?? jobIds, reason, seconds)));
    } catch (raised) {
      setFailure(raised instanceof HttpError ? raised.message : String(raised));
      setStarting(false);
    }
  };

  return (
    <>
      <Dialog.Body>
        <Stack gap={4}>
          <Field.Root invalid={badReason} required>
            <Field.Label>Reason</Field.Label>
            <Textarea
              autoresize
              data-autofocus
              maxLength={REASON_LENGTH}
              onChange={(event) => setReason(event.target.value)}
              rows={2}
              value={reason}
            />
            <HStack justify="space-between" w="full">
              <Field.HelperText>AWS Batch keeps it on each job as its status reason</Field.HelperText>
              <Text color={badReason ? "fg.error" : "fg.muted"} data-testid="reason-counter" fontSize="xs">
                {length} / {REASON_LENGTH}
              </Text>
            </HStack>
          </Field.Root>
          <Box>
            <RadioGroup.Root
              aria-label="Jobs that have started"
              colorPalette="button"
              onValueChange={({ value }) => setChoice(value as Choice)}
              value={choice}
            >
              <Text fontSize="sm" fontWeight="medium" mb={2}>
                Jobs that have started
              </Text>
              <Stack gap={2}>
                {choices.map(({ label, value }) => (
                  <HStack key={value}>
                    <RadioGroup.Item value={value}>
                      <RadioGroup.ItemHiddenInput />
                      <RadioGroup.ItemIndicator />
                      <RadioGroup.ItemText>{label}</RadioGroup.ItemText>
                    </RadioGroup.Item>
                    {value === "drain" ? (
                      <>
                        <Input
                          aria-label="Minutes"
                          disabled={choice !== "drain"}
                          max={10_080}
                          min={1}
                          onChange={(event) => setMinutes(event.target.value)}
                          size="xs"
                          type="number"
                          value={minutes}
                          w="80px"
                        />
                        <Text fontSize="sm">minutes</Text>
                      </>
                    ) : undefined}
                  </HStack>
                ))}
              </Stack>
            </RadioGroup.Root>
            {badMinutes ? (
              <Text color="fg.error" fontSize="sm" mt={1}>
                Minutes: from 1 to 10,080, which is a week
              </Text>
            ) : undefined}
          </Box>
          {error === undefined ? undefined : <Failure title="There is no plan">{error}</Failure>}
          {plan === undefined && error === undefined ? (
            <HStack>
              <Spinner size="sm" /> <Text>Looking at the jobs</Text>
            </HStack>
          ) : undefined}
          {plan === undefined ? undefined : (
            <Stack aria-live="polite" gap={2}>
              <HStack justify="space-between">
                <Text fontSize="sm" fontWeight="medium">
                  What will happen
                </Text>
                <Totals totals={plan.totals} />
              </HStack>
              {plan.jobs.length === 0 ? <Text>All the jobs have finished: there is nothing to cancel.</Text> : <Rows label="Plan" rows={plan.jobs} />}
            </Stack>
          )}
          {failure === undefined ? undefined : <Failure title="Nothing was cancelled">{failure}</Failure>}
        </Stack>
      </Dialog.Body>
      <Dialog.Footer>
        <Dialog.ActionTrigger asChild>
          <Button variant="outline">Close</Button>
        </Dialog.ActionTrigger>
        <Button
          colorPalette="danger"
          disabled={due === undefined || due.length === 0 || badReason || badMinutes}
          loading={starting}
          onClick={() => void start()}
        >
          {due === undefined ? "Cancel" : `Cancel ${plural(due.length, "job")}`}
        </Button>
      </Dialog.Footer>
    </>
  );
};

const Follow = ({ onOver, scope, started }: { readonly onOver: () => void; readonly scope: Scope; readonly started: Progress }) => {
  const load = React.useCallback(() => followCancel(scope, started.cancel_id), [scope, started.cancel_id]);
  const { data = started, error } = usePolling(load, ({ state }) => state !== "RUNNING", 700);
  const over = data.state !== "RUNNING";
  React.useEffect(() => (over ? onOver() : undefined), [onOver, over]);
  const heading = over
    ? data.ok === true
      ? "All jobs are stopped as asked"
      : "Some jobs are not stopped"
    : `${data.settled.toLocaleString("en")} of ${plural(data.total, "job")} settled`;
  return (
    <>
      <Dialog.Body>
        <Stack aria-live="polite" gap={4}>
          <Text data-testid="cancel-progress" fontWeight="medium">
            {heading}
          </Text>
          <Text color="fg.muted" fontSize="sm" overflowWrap="anywhere">
            {`Reason: ${started.reason}`}
          </Text>
          <ProgressBar.Root
            aria-label="Jobs settled"
            colorPalette={over && data.ok !== true ? "danger" : "success"}
            max={Math.max(1, data.total)}
            value={data.settled}
          >
            <ProgressBar.Track>
              <ProgressBar.Range />
            </ProgressBar.Track>
          </ProgressBar.Root>
          {data.error === "" ? undefined : <Failure title="The cancel was not carried out to its end">{data.error}. Cancel again what still runs.</Failure>}
          {error === undefined ? undefined : (
            <Alert.Root status="warning">
              <Alert.Indicator />
              <Alert.Content>
                <Alert.Title>The progress can not be read</Alert.Title>
                <Alert.Description>
                  {error.message}. The table shows how the jobs stand; cancel again those that are not stopping.
                </Alert.Description>
              </Alert.Content>
            </Alert.Root>
          )}
          {data.totals === undefined ? undefined : <Totals totals={data.totals} />}
          {data.jobs === undefined ? undefined : <Rows label="Outcomes" leftOut={data.jobs_left_out} rows={data.jobs} />}
          {over ? undefined : (
            <Text color="fg.muted" fontSize="sm">
              It goes on when this dialog is closed.
            </Text>
          )}
        </Stack>
      </Dialog.Body>
      <Dialog.Footer>
        <Dialog.ActionTrigger asChild>
          <Button variant="outline">Close</Button>
        </Dialog.ActionTrigger>
      </Dialog.Footer>
    </>
  );
};

type Props = {
  readonly jobIds: Array<string> | null;
  readonly onChanged: () => void;
  readonly onClose: () => void;
  readonly scope: Scope;
  readonly title: string;
  readonly user: string;
};

/** The plan first, then a reason, then what becomes of each job. */
export const CancelDialog = ({ jobIds, onChanged, onClose, scope, title, user }: Props) => {
  const [started, setStarted] = React.useState<Progress>();
  const begin = (progress: Progress) => {
    setStarted(progress);
    onChanged();
  };
  return (
    <Dialog.Root lazyMount onOpenChange={({ open }) => !open && onClose()} open size="lg" unmountOnExit>
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content>
            <Dialog.Header>
              <Dialog.Title>{title}</Dialog.Title>
            </Dialog.Header>
            {started === undefined ? (
              <Ask jobIds={jobIds} onStarted={begin} scope={scope} user={user} />
            ) : (
              <Follow onOver={onChanged} scope={scope} started={started} />
            )}
            <Dialog.CloseTrigger asChild>
              <CloseButton size="sm" />
            </Dialog.CloseTrigger>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
};

