"""A job that never outlives its task, whatever becomes of the task."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

with DAG("clean_up_on_kill", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    # [START job]
    CancellableBatchOperator(
        task_id="job",
        job_name="clean-up-on-kill",
        job_queue="default",
        job_definition="default",
        retries=2,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=2),
    )
    # [END job]
