import { type Job, listJobs, type Scope } from "./api";
import { CancelDialog } from "./CancelDialog";
import { formatTime, plural } from "./format";
import { ChakraUI, React } from "./host";
import { JobsTable, type Sort, sortJobs } from "./JobsTable";
import { StateBadge } from "./StateBadge";
import { usePolling } from "./usePolling";
import { lifeOrder, lookOf } from "./words";

const { Alert, Box, Button, ButtonGroup, Center, Flex, Heading, HStack, Input, NativeSelect, Skeleton, Spacer, Stack, Text } = ChakraUI;

const PAGE = 50;
const FIRST_PAUSE = 3000;
const NOT_VISIBLE = "NOT_VISIBLE";
const NOT_ALLOWED = "You may not cancel jobs here: that needs the permission to edit this Dag's runs";

type Asked = { jobIds: Array<string> | null; title: string };

const matches = (job: Job, words: Array<string>) => {
  const text = [job.job_name, job.job_id, job.task_id, job.job_queue, job.status_reason, job.map_index].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
};

const Message = ({ children, status, title }: { readonly children?: React.ReactNode; readonly status: "error" | "info" | "warning"; readonly title: string }) => (
  <Alert.Root status={status}>
    <Alert.Indicator />
    <Alert.Content>
      <Alert.Title>{title}</Alert.Title>
      {children === undefined ? undefined : <Alert.Description overflowWrap="anywhere">{children}</Alert.Description>}
    </Alert.Content>
  </Alert.Root>
);

const StateCounts = ({ jobs, onChoose, state }: { readonly jobs: Array<Job>; readonly onChoose: (state: string) => void; readonly state: string }) => {
  const counts = new Map<string, number>();
  jobs.forEach((job) => counts.set(job.status ?? NOT_VISIBLE, (counts.get(job.status ?? NOT_VISIBLE) ?? 0) + 1));
  const known = [...lifeOrder, ...counts.keys()].filter((word, index, all) => counts.has(word) && all.indexOf(word) === index);
  return (
    <HStack gap={1} wrap="wrap">
      {known.map((word) => (
        <Button
          aria-label={`Show ${lookOf(word === NOT_VISIBLE ? null : word).label} only`}
          aria-pressed={state === word}
          h={8}
          key={word}
          onClick={() => onChoose(state === word ? "" : word)}
          px={1}
          size="xs"
          variant={state === word ? "subtle" : "ghost"}
        >
          {counts.get(word)?.toLocaleString("en")} <StateBadge word={word === NOT_VISIBLE ? null : word} />
        </Button>
      ))}
    </HStack>
  );
};

