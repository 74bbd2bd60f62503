"""
What must be true after a campaign, judged on the simulator's own record.

A *healthy job stopped* is one that somebody stopped although nothing that happened gave cause: while it was
alive, nobody touched its task or run, its worker did not die, and AWS did not fail it. What a death gives
cause for depends on where the task lives then: a task in a worker dies with it by design (a scheduler with
LocalExecutor takes its workers along, an API server that is away lets them miss their heartbeats), and so
does one whose DescribeJobs fails for long; a deferred one survives all of that. A job that nobody waits for
is its run's, which may fail with any of its tasks. A triggerer's death, freeze or move never is a cause, nor
is a key that is replaced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.plan import AWS, USER

Json = Mapping[str, Any]

FINISHED = ("SUCCEEDED", "FAILED")
LIVE_STATES = ("running", "deferred", "queued", "scheduled", "restarting", "up_for_reschedule")
WORKER_SECONDS = 45.0
"""How long a task that goes on without a worker may need one around the submit of its job."""
LATE_SECONDS = 15.0
"""How long after a death a submit that was under way may still make its job."""


@dataclass(frozen=True)
class Happened:
    """
    Something that has happened, in Batch's time.

    :param run_id: whose, for what happens to a run or task
    :param map_index: whose; None for the whole run
    :param queue: where, for what AWS did wrong
    """

    kind: str
    began: float
    ended: float
    run_id: str = ""
    map_index: int | None = None
    queue: str = ""
    note: str = ""


def gives_cause(event: Happened, job: Json) -> bool:
    """Whether a job may be stopped for something that happened."""
    stopped = job["stoppedAt"] or float("inf")
    if not (event.began <= stopped and job["createdAt"] <= event.ended + LATE_SECONDS):
        return False
    if event.kind in USER or event.kind == "heartbeat_timeout":
        if event.run_id != job["tags"]["airflow_run_id"]:
            return False
        index = int(job["tags"]["airflow_map_index"])
        return event.map_index in (None, index) or mode_of(job) == "no_wait"
    if event.kind == "rotate":
        return False
    if event.kind in AWS:
        detached = mode_of(job) == "no_wait"
        denied = event.kind == "expired" and not detached
        return event.queue == job_queue(job) and (denied or _in_worker(event, job))
    return event.kind.startswith(("scheduler", "api_server")) and _in_worker(event, job)


def _in_worker(event: Happened, job: Json) -> bool:
    """Whether the job's task was in a worker when it happened, or may have been."""
    if mode_of(job) in ("sync", "reattach"):
        return True
    return bool(event.began - WORKER_SECONDS <= job["createdAt"] <= event.ended + WORKER_SECONDS)


def mode_of(job: Json) -> str:
    """Return the mode of a job's task."""
    return str(job["tags"]["airflow_dag_id"]).split("__")[1]


def job_queue(job: Json) -> str:
    """Return the queue of a job."""
    return str(job["queue"])


def was_stopped(job: Json) -> bool:
    """Whether somebody stopped a job."""
    return bool(job["status"] == "FAILED" and (job["isTerminated"] or job["isCancelled"]))


def healthy_jobs_stopped(jobs: Iterable[Json], events: Sequence[Happened]) -> list[Json]:
    """Return the jobs that were stopped without cause."""
    return [job for job in jobs if was_stopped(job) and not any(gives_cause(event, job) for event in events)]


def is_orphan(job: Json, task: Json | None, run_state: str | None) -> bool:
    """
    Whether a live job has no owner that wants it.

    :param task: its task instance as Airflow's API shows it; None when there is none
    """
    if task is None:
        return True
    mode = mode_of(job)
    if mode != "reattach" and int(job["tags"]["airflow_try_number"]) < task["try_number"]:
        return True
    if task["state"] in LIVE_STATES:
        return False
    if task["state"] == "success" and mode == "no_wait":
        return run_state == "failed"
    return not (mode == "reattach" and task["state"] in (None, "up_for_retry"))


def twins(jobs: Iterable[Json]) -> list[list[Json]]:
    """Return the live jobs of task instances that have more than one."""
    alive: dict[tuple[str, ...], list[Json]] = defaultdict(list)
    for job in jobs:
        if job["status"] not in FINISHED:
            alive[instance_of(job)].append(job)
    return [of_one for of_one in alive.values() if len(of_one) > 1]


def instance_of(job: Json) -> tuple[str, ...]:
    """Return which task instance a job is of, whatever the try."""
    names = ("airflow_dag_id", "airflow_run_id", "airflow_task_id", "airflow_map_index")
    return tuple(str(job["tags"][name]) for name in names)


def lie(row: Json, jobs: Mapping[str, Json], taken_at: float) -> str:
    """
    Return what is untrue in a report's row; empty when it is all true.

    :param jobs: what they came to, by id
    :param taken_at: when the report was made, in Batch's time, or a little later
    """
    outcome, job = row["outcome"], jobs.get(row["job_id"])
    if job is None:
        return "" if outcome in ("NOT_FOUND", "") else f"{outcome}, and there is no such job"
    ended = job["status"] in FINISHED and job["stoppedAt"] <= taken_at
    stopped = was_stopped(job)
    true = {
        "CANCELLED": ended and stopped and job["startedAt"] is None,
        "TERMINATED": ended and stopped,
        "FINISHED": ended and (job["status"] == "SUCCEEDED" or not stopped),
        "ALREADY_FINISHED": ended,
        "STOPPING": job["isTerminated"] or job["isCancelled"] or ended,
        "NOT_FOUND": False,
    }
    return "" if true.get(outcome, True) else f"{outcome}, and the job is {job['status']}"
