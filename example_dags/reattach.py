"""A long job that survives the loss of its worker: the next try waits for it and submits nothing."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

with DAG("reattach", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    # [START job]
    CancellableBatchOperator(
        task_id="job",
        job_name="reattach",
        job_queue="default",
        job_definition="default",
        previous_try="reattach",
        retries=3,
        retry_delay=timedelta(seconds=30),
    )
    # [END job]
