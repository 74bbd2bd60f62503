"""What to do with a job now: a pure function of the job, the policy and the time waited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import ceil

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.policy import Policy


class Operation(StrEnum):
    """The two ways in which AWS Batch can be asked to stop a job."""

    CANCEL = "CancelJob"
    TERMINATE = "TerminateJob"


class Action(StrEnum):
    """What a plan does with a job."""

    CANCEL = "CANCEL"
    """Drop it before it starts."""
    TERMINATE = "TERMINATE"
    """Kill it: it has started."""
    WAIT = "WAIT"
    """It was asked already, or may still finish by itself."""
    LEAVE = "LEAVE"
    """It has started, and the policy says to leave started jobs alone."""
    NOTHING = "NOTHING"
    """It has finished."""


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """
    One job's part of a plan.

    :param operation: the API operation that carries the action out; None when none is called. A cancel is
        carried out with TerminateJob where the policy terminates at once: on a job that has not started it
        is a cancel (botocore's documentation of ``TerminateJob``), and it holds when the job starts meanwhile
    :param why: one sentence for people
    """

    action: Action
    why: str
    operation: Operation | None = None


def plan(
    job: Job | None, policy: Policy, waited: timedelta = timedelta(0), asked: Operation | None = None
) -> PlannedAction:
    """
    Decide about one job.

    :param job: the job as last described; None when DescribeJobs does not show it
    :param waited: how long ago the procedure began
    :param asked: what AWS Batch has accepted for this job so far
    """
    if job is not None and job.finished:
        return PlannedAction(Action.NOTHING, f"it has {job.status}")
    if asked is Operation.TERMINATE:
        return PlannedAction(Action.WAIT, "terminate was accepted")
    if job is not None and job.started:
        return _plan_started(job, policy, waited, asked)
    if asked is Operation.CANCEL:
        return PlannedAction(Action.WAIT, "cancel was accepted")
    state = f"it is {job.status}, not started" if job else "DescribeJobs does not show it"
    return PlannedAction(Action.CANCEL, state, _cancel_operation(policy))


def _plan_started(job: Job, policy: Policy, waited: timedelta, asked: Operation | None) -> PlannedAction:
    state = _started_state(job)
    if policy.terminate_after is not None and waited >= policy.terminate_after:
        return PlannedAction(Action.TERMINATE, state, Operation.TERMINATE)
    if job.has_unstarted_children and asked is None:
        return PlannedAction(
            Action.CANCEL, f"{state}; children that have not are cancelled", Operation.CANCEL
        )
    if policy.terminate_after is None:
        return PlannedAction(Action.LEAVE, f"{state}, and terminate_after=None leaves started jobs alone")
    left = timedelta(seconds=ceil((policy.terminate_after - waited).total_seconds()))
    return PlannedAction(Action.WAIT, f"{state}; it may finish within {left} before it is terminated")


def _started_state(job: Job) -> str:
    if not job.is_array_parent:
        return f"it is {job.status}"
    running = job.array_summary.get("STARTING", 0) + job.array_summary.get("RUNNING", 0)
    return f"{running} of {job.array_size} children have started"


def _cancel_operation(policy: Policy) -> Operation:
    return Operation.TERMINATE if policy.terminates_at_once else Operation.CANCEL