export const BatchJobs = ({ dagId, mapIndex, runId, taskId }: Scope) => {
  const scope = React.useMemo(() => ({ dagId, mapIndex, runId, taskId }), [dagId, mapIndex, runId, taskId]);
  const load = React.useCallback(() => listJobs(scope), [scope]);
  const { data, error, refresh, updatedAt } = usePolling(load, ({ jobs, problems }) => problems.length === 0 && jobs.every((job) => job.finished), FIRST_PAUSE);
  const [text, setText] = React.useState("");
  const [state, setState] = React.useState("");
  const [sort, setSort] = React.useState<Sort>({ descending: true, key: "created" });
  const [page, setPage] = React.useState(0);
  const [selected, setSelected] = React.useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = React.useState<Asked>();

  const jobs = data?.jobs ?? [];
  const live = jobs.filter((job) => !job.finished);
  const canCancel = data?.can_cancel ?? false;
  const why = canCancel ? undefined : NOT_ALLOWED;
  const shown = React.useMemo(() => {
    const words = text.toLowerCase().split(/\s+/u).filter(Boolean);
    const found = (data?.jobs ?? []).filter((job) => (state === "" || (job.status ?? NOT_VISIBLE) === state) && matches(job, words));
    return sortJobs(found, sort);
  }, [data, text, state, sort]);
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  const current = Math.min(page, pages - 1);
  const chosen = live.filter((job) => selected.has(job.job_id));
  const selectable = shown.filter((job) => !job.finished);
  const selection = chosen.length === 0 ? false : selectable.every((job) => selected.has(job.job_id)) ? true : "indeterminate";

  const filter = (change: () => void) => {
    change();
    setPage(0);
  };
  const toggle = React.useCallback((job: Job) => {
    setSelected((before) => {
      const after = new Set(before);
      if (!after.delete(job.job_id)) {
        after.add(job.job_id);
      }
      return after;
    });
  }, []);
  const toggleAll = () => setSelected(selection === true ? new Set() : new Set(selectable.map((job) => job.job_id)));
  const cancelOne = React.useCallback((job: Job) => setAsked({ jobIds: [job.job_id], title: `Cancel ${job.job_name ?? job.job_id}` }), []);

  if (error?.status === 403 || error?.status === 404) {
    return <Message status="error" title={error.status === 404 ? "This run is not there any more" : "You may not see these jobs"}>{error.message}</Message>;
  }
  if (data === undefined) {
    return error === undefined ? (
      <Stack aria-label="Loading" gap={2} p={2}>
        {[0, 1, 2].map((row) => (
          <Skeleton h={10} key={row} />
        ))}
      </Stack>
    ) : (
      <Message status="error" title="The Batch jobs can not be read">
        {error.message}
      </Message>
    );
  }

  return (
    <Stack data-testid="batch-jobs" gap={3} p={2}>
      <Flex align="center" gap={3} wrap="wrap">
        <Heading size="md">{plural(jobs.length, "Batch job")}</Heading>
        <StateCounts jobs={jobs} onChoose={(word) => filter(() => setState(word))} state={state} />
        <Spacer />
        <Text color="fg.muted" fontSize="xs">
          {updatedAt === undefined ? "" : `Updated ${formatTime(new Date(updatedAt).toISOString()).slice(11)}`}
        </Text>
        <Button onClick={refresh} size="sm" variant="outline">
          Refresh
        </Button>
      </Flex>
      {error === undefined ? undefined : (
        <Message status="warning" title="The jobs could not be read again; this is how they were">
          {error.message}
        </Message>
      )}
      {data.problems.map((problem) => (
        <Message key={problem} status="warning" title="Not all can be seen">
          {problem}
        </Message>
      ))}
      {jobs.length === 0 ? (
        <Center minH="160px">
          <Stack align="center" gap={1}>
            <Text fontWeight="medium">No Batch jobs</Text>
            <Text color="fg.muted">{`No task of this ${taskId === undefined ? "run" : "instance"} has submitted a job to AWS Batch yet.`}</Text>
          </Stack>
        </Center>
      ) : (
        <>
          <Flex align="center" gap={2} wrap="wrap">
            <Input
              aria-label="Search jobs"
              maxW="320px"
              onChange={(event) => filter(() => setText(event.target.value))}
              placeholder="Search by name, id, task, queue or reason"
              size="sm"
              type="search"
              value={text}
            />
            <NativeSelect.Root maxW="180px" size="sm">
              <NativeSelect.Field aria-label="State" onChange={(event) => filter(() => setState(event.target.value))} value={state}>
                <option value="">All states</option>
                {lifeOrder.map((word) => (
                  <option key={word} value={word}>
                    {lookOf(word).label}
                  </option>
                ))}
              </NativeSelect.Field>
              <NativeSelect.Indicator />
            </NativeSelect.Root>
            <Spacer />
            {canCancel ? undefined : (
              <Text color="fg.muted" fontSize="sm">
                {NOT_ALLOWED}
              </Text>
            )}
            <Button
              colorPalette="danger"
              disabled={!canCancel || chosen.length === 0}
              onClick={() => setAsked({ jobIds: chosen.map((job) => job.job_id), title: `Cancel ${plural(chosen.length, "selected job")}` })}
              size="sm"
              title={why}
              variant="outline"
            >
              {`Cancel selected (${chosen.length.toLocaleString("en")})…`}
            </Button>
            <Button
              colorPalette="danger"
              disabled={!canCancel || live.length === 0}
              onClick={() => setAsked({ jobIds: null, title: `Cancel all jobs of this ${taskId === undefined ? "run" : "task instance"}` })}
              size="sm"
              title={why}
            >
              {`Cancel all (${live.length.toLocaleString("en")})…`}
            </Button>
          </Flex>
          <Box overflowX="auto">
            <JobsTable
              canCancel={canCancel}
              jobs={shown.slice(current * PAGE, (current + 1) * PAGE)}
              onCancel={cancelOne}
              onSort={setSort}
              onToggle={toggle}
              onToggleAll={toggleAll}
              scope={scope}
              selected={selected}
              selection={selection}
              sort={sort}
              why={why}
            />
          </Box>
          {shown.length === 0 ? <Text color="fg.muted">No job is like that.</Text> : undefined}
          {pages > 1 ? (
            <HStack justify="space-between">
              <Text color="fg.muted" fontSize="sm">
                {`${current * PAGE + 1} to ${Math.min(shown.length, (current + 1) * PAGE)} of ${shown.length.toLocaleString("en")}`}
              </Text>
              <ButtonGroup aria-label="Pages" size="sm" variant="outline">
                <Button disabled={current === 0} onClick={() => setPage(current - 1)}>
                  Previous
                </Button>
                <Button disabled={current >= pages - 1} onClick={() => setPage(current + 1)}>
                  Next
                </Button>
              </ButtonGroup>
            </HStack>
          ) : undefined}
        </>
      )}
      {asked === undefined ? undefined : (
        <CancelDialog
          jobIds={asked.jobIds}
          onChanged={refresh}
          onClose={() => setAsked(undefined)}
          scope={scope}
          title={asked.title}
          user={data.user}
        />
      )}
    </Stack>
  );
};
