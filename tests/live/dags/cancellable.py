"""A job that belongs to its task."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

with DAG("cancellable", schedule=None) as dag:
    CancellableBatchOperator(
        task_id="job", job_name="cancellable", job_queue="default", job_definition="default"
    )
