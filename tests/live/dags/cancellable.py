"""A job that belongs to its task."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

with DAG("cancellable", schedule=None) as dag:
    CancellableBatchOperator(
        task_id="job", job_name="cancellable", job_queue="default", job_definition="default"
    )

with DAG("deferral_timeout", schedule=None) as timeout_dag:
    CancellableBatchOperator(
        task_id="job",
        job_name="deferral-timeout",
        job_queue="default",
        job_definition="default",
        deferrable=True,
        poll_interval=5,
        execution_timeout=timedelta(seconds=10),
    )
