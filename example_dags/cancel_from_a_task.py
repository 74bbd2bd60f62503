"""Cancel jobs from a task of your own, and decide by what became of each."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.sdk import DAG, task

from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.hooks.batch import BatchCancelHook

with DAG("cancel_from_a_task", schedule=None, tags=["batch"], doc_md=__doc__) as dag:

    @task
    def submit() -> list[str]:
        """Submit three jobs that look for the same thing."""
        client = BatchClientHook().conn
        jobs = (
            client.submit_job(jobName=f"search-{number}", jobQueue="default", jobDefinition="default")
            for number in (1, 2, 3)
        )
        return [job["jobId"] for job in jobs]

    # [START hook]
    @task
    def cancel(job_ids: list[str]) -> list[str]:
        """Cancel jobs; return those that did their work before that."""
        policy = Policy("one of them has found it", timeout=timedelta(minutes=5))
        report = BatchCancelHook().cancel_jobs(job_ids, policy)
        if not report.ok:
            raise RuntimeError(f"not stopped: {[row.describe() for row in report.failed]}")
        finished = {Outcome.FINISHED, Outcome.ALREADY_FINISHED}
        return [row.job_id for row in report.rows if row.outcome in finished]

    # [END hook]

    cancel(submit())
