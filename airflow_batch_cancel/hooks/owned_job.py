"""The one job of one try of a task: submitted once, found without its id, and stopped with the task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from logging import Logger
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from airflow_batch_cancel.aws.errors import AWS_ERRORS, translate
from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.pace import backoff_seconds
from airflow_batch_cancel.core.audit import DecidedBy, audit
from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import Lifetime, Ownership, PreviousTry, add_owner_tags
from airflow_batch_cancel.core.plan import Operation
from airflow_batch_cancel.core.policy import REASON_LENGTH, Policy
from airflow_batch_cancel.core.report import JobOutcome, Outcome, observe
from airflow_batch_cancel.exceptions import (
    AccessDeniedError,
    BatchApiError,
    BatchCancelError,
    ServiceUnavailableError,
)
from airflow_batch_cancel.hooks.submit import kill_now
from airflow_batch_cancel.observability import span

if TYPE_CHECKING:
    from airflow_batch_cancel.hooks.batch import BatchCancelHook

EARLIER_TRIES_WAIT = timedelta(minutes=5)
"""How long a try waits for the jobs of earlier tries to end, before it submits beside them."""
SUBMIT_ATTEMPTS = 6
"""How often SubmitJob is tried when AWS Batch throttles, or when no job came of it."""
_LOOKS_FOR_LOST_JOB = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each look for a job whose SubmitJob was not answered; at first it may be invisible."""


