"""The stop procedure: look, plan, act, verify, report, in steps that anybody may pace."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from airflow_batch_cancel.aws.gateway import BatchGateway, StopAnswers
from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.plan import Action, Operation, PlannedAction, plan
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import NOT_FOUND_MESSAGE, CancelReport, JobOutcome, Outcome
from airflow_batch_cancel.exceptions import AccessDeniedError, BatchApiError

log = logging.getLogger(__name__)

MISSING_GRACE = timedelta(seconds=30)
"""How long a job may be invisible to DescribeJobs, as it is right after SubmitJob, before it is not found."""
_FIRST_PAUSE_SECONDS = 0.2


_NOT_LOOKED_AT = PlannedAction(Action.WAIT, "not looked at yet")


@dataclass(slots=True)
class JobProgress:
    """
    How far the stop of one job has come.

    :param job: as last described
    :param asked: what AWS Batch has accepted
    :param unanswered: whether it is being asked, or was when this process was interrupted
    :param was_started: whether it was seen started before it ended
    :param asked_unseen: whether it was asked before DescribeJobs showed it
    :param seen_live: whether it was seen before it ended
    :param error: the error that ended the stop of this job
    :param last_error: the last error that is worth another try
    :param action: the last planned action
    """

    job_id: str
    job: Job | None = None
    asked: Operation | None = None
    unanswered: bool = False
    was_started: bool = False
    asked_unseen: bool = False
    seen_live: bool = False
    error: BatchApiError | None = None
    last_error: BatchApiError | None = None
    action: PlannedAction = _NOT_LOOKED_AT

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.error is not None or self.action.action in (Action.NOTHING, Action.LEAVE)

    def see(self, job: Job | None) -> None:
        """Take in what DescribeJobs says now."""
        self.job = job
        if job is None:
            return
        if not job.finished:
            self.seen_live = True
        if job.started:
            self.was_started = True
        if self._was_asked_in_vain(job):
            self.asked = None
        self.asked_unseen = False

    def _was_asked_in_vain(self, job: Job) -> bool:
        """Whether an accepted stop did nothing: the job was not visible yet, or a cancel came too late."""
        if job.stop_requested or job.finished:
            return False
        return self.asked_unseen or (
            self.asked is Operation.CANCEL and job.started and not job.is_array_parent
        )

    def take_answer(self, operation: Operation, error: BatchApiError | None) -> None:
        """Take note of what AWS Batch has answered to a stop."""
        self.unanswered = False
        if error is None:
            self.asked = operation
            self.asked_unseen = self.job is None
        elif error.retryable:
            self.last_error = error
        else:
            self.error = error


class StopProcedure:
    """
    The stop of a set of jobs, one step at a time.

    ``step()`` looks at the jobs, decides and acts; between two steps the caller lets ``pause`` seconds pass:
    :meth:`run` sleeps, a trigger awaits. Nothing is lost when the process ends between two steps:
    :meth:`as_dict` holds the little that the next process needs.

    :param job_ids: normalised ids (:func:`~airflow_batch_cancel.core.jobs.normalise_job_ids`)
    """

    def __init__(self, gateway: BatchGateway, job_ids: Iterable[str], policy: Policy) -> None:
        self.policy = policy
        self.progress = {job_id: JobProgress(job_id) for job_id in job_ids}
        self.began = gateway.clock.now()
        self._gateway = gateway
        self._pause = 0.0
        self._waiting_on: dict[str, tuple[str, ...]] = {}

    @property
    def waited(self) -> timedelta:
        """How long ago the procedure began."""
        return timedelta(seconds=max(0.0, self._gateway.clock.now() - self.began))

    @property
    def unsettled(self) -> list[JobProgress]:
        """The jobs that there is something to wait for."""
        return [progress for progress in self.progress.values() if not progress.settled]

    @property
    def pause(self) -> float:
        """Seconds until the next step is due: a few tenths at first, at most the policy's poll interval."""
        remaining = (self.policy.deadline - self.waited).total_seconds()
        longest = self.policy.poll_interval.total_seconds()
        if self._draining:
            assert self.policy.terminate_after is not None
            longest = min(longest, (self.policy.terminate_after - self.waited).total_seconds())
        return max(0.05, min(self._pause, longest, remaining))

    def give_up(self, error: BatchApiError) -> None:
        """End the stop of the jobs that there is something to wait for, for a reason other than theirs."""
        for progress in self.unsettled:
            progress.error = error
            progress.action = PlannedAction(Action.NOTHING, str(error))

    def look_and_plan(self) -> None:
        """Describe the jobs there is something to wait for, and decide about each; changes nothing."""
        self._look()
        for progress in self.unsettled:
            progress.action = plan(progress.job, self.policy, self.waited, progress.asked)

    def step(self) -> bool:
        """
        Look, plan and act once.

        :return: whether the procedure is over: every job is settled, or the time is up
        """
        self.look_and_plan()
        self._act()
        self._pause = max(_FIRST_PAUSE_SECONDS, self._pause * 2)
        over = not self.unsettled or self.waited >= self.policy.deadline
        if over:
            self._find_dependencies()
        else:
            log.info(
                "%d of %d jobs are settled, waiting for %d (%d s of %d s)",
                len(self.progress) - len(self.unsettled),
                len(self.progress),
                len(self.unsettled),
                self.waited.total_seconds(),
                self.policy.deadline.total_seconds(),
            )
        return over

    def run(self) -> CancelReport:
        """Carry the procedure out to its end, sleeping between its steps."""
        while self.unsettled and not self.step():
            self._gateway.clock.sleep(self.pause)
        return self.report()

    def report(self, *, dry_run: bool = False, waited: bool = True) -> CancelReport:
        """
        Return what has become of the jobs so far.

        :param dry_run: report the plan
        :param waited: whether the effect was waited for
        """
        rows = tuple(self._row(progress, dry_run) for progress in self.progress.values())
        return CancelReport(self.policy.reason, rows, dry_run, waited, self.waited.total_seconds())

    def as_dict(self) -> dict[str, Any]:
        """Return what another process needs to go on, as plain JSON values."""
        return {
            "began": self.began,
            "jobs": [
                [progress.job_id, progress.asked, progress.was_started, progress.seen_live]
                for progress in self.progress.values()
            ],
        }

    @classmethod
    def from_dict(cls, gateway: BatchGateway, policy: Policy, data: Mapping[str, Any]) -> StopProcedure:
        """Go on where the procedure that wrote ``data`` with :meth:`as_dict` was."""
        procedure = cls(gateway, (row[0] for row in data["jobs"]), policy)
        procedure.began = data["began"]
        for job_id, asked, was_started, seen_live in data["jobs"]:
            progress = procedure.progress[job_id]
            progress.asked = Operation(asked) if asked else None
            progress.was_started = was_started
            progress.seen_live = seen_live
            progress.asked_unseen = bool(asked) and not seen_live
        return procedure

    @property
    def _draining(self) -> bool:
        after = self.policy.terminate_after
        return after is not None and self.waited < after

    def _look(self) -> None:
        open_ids = [progress.job_id for progress in self.unsettled]
        described = self._gateway.describe(open_ids)
        for job_id in open_ids:
            progress = self.progress[job_id]
            error = described.errors.get(job_id)
            if error is None:
                progress.see(described.jobs.get(job_id))
                if progress.job is None and progress.asked and self.waited >= self._missing_deadline:
                    progress.error = _not_found()
            elif progress.asked and isinstance(error, AccessDeniedError):
                progress.error = _unseen(error, progress.asked)
            else:
                progress.last_error = error

    @property
    def _missing_deadline(self) -> timedelta:
        return min(MISSING_GRACE, self.policy.deadline)

    def _act(self) -> None:
        for operation in Operation:
            due = [progress for progress in self.unsettled if progress.action.operation is operation]
            if not due:
                continue
            edges = {progress.job_id: progress.job.depends_on for progress in due if progress.job}
            ids = [progress.job_id for progress in due]
            log.info("%s for %d jobs, reason: %s", operation, len(ids), self.policy.reason)
            self._gateway.stop(operation, ids, self.policy.reason, edges, partial(self._hear, operation))

    def _hear(self, operation: Operation, job_ids: Sequence[str], answers: StopAnswers | None) -> None:
        """Keep the answers as they come: an interrupt must not lose any."""
        for job_id in job_ids:
            if answers is None:
                self.progress[job_id].unanswered = True
            else:
                self.progress[job_id].take_answer(operation, answers[job_id])

    def _find_dependencies(self) -> None:
        """Look which jobs the accepted but PENDING ones wait for."""
        pending = [
            p.job for p in self.unsettled if p.asked and p.job and p.job.depends_on and not p.job.started
        ]
        if not pending:
            return
        upstream = {job_id for job in pending for job_id in job.depends_on}
        described = self._gateway.describe(sorted(upstream)).jobs
        alive = {job_id for job_id in upstream if job_id in described and not described[job_id].finished}
        for job in pending:
            self._waiting_on[job.job_id] = tuple(job_id for job_id in job.depends_on if job_id in alive)

    def _row(self, progress: JobProgress, dry_run: bool) -> JobOutcome:
        job = progress.job
        if dry_run:
            unseen = progress.last_error if job is None else None
            outcome, message = None, str(unseen or progress.action.why)
        else:
            waiting_on = self._waiting_on.get(progress.job_id, ())
            outcome, message = outcome_of(progress, self.policy, self.began, waiting_on)
        return JobOutcome(
            job_id=progress.job_id,
            outcome=outcome,
            job_name=job.name if job else "",
            status=job.status if job else "",
            status_reason=job.status_reason if job else "",
            action=progress.action.action if dry_run else "",
            message=message,
            waiting_on=self._waiting_on.get(progress.job_id, ()),
        )


