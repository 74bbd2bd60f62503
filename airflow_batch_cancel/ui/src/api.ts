/** The HTTP API of the plugin, as `ui/api.py` answers it. */

export type Job = {
  array_size?: number | null;
  array_summary?: Record<string, number>;
  console_url: string;
  created_at?: string | null;
  finished: boolean;
  is_retried: boolean;
  job_id: string;
  job_name?: string;
  job_queue?: string;
  map_index: number;
  outcome: string | null;
  started_at?: string | null;
  status: string | null;
  status_reason?: string;
  stopped_at?: string | null;
  task_id: string;
  try_number: number;
};

export type Listing = { can_cancel: boolean; jobs: Array<Job>; problems: Array<string>; user: string };

/** A job in a plan, or in the record of a cancel, which has less to say. */
export type Row = {
  action?: string;
  is_retried?: boolean;
  job_id: string;
  job_name: string;
  map_index?: number;
  message: string;
  outcome: string;
  task_id?: string;
};

export type Plan = { jobs: Array<Row>; totals: Record<string, number> };

export type Progress = {
  cancel_id: string;
  error: string;
  jobs?: Array<Row>;
  jobs_left_out?: number;
  ok?: boolean;
  reason: string;
  settled: number;
  state: "BROKEN" | "INTERRUPTED" | "OVER" | "RUNNING";
  total: number;
  totals?: Record<string, number>;
};

export type CancelRequest = {
  job_ids: Array<string> | null;
  map_index: number | null;
  reason: string;
  task_id: string | null;
  terminate_after: number | null;
};

/** The run, or the task instance, that the page is about. */
export type Scope = { dagId: string; mapIndex?: string; runId: string; taskId?: string };

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const fromRoot = (path: string) => new URL(path, document.baseURI).href;

const explain = async (response: Response): Promise<string> => {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (Array.isArray(detail)) {
      return detail.map((one: { loc: Array<string>; msg: string }) => `${one.loc.slice(1).join(".")}: ${one.msg}`).join("; ");
    }
    return typeof detail === "string" ? detail : text;
  } catch {
    return `Airflow answered ${response.status} ${response.statusText}`;
  }
};

const call = async <T>(scope: Scope, path: string, body?: unknown): Promise<T> => {
  const run = `batch-cancel/dags/${encodeURIComponent(scope.dagId)}/dagRuns/${encodeURIComponent(scope.runId)}`;
  let response: Response;
  try {
    response = await fetch(
      fromRoot(`${run}/${path}`),
      body === undefined
        ? { headers: { Accept: "application/json" } }
        : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, method: "POST" },
    );
  } catch {
    throw new HttpError(0, "The Airflow API server does not answer");
  }
  if (response.ok) {
    return (await response.json()) as T;
  }
  const message = await explain(response);
  if (response.status === 401 || (response.status === 403 && message === "Invalid JWT token")) {
    globalThis.location.assign(fromRoot(`api/v2/auth/login?next=${encodeURIComponent(globalThis.location.href)}`));
  }
  throw new HttpError(response.status, message);
};

const ofTask = ({ mapIndex, taskId }: Scope) => ({
  map_index: taskId === undefined ? null : Number(mapIndex ?? -1),
  task_id: taskId ?? null,
});

export const listJobs = (scope: Scope) => {
  const { map_index: mapIndex, task_id: taskId } = ofTask(scope);
  const query = taskId === null ? "" : `?${new URLSearchParams({ map_index: String(mapIndex), task_id: taskId }).toString()}`;
  return call<Listing>(scope, `jobs${query}`);
};

export const request = (
  scope: Scope,
  jobIds: Array<string> | null,
  reason: string,
  terminateAfter: number | null,
): CancelRequest => ({ ...ofTask(scope), job_ids: jobIds, reason, terminate_after: terminateAfter });

export const planCancel = (scope: Scope, body: CancelRequest) => call<Plan>(scope, "plan", body);

export const startCancel = (scope: Scope, body: CancelRequest) => call<Progress>(scope, "cancels", body);

export const followCancel = (scope: Scope, cancelId: string) => call<Progress>(scope, `cancels/${cancelId}`);