class OwnedJob:
    """
    The job of one try of a task.

    :param ownership: whose it is
    :param hook: looks for jobs, and stops those that there is time for
    :param kill_client: stops this one when there is no time, see :func:`~.submit.kill_now`; also an
        attribute, to be replaced when its credentials are
    :param execution_timeout: of the task; the job gets a limit somewhat above it, unless it has one
    :param name_suffix: whether its name gets the owner's suffix
    :param cancel_on_kill: False leaves the job alone when the task is killed
    :param kill_budget_seconds: how long :meth:`kill` may take
    :param killed: whether the task has been killed already
    """

    def __init__(
        self,
        ownership: Ownership,
        hook: BatchCancelHook,
        kill_client: Any,
        log: Logger,
        *,
        execution_timeout: timedelta | None = None,
        name_suffix: bool = True,
        cancel_on_kill: bool = True,
        kill_budget_seconds: float = 4.0,
        killed: bool = False,
    ) -> None:
        self.job_id: str | None = None
        self.killed = killed
        self.owner = ownership.owner
        self._ownership = ownership
        self._hook = hook
        self.kill_client = kill_client
        self._log = log
        self._execution_timeout = execution_timeout
        self._name_suffix = name_suffix
        self._cancel_on_kill = cancel_on_kill
        self._kill_budget_seconds = kill_budget_seconds
        self._unanswered: Mapping[str, Any] | None = None

    def submit(self, make_client: Callable[[], Any], parameters: Mapping[str, Any]) -> str:
        """
        Bring the job into being, once, after the jobs of earlier tries have ended.

        :param make_client: makes a botocore client that does not repeat calls by itself, when it is needed
        :param parameters: SubmitJob's, without the owner
        :return: the job's id; with ``previous_try="reattach"`` it may be the job of an earlier try
        :raises BatchCancelError: when there is no job, or the task was killed meanwhile
        """
        parameters = self._with_owner(parameters)
        with span("submit", owner=str(self.owner)):
            earlier = self._deal_with_earlier_tries(parameters) if self.owner.try_number > 1 else None
            self._take(earlier or self._submit_once(make_client(), parameters))
        assert self.job_id is not None
        return self.job_id

    def kill(self, cause: str) -> None:
        """
        Terminate the job at once; what it becomes is left to whatever looks later. Raises nothing.

        Killed before SubmitJob has answered, it leaves a mark that is looked at as soon as it does.
        """
        self.killed = True
        if not self._cancel_on_kill:
            self._log.info("The task is killed; its AWS Batch job %s is left alone", self.job_id or "")
        elif self.job_id is None:
            self._log.info(
                "The task is killed before SubmitJob has answered: a job that comes of it is terminated"
            )
        else:
            reason = self.reason(cause)
            result = kill_now(self.kill_client, self.job_id, reason, self._kill_budget_seconds)
            self._audit(DecidedBy.ON_KILL_WORKER, self.job_id, cause, result)

    def end(self, cause: str) -> JobOutcome | None:
        """
        Stop the job unless it has finished; raises nothing.

        :return: how it ended, when it had; None when it had not, or there is none
        """
        if self.killed and not self._cancel_on_kill:
            return None
        try:
            if self.job_id is None and self._unanswered:
                self.job_id = self._find_unanswered(self._unanswered)
            return None if self.job_id is None else self._stop_unless_finished(self.job_id, cause)
        except (BatchCancelError, BotoCoreError) as error:
            self._log.error("AWS Batch job %s could not be stopped: %s", self.job_id or "", error)
            return None

    def find(self, job_queue: str, job_name: str) -> str | None:
        """
        Look for this very try's job.

        :param job_name: as the DAG's author chose it, without the suffix
        :raises BatchApiError: when the queue can not be listed
        """
        return self._find(job_queue, self._full_name(job_name))

    def reason(self, cause: str) -> str:
        """Return why a job is stopped, with the task in it, no longer than AWS Batch takes."""
        return f"Airflow task {self.owner} {cause}"[:REASON_LENGTH]

    def _full_name(self, job_name: str) -> str:
        return self.owner.job_name(job_name) if self._name_suffix else job_name

    def _with_owner(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        tags = add_owner_tags(parameters.get("tags") or {}, self._ownership)
        owned = {**parameters, "jobName": self._full_name(parameters["jobName"]), "tags": tags}
        if self._execution_timeout and self._ownership.lifetime is Lifetime.TASK:
            seconds = batch_timeout_seconds(self._execution_timeout)
            owned.setdefault("timeout", {"attemptDurationSeconds": seconds})
        return owned

    def _deal_with_earlier_tries(self, parameters: Mapping[str, Any]) -> str | None:
        """End the jobs that earlier tries have left, or return the one to re-attach to."""
        if not self._name_suffix:
            return None
        try:
            found = self._hook.find_jobs(self.owner, [parameters["jobQueue"]], job_name=parameters["jobName"])
        except AccessDeniedError as error:
            self._log.warning(
                "Jobs of earlier tries, if any, run on beside this one, since they can not be looked for. "
                "Grant batch:ListJobs and batch:DescribeJobs. %s",
                error,
            )
            return None
        self._refuse_when_superseded(found)
        earlier = [job for job, claim in found if claim.owner.try_number < self.owner.try_number]
        chosen = self._reattach_to(earlier)
        self._end_others([job.job_id for job in earlier if job is not chosen], "is tried again")
        return chosen.job_id if chosen else None

    def _refuse_when_superseded(self, found: list[tuple[Job, Ownership]]) -> None:
        for job, claim in found:
            if claim.owner.try_number > self.owner.try_number:
                raise BatchCancelError(
                    f"Nothing is submitted: {claim.owner} is newer than this try, and has job {job.job_id}"
                )

    def _reattach_to(self, earlier: list[Job]) -> Job | None:
        wanted = self._ownership.previous_try is PreviousTry.REATTACH
        usable = [job for job in earlier if wanted and not job.stop_requested]
        return max(usable, key=lambda job: job.created_at.timestamp() if job.created_at else 0, default=None)

    def _end_others(self, job_ids: list[str], cause: str) -> None:
        """End other jobs of this task instance, and wait for that as long as is bearable."""
        if not job_ids:
            return
        self._log.info("The task %s; ending its other jobs: %s", cause, ", ".join(job_ids))
        for job_id in job_ids:
            self._audit(DecidedBy.EARLIER_TRY, job_id, cause, "asked")
        policy = Policy(self.reason(cause), timeout=EARLIER_TRIES_WAIT)
        report = self._hook.cancel_jobs(job_ids, policy)
        (self._log.info if report.ok else self._log.warning)("%s\n%s", report.summary(), report.table())

    def _submit_once(self, client: Any, parameters: Mapping[str, Any]) -> str:
        """Call SubmitJob until there is one job; never again without a look when no answer came."""
        unanswered = False
        for attempt in range(1, SUBMIT_ATTEMPTS + 1):
            self._refuse_when_killed()
            try:
                job_id = self._call(client, parameters)
                if unanswered:
                    self._end_twins(job_id, parameters)
                return job_id
            except ServiceUnavailableError as error:
                self._log.warning("%s; looking whether a job came of it", error)
                unanswered = True
                failure: BatchApiError = error
                if job_id := self._find_unanswered(parameters):
                    return job_id
            except BatchApiError as error:
                self._unanswered = None
                failure = _with_permissions(error)
            if not failure.retryable or attempt == SUBMIT_ATTEMPTS:
                raise failure
            time.sleep(backoff_seconds(attempt))
        raise AssertionError("unreachable")

    def _call(self, client: Any, parameters: Mapping[str, Any]) -> str:
        self._unanswered = parameters
        try:
            answer = client.submit_job(**parameters)
        except AWS_ERRORS as raised:
            raise translate("SubmitJob", raised) from raised
        if not answer.get("jobId"):
            raise ServiceUnavailableError("SubmitJob", "NoJobId", "the answer has no jobId")
        return str(answer["jobId"])

    def _find_unanswered(self, parameters: Mapping[str, Any]) -> str | None:
        """
        Look for the job that SubmitJob may have made although it was not answered.

        :raises BatchCancelError: when that can not be known; submitting again could make a second job
        """
        for pause in _LOOKS_FOR_LOST_JOB:
            time.sleep(pause)
            try:
                job_id = self._find(parameters["jobQueue"], parameters["jobName"])
            except BatchApiError as error:
                text = f"SubmitJob was not answered, and it can not be seen whether a job came of it: {error}"
                raise BatchCancelError(text) from error
            if job_id:
                self._log.info("AWS Batch job %s came of the unanswered SubmitJob", job_id)
                return job_id
        return None

    def _end_twins(self, job_id: str, parameters: Mapping[str, Any]) -> None:
        """End what came of an unanswered SubmitJob after all, and was invisible for longer than we looked."""
        for pause in _LOOKS_FOR_LOST_JOB:
            time.sleep(pause)
            try:
                found = self._hook.find_jobs(
                    self.owner, [parameters["jobQueue"]], job_name=parameters["jobName"]
                )
            except BatchApiError as error:
                self._log.warning("It can not be seen whether this try has a second job: %s", error)
                return
            twins = [job.job_id for job, claim in found if claim.owner == self.owner and job.job_id != job_id]
            if twins:
                self._end_others(twins, "has a second job in this try")
                return

    def _find(self, job_queue: str, full_name: str) -> str | None:
        found = self._hook.find_jobs(self.owner, [job_queue], job_name=full_name, finished_too=True)
        return next((job.job_id for job, claim in found if claim.owner == self.owner), None)

    def _take(self, job_id: str) -> None:
        self.job_id = job_id
        self._unanswered = None
        if self.killed:
            self.kill("was killed while SubmitJob was under way")
            raise BatchCancelError(f"The task was killed while it submitted AWS Batch job {job_id}")

    def _refuse_when_killed(self) -> None:
        if self.killed:
            raise BatchCancelError("The task was killed before it submitted an AWS Batch job")

    def _stop_unless_finished(self, job_id: str, cause: str) -> JobOutcome | None:
        """Look, without patience, and terminate unless that shows that the job has ended."""
        described = BatchGateway(self._hook.gateway.client, attempts=1).describe([job_id])
        (seen,) = observe([job_id], described.jobs, described.errors).rows
        if seen.outcome is not None and seen.outcome.ended:
            return seen
        error = self._hook.gateway.stop(Operation.TERMINATE, [job_id], self.reason(cause))[job_id]
        self._audit(DecidedBy.TASK_ERROR, job_id, cause, str(error or "accepted"))
        if error is not None:
            raise error
        return None

    def _audit(self, decided_by: DecidedBy, job_id: str, why: str, result: str = "accepted") -> None:
        audit(decided_by, job_id, str(self.owner), f"the task {why}", result)


def was_cancelled(seen: JobOutcome) -> bool:
    """Whether a job has ended because somebody stopped it."""
    return seen.outcome in (Outcome.CANCELLED, Outcome.TERMINATED)


def batch_timeout_seconds(execution_timeout: timedelta) -> int:
    """
    Return the ``timeout`` for a job whose task may take ``execution_timeout``: somewhat above it.

    AWS Batch counts from the start of each attempt, and takes no less than 60 seconds (botocore's shape
    ``JobTimeout``).
    """
    return int(execution_timeout.total_seconds() * 1.1) + 60


def _with_permissions(error: BatchApiError) -> BatchApiError:
    if not isinstance(error, AccessDeniedError):
        return error
    text = f"{error.message} (a job with its owner on it needs batch:SubmitJob and batch:TagResource)"
    return AccessDeniedError(error.operation, error.code, text)