def outcome_of(
    progress: JobProgress, policy: Policy, began: float, waiting_on: tuple[str, ...] = ()
) -> tuple[Outcome, str]:
    """
    Say what has become of one job, and why.

    :param began: when the procedure did, in seconds since the epoch
    :param waiting_on: live jobs that it depends on
    """
    job = progress.job
    if progress.error is not None:
        return _outcome_of_error(progress.error)
    if job is None:
        return _outcome_of_unseen(progress)
    if job.finished:
        return _outcome_of_finished(job, progress, policy, began)
    if progress.action.action is Action.LEAVE:
        return Outcome.LEFT_RUNNING, progress.action.why
    if waiting_on:
        return (
            Outcome.WAITING_ON_DEPENDENCIES,
            f"PENDING until these jobs have ended: {', '.join(waiting_on)}",
        )
    if progress.asked is None:
        return Outcome.ERROR, str(
            progress.last_error or f"not asked to stop before the time was up: {progress.action.why}"
        )
    return Outcome.STOPPING, f"{progress.action.why}, and the job had not ended within {policy.deadline}"


def _outcome_of_unseen(progress: JobProgress) -> tuple[Outcome, str]:
    if progress.asked:
        return Outcome.STOPPING, f"{progress.asked} was accepted, and DescribeJobs does not show the job yet"
    return _outcome_of_error(progress.last_error or _not_found())


