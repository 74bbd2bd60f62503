"""Jobs that are submitted and not waited for, and that are cancelled when the work beside them is over."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, task

from airflow_batch_cancel.operators.batch import BatchCancelOperator

with DAG("cancel_in_a_teardown", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    # [START teardown]
    start_workers = BatchOperator.partial(
        task_id="start_workers",
        job_queue="default",
        job_definition="default",
        wait_for_completion=False,
    ).expand(job_name=["worker-1", "worker-2", "worker-3"])

    @task
    def work() -> None:
        """Do what the workers are there for."""

    stop_workers = BatchCancelOperator(
        task_id="stop_workers",
        task_ids="start_workers",
        reason="{{ dag_run.run_id }} needs no workers any more",
        timeout=timedelta(minutes=5),
    ).as_teardown(setups=start_workers)

    start_workers >> work() >> stop_workers
    # [END teardown]
