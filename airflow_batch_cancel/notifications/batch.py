"""The notifier: AWS Batch jobs are cancelled where Airflow calls back about a task or a DAG run."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.compat import BaseNotifier
from airflow_batch_cancel.core.audit import DecidedBy, audit
from airflow_batch_cancel.core.jobs import normalise_job_ids
from airflow_batch_cancel.core.owner import Ownership
from airflow_batch_cancel.core.policy import AT_ONCE, REASON_LENGTH, Policy
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.exceptions import (
    ArgumentError,
    BatchApiError,
    BatchCancelError,
    JobsNotStoppedError,
)
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.notifications.callbacks import RunCallback, TaskCallback, callback_of
from airflow_batch_cancel.observability import count_outcomes
from airflow_batch_cancel.selection import is_template, words
from airflow_batch_cancel.triggers.shared import in_thread

if TYPE_CHECKING:
    from airflow.sdk import Context

_POLL_INTERVAL = timedelta(seconds=2)


class BatchCancelNotifier(BaseNotifier):
    """
    Cancel the AWS Batch jobs of the task or DAG run that Airflow calls back about.

    Which jobs those are depends on whose callback it is:

    - ``on_failure_callback`` or ``on_retry_callback`` of a task: those of the task instance, of this try and
      of earlier ones;
    - ``on_execute_callback`` of a task: those of earlier tries;
    - ``on_failure_callback`` of a DAG: those of the run, but for tasks that are at work again by then;
    - the callback of a deadline alert: all those of the run.

    It finds them by the XCom ``batch_job_details`` that the operators push, and in ``job_queues`` by their
    owner tags, which only a ``CancellableBatchOperator`` writes. Tags always count: a job whose tags name
    another owner is left alone. The XComs of earlier tries are gone, and a ``SyncCallback`` may read none, so
    these two need ``job_queues``. Airflow gives a ``SyncCallback`` no connection of its database either: it
    takes one from the environment or a secrets backend, or none at all with ``aws_conn_id=None``.

    When a job is not stopped, or a queue can not be listed, that is logged, and raised for Airflow to log
    (a deadline's callback has then failed).

    :param job_queues: names or ARNs of queues to look in, a list or a string of them; each costs five
        ListJobs at the least
    :param reason: 1 to 1024 characters, kept on the job; by default it names the task or run, and the cause
    :param terminate_after: ``timedelta(0)`` terminates started jobs at once, a longer one lets them finish
        for that long, None never touches them. Durations may be seconds too, also in a template
    :param timeout: how long to wait, after the last job was asked to stop, until it has ended. A callback in
        the DAG processor has ``[dag_processor] dag_file_processor_timeout`` (50 s) in all
    :param aws_conn_id: the Airflow connection used for AWS credentials
    :param region_name: the AWS Region; the connection's by default
    :raises ArgumentError: for a value that can not work; in a DAG file at parse, for a deadline's callback
        when it is called
    """

    # Not called reason: Airflow puts template fields into the context, where a DAG's callback has that.
    template_fields: Sequence[str] = (
        "job_queues",
        "cancel_reason",
        "terminate_after",
        "timeout",
        "aws_conn_id",
        "region_name",
    )

    def __init__(
        self,
        *,
        job_queues: Sequence[str] | str | None = None,
        reason: str | None = None,
        terminate_after: timedelta | float | str | None = AT_ONCE,
        timeout: timedelta | float | str = timedelta(seconds=30),
        aws_conn_id: str | None = BatchCancelHook.default_conn_name,
        region_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_queues = job_queues
        self.cancel_reason = reason
        self.terminate_after = terminate_after
        self.timeout = timeout
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        _check_queues(job_queues)
        if not any(is_template(value) for value in (reason, terminate_after, timeout)):
            self._policy("checked at parse")

    def __call__(self, *args: Any) -> None:
        """Render and notify on a copy: one DAG processor calls the same notifier for several runs."""
        BaseNotifier.__call__(copy.copy(self), *args)

    def notify(self, context: Context) -> None:
        """Cancel the jobs, and wait until they have ended or the time is up."""
        procedure, problems = self._begin(callback_of(context))
        self._finish(procedure.run(), problems)

    async def async_notify(self, context: Context) -> None:
        """Do the same on an event loop; blocking calls are made in threads."""
        procedure, problems = await in_thread(self._begin, callback_of(context, is_async=True))
        while procedure.unsettled and not await in_thread(procedure.step):
            await asyncio.sleep(procedure.pause)
        self._finish(procedure.report(), problems)

    def _begin(self, callback: TaskCallback | RunCallback) -> tuple[StopProcedure, list[str]]:
        """Return the stop of the jobs that the callback is about, and the queues that could not be listed."""
        hook = BatchCancelHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        told = self._told(callback, hook)
        found, problems = self._found(callback, hook)
        procedure = hook.procedure([*told, *found], self._policy(callback.cause))
        for job_id in procedure.progress:
            audit(DecidedBy.NOTIFIER, job_id, str(callback.of), callback.cause, "asked")
        return procedure, problems

    def _told(self, callback: TaskCallback | RunCallback, hook: BatchCancelHook) -> list[str]:
        """Return the jobs that XComs tell, without those whose tags name another owner."""
        if not callback.reads_xcoms:
            if not self.job_queues:
                raise _queues_needed("a SyncCallback may read no XComs")
            return []
        job_ids = normalise_job_ids(callback.job_ids(hook.conn_region_name))
        jobs = hook.gateway.describe(job_ids).jobs
        claims = {job_id: Ownership.from_tags(job.tags) for job_id, job in jobs.items()}
        return [
            job_id for job_id in job_ids if not (claim := claims.get(job_id)) or callback.covers(claim.owner)
        ]

    def _found(
        self, callback: TaskCallback | RunCallback, hook: BatchCancelHook
    ) -> tuple[list[str], list[str]]:
        """Return the live jobs whose tags name the owner, and what could not be seen."""
        if not self.job_queues and isinstance(callback, TaskCallback) and callback.at_work:
            if callback.of.try_number > 1:
                raise _queues_needed("XComs no longer tell the jobs of earlier tries")
            return [], []
        job_ids, problems = [], []
        for queue in words(self.job_queues or ()):
            try:
                found = hook.find_jobs(callback.of, [queue])
            except BatchApiError as error:
                problems.append(f"The jobs in {queue} could not be found: {error}")
            else:
                job_ids += [job.job_id for job, claim in found if callback.covers(claim.owner)]
        return job_ids, problems

    def _policy(self, cause: str) -> Policy:
        reason = cause[:REASON_LENGTH] if self.cancel_reason is None else self.cancel_reason
        return Policy.read(reason, self.terminate_after, self.timeout, _POLL_INTERVAL)

    def _finish(self, report: CancelReport, problems: list[str]) -> None:
        """Log what became of each job, and raise when something is left to be done."""
        count_outcomes(report)
        self.log.info("%s%s", report.summary(), f"\n{report.table()}" if report.rows else "")
        for problem in [*problems, *(f"Not stopped: {row.describe()}" for row in report.failed)]:
            self.log.error("%s", problem)
        if not report.ok:
            raise JobsNotStoppedError(report)
        if problems:
            raise BatchCancelError("; ".join(problems))


def _check_queues(job_queues: object) -> None:
    if job_queues is None:
        return
    names = [job_queues] if isinstance(job_queues, str) else job_queues
    if not (
        isinstance(names, (list, tuple)) and names and all(isinstance(name, str) and name for name in names)
    ):
        raise ArgumentError("job_queues", job_queues, "names or ARNs of AWS Batch job queues")


def _queues_needed(why: str) -> ArgumentError:
    return ArgumentError("job_queues", None, f"the queues to look in: {why}")