def _outcome_of_finished(
    job: Job, progress: JobProgress, policy: Policy, began: float
) -> tuple[Outcome, str]:
    if _had_ended_before(job, progress, began):
        return Outcome.ALREADY_FINISHED, f"it had {job.status} before"
    # A parent may come without the flags, and has a reason of its own.
    stopped = (
        job.stop_requested
        or job.status_reason == policy.reason
        or (job.is_array_parent and progress.asked is not None)
    )
    if job.status == "SUCCEEDED" or not stopped:
        return Outcome.FINISHED, f"it ended by itself, {job.status}, after it was asked to stop"
    if progress.was_started or job.started_at or job.array_summary.get("SUCCEEDED"):
        return Outcome.TERMINATED, ""
    return Outcome.CANCELLED, ""


def _had_ended_before(job: Job, progress: JobProgress, began: float) -> bool:
    """Whether the job was over before we asked; a predecessor of this process may have asked, and died."""
    if progress.seen_live:
        return False
    ended_since = job.stopped_at is not None and job.stopped_at.timestamp() >= began
    return not (ended_since and (progress.asked or job.stop_requested))


def _outcome_of_error(error: BatchApiError) -> tuple[Outcome, str]:
    if isinstance(error, AccessDeniedError):
        return Outcome.DENIED, str(error)
    if error.code == _NOT_FOUND:
        return Outcome.NOT_FOUND, error.message
    return Outcome.ERROR, str(error)


_NOT_FOUND = "NotFound"


def _not_found() -> BatchApiError:
    return BatchApiError("DescribeJobs", _NOT_FOUND, NOT_FOUND_MESSAGE)


def _unseen(error: BatchApiError, asked: Operation) -> BatchApiError:
    text = f"{error.message} ({asked} was accepted, but without DescribeJobs nobody sees whether it ended)"
    return AccessDeniedError(error.operation, error.code, text)
