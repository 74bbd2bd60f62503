/** What the states, outcomes and actions are called here, and the colours of Airflow's theme that they have. */

export type Look = { icon: string; label: string; meaning: string; palette: string };

/** Paths on a grid of 16 by 16, drawn with a stroke. */
const icons = {
  arrow: "M5 3l7 5-7 5z",
  check: "M3 8.5l3.5 3.5L13 4.5",
  clock: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 5v3.5l2.5 1.5",
  cross: "M4 4l8 8M12 4l-8 8",
  dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  question: "M5.5 6a2.5 2.5 0 114 2c-1 .7-1.5 1-1.5 2M8 13h.01",
  ring: "M8 2a6 6 0 100 12A6 6 0 008 2z",
  spin: "M8 2a6 6 0 106 6",
  stop: "M4 4h8v8H4z",
};

const looks: Record<string, Look> = {
  ALREADY_FINISHED: { icon: icons.check, label: "Already finished", meaning: "Had ended before anything was asked of it", palette: "none" },
  CANCEL: { icon: icons.stop, label: "Cancel", meaning: "It has not started, and is dropped", palette: "skipped" },
  CANCELLED: { icon: icons.stop, label: "Cancelled", meaning: "Stopped before it started", palette: "skipped" },
  DENIED: { icon: icons.cross, label: "Denied", meaning: "A permission is missing, or the credentials are refused", palette: "failed" },
  ERROR: { icon: icons.cross, label: "Error", meaning: "AWS answered with another error", palette: "failed" },
  FAILED: { icon: icons.cross, label: "Failed", meaning: "It has ended, and not well", palette: "failed" },
  FINISHED: { icon: icons.check, label: "Finished", meaning: "Ended by itself after it was asked to stop", palette: "none" },
  LEAVE: { icon: icons.arrow, label: "Leave", meaning: "It has started, and is left alone", palette: "none" },
  LEFT_RUNNING: { icon: icons.arrow, label: "Left running", meaning: "It has started, and was left alone", palette: "running" },
  NOTHING: { icon: icons.check, label: "Nothing", meaning: "It has finished", palette: "none" },
  NOT_FOUND: { icon: icons.question, label: "Not found", meaning: "AWS Batch does not know the job", palette: "failed" },
  PENDING: { icon: icons.clock, label: "Pending", meaning: "It waits for other jobs, or is an array", palette: "scheduled" },
  RUNNABLE: { icon: icons.dots, label: "Runnable", meaning: "It waits for a place to run", palette: "queued" },
  RUNNING: { icon: icons.spin, label: "Running", meaning: "Its container runs", palette: "running" },
  STARTING: { icon: icons.arrow, label: "Starting", meaning: "Its container starts", palette: "restarting" },
  STOPPING: { icon: icons.clock, label: "Stopping", meaning: "The stop was accepted, and the job has not ended yet", palette: "deferred" },
  SUBMITTED: { icon: icons.ring, label: "Submitted", meaning: "AWS Batch has taken it in", palette: "none" },
  SUCCEEDED: { icon: icons.check, label: "Succeeded", meaning: "It has ended well", palette: "success" },
  TERMINATE: { icon: icons.cross, label: "Terminate", meaning: "It has started, and is killed", palette: "upstream_failed" },
  TERMINATED: { icon: icons.stop, label: "Terminated", meaning: "Stopped after it had started", palette: "upstream_failed" },
  WAIT: { icon: icons.clock, label: "Wait", meaning: "It may finish by itself before it is terminated", palette: "scheduled" },
  WAITING_ON_DEPENDENCIES: {
    icon: icons.clock,
    label: "Waiting on dependencies",
    meaning: "The stop was accepted; the job stays PENDING until the jobs it depends on have ended",
    palette: "deferred",
  },
};

export const lookOf = (word: string | null): Look =>
  looks[word ?? ""] ?? {
    icon: icons.question,
    label: word ?? "Not visible",
    meaning: word === null ? "AWS Batch does not show this job: see the message above, or it ended days ago" : "A state that is new",
    palette: "none",
  };

/** The order of a job's life, for sorting. */
export const lifeOrder = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"];
