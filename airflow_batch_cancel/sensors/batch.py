"""The sensor that knows whether Batch jobs have really ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_batch_cancel.compat import AirflowFailException, PokeReturnValue, conf
from airflow_batch_cancel.core.report import CancelReport, observe
from airflow_batch_cancel.exceptions import ArgumentError, JobsNotStoppedError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.selection import SELECTION_FIELDS, JobSelectionMixin
from airflow_batch_cancel.triggers.batch import BatchJobsEndedTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchCancelSensor(JobSelectionMixin, AwsBaseSensor[BatchCancelHook]):
    """
    Wait until Batch jobs have ended, with one DescribeJobs for 100 jobs a poke. Reads only, cancels nothing.

    It fails closed: a job that can not be found or looked at is an error, never a success. It does not fail
    because a job FAILED: a cancelled job always has.

    :param job_ids: ids or ARNs (a list, a string of them, or an XCom of either), instead of a DAG run
    :param dag_id: the DAG of the run whose jobs to wait for; this task's own by default
    :param run_id: the run; this task's own by default
    :param task_ids: only the jobs of these tasks
    :param job_queues: look in these queues too, for jobs that carry the run's owner tags
    :param missing_grace: how long a job may be invisible before that is an error; it is for a moment after
        it was submitted
    :param deferrable: wait in the triggerer
    :return: the report (XCom), see :meth:`~airflow_batch_cancel.core.report.CancelReport.as_dict`
    """

    aws_hook_class = BatchCancelHook
    template_fields: Sequence[str] = aws_template_fields(*SELECTION_FIELDS)

    def __init__(
        self,
        *,
        job_ids: Any = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        task_ids: Sequence[str] | str | None = None,
        job_queues: Sequence[str] | str | None = None,
        missing_grace: timedelta = timedelta(minutes=1),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.set_selection(job_ids, dag_id, run_id, task_ids, job_queues)
        if not isinstance(missing_grace, timedelta) or missing_grace < timedelta(0):
            raise ArgumentError("missing_grace", missing_grace, "a timedelta of 0 or more")
        self.missing_grace = missing_grace
        self.deferrable = deferrable
        self._missing_since: float | None = None

    def execute(self, context: Context) -> Any:
        """Poke, or wait in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        job_ids = self.select_job_ids(context, self.hook)
        report = self._look(job_ids)
        if report.over(missing_counts=False):
            return self._ended(report)
        self.defer(
            trigger=BatchJobsEndedTrigger(
                connection={**self._hook_parameters},
                job_ids=job_ids,
                poll_interval=float(self.poke_interval),
                missing_deadline=time.time() + self.missing_grace.total_seconds(),
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the jobs once."""
        report = self._look(self.select_job_ids(context, self.hook))
        self.log.info("%s", report.summary())
        if not report.over(missing_counts=self._grace_is_over(context)):
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._ended(report))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Read the report that the trigger brings."""
        return self._ended(CancelReport.from_dict(event["report"]))

    def _look(self, job_ids: list[str]) -> CancelReport:
        described = self.hook.gateway.describe(job_ids)
        return observe(job_ids, described.jobs, described.errors)

    def _grace_is_over(self, context: Context) -> bool:
        if self._missing_since is None:
            ti: Any = context["ti"]
            first = ti.get_first_reschedule_date(context) if self.reschedule else None
            self._missing_since = first.timestamp() if first else time.time()
        return time.time() - self._missing_since >= self.missing_grace.total_seconds()

    def _ended(self, report: CancelReport) -> dict[str, Any]:
        self.log.info("%s\n%s", report.summary(), report.table())
        if report.failed:
            raise AirflowFailException(str(JobsNotStoppedError(report)))
        return report.as_dict()
