"""A job whose task waits in the triggerer, and which is stopped from there when the task is killed."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

with DAG("cancel_when_deferred", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    # [START job]
    CancellableBatchOperator(
        task_id="job",
        job_name="cancel-when-deferred",
        job_queue="default",
        job_definition="default",
        deferrable=True,
        poll_interval=5,
        execution_timeout=timedelta(hours=2),
    )
    # [END job]
