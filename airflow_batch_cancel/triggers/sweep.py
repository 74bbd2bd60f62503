"""The sweep, in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_batch_cancel.aws.sweep import Sweep, SweepReport
from airflow_batch_cancel.observability import count_sweep, span
from airflow_batch_cancel.states import AirflowStates
from airflow_batch_cancel.triggers.batch import BatchTrigger
from airflow_batch_cancel.triggers.shared import in_thread


class BatchSweepTrigger(BatchTrigger):
    """
    Sweep once; the event holds the report.

    :param job_queues: names or ARNs
    :param deployment: whose jobs to judge
    :param min_age: in seconds; younger jobs are judged next time
    :param max_jobs: when there are more orphans, none is stopped
    :param dry_run: only judge
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        job_queues: list[str],
        deployment: str,
        min_age: float,
        max_jobs: int,
        dry_run: bool,
    ) -> None:
        super().__init__(connection)
        self.job_queues = job_queues
        self.deployment = deployment
        self.min_age = min_age
        self.max_jobs = max_jobs
        self.dry_run = dry_run

    def arguments(self) -> dict[str, Any]:
        """Return the arguments besides the connection."""
        names = ("job_queues", "deployment", "min_age", "max_jobs", "dry_run")
        return {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sweep in a thread; asked of Airflow is what the triggerer may ask."""
        report = await in_thread(self.sweep)
        yield TriggerEvent({"status": "success", "report": report.as_dict()})

    def sweep(self) -> SweepReport:
        """Sweep here and now; blocks."""
        sweep = Sweep(
            self.hook.gateway,
            AirflowStates(),
            self.deployment,
            min_age=timedelta(seconds=self.min_age),
            max_jobs=self.max_jobs,
        )
        with span("sweep", queues=",".join(self.job_queues), dry_run=self.dry_run):
            report = sweep.run(self.job_queues, dry_run=self.dry_run)
        count_sweep(report)
        return report
