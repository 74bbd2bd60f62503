"""The sweep as a task, for a maintenance DAG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_batch_cancel.aws.sweep import SweepReport
from airflow_batch_cancel.compat import AirflowFailException
from airflow_batch_cancel.exceptions import ArgumentError, DeploymentIdMissingError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.selection import words
from airflow_batch_cancel.settings import deployment_id, sweep_max_jobs, sweep_min_age_seconds
from airflow_batch_cancel.triggers.sweep import BatchSweepTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchSweepOperator(AwsBaseOperator[BatchCancelHook]):
    """
    Stop the orphans in some job queues: live AWS Batch jobs whose tasks Airflow no longer wants alive.

    It compares the owner tags on the jobs with the states of their owners. Jobs without tags, of another
    deployment, with incomplete tags, and of tasks whose state nobody could tell are not touched. The task
    fails when an orphan could not be stopped, a queue could not be listed, or ``max_jobs`` was exceeded.

    :param job_queues: names or ARNs, a list or a string of them
    :param min_age: how old a job must be to be judged; ``[batch_cancel] sweep_min_age`` by default
    :param max_jobs: a brake: with more orphans than that, none is stopped and the task fails;
        ``[batch_cancel] sweep_max_jobs`` by default
    :param dry_run: only report what would be stopped
    :param deferrable: sweep in the triggerer, so that no worker slot is held
    :return: the report (XCom), see :meth:`~airflow_batch_cancel.aws.sweep.SweepReport.as_dict`
    :raises DeploymentIdMissingError: as an ``AirflowFailException``, without ``[batch_cancel] deployment_id``
    """

    aws_hook_class = BatchCancelHook
    template_fields: Sequence[str] = aws_template_fields("job_queues")
    ui_color = "#f3d9d0"

    def __init__(
        self,
        *,
        job_queues: Sequence[str] | str,
        min_age: timedelta | None = None,
        max_jobs: int | None = None,
        dry_run: bool = False,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not job_queues or not isinstance(job_queues, (str, Iterable)):
            raise ArgumentError("job_queues", job_queues, "names or ARNs of AWS Batch job queues")
        if min_age is not None and (not isinstance(min_age, timedelta) or min_age < timedelta(0)):
            raise ArgumentError("min_age", min_age, "a timedelta of 0 or more")
        if max_jobs is not None and (type(max_jobs) is not int or max_jobs < 1):
            raise ArgumentError("max_jobs", max_jobs, "a whole number above 0")
        self.job_queues = job_queues
        self.min_age = min_age
        self.max_jobs = max_jobs
        self.plan_only = dry_run
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Sweep, here or in the triggerer."""
        trigger = self._trigger()
        if self.deferrable:
            self.defer(trigger=trigger, method_name="execute_complete")
        return self._finish(trigger.sweep())

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Read the report that the trigger brings."""
        return self._finish(SweepReport.from_dict(event["report"]))

    def _trigger(self) -> BatchSweepTrigger:
        deployment = deployment_id()
        if not deployment:
            raise AirflowFailException(str(DeploymentIdMissingError()))
        min_age = sweep_min_age_seconds() if self.min_age is None else self.min_age.total_seconds()
        return BatchSweepTrigger(
            connection=self._hook_parameters,
            job_queues=words(self.job_queues),
            deployment=deployment,
            min_age=min_age,
            max_jobs=self.max_jobs or sweep_max_jobs(),
            dry_run=self.plan_only,
        )

    def _finish(self, report: SweepReport) -> dict[str, Any]:
        """Log the report for people, and fail when something is left to be done."""
        self.log.info("%s", report.summary())
        if report.rows:
            self.log.info("\n%s", report.table())
        if not report.ok:
            raise AirflowFailException("\n".join(_complaints(report)))
        return report.as_dict()


def _complaints(report: SweepReport) -> list[str]:
    complaints = [*report.problems]
    if report.stopped_by_brake:
        complaints.append(
            f"Nothing is stopped: {report.totals['ORPHAN']} orphans are more than max_jobs allows. Look "
            "at them, and raise max_jobs ([batch_cancel] sweep_max_jobs) if they are to be stopped"
        )
    return complaints + [f"Not stopped: {row.describe()}" for row in report.failed]
