"""A task with a job, in several modes; many at once; and the sweep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator

JOB: dict[str, Any] = {
    "task_id": "job",
    "job_queue": "default",
    "job_definition": "default",
    "poll_interval": 5,
    "max_retries": 10000,
}

with DAG("sync", schedule=None):
    CancellableBatchOperator(job_name="sync", **JOB)

with DAG("retried", schedule=None):
    CancellableBatchOperator(job_name="retried", retries=1, retry_delay=timedelta(seconds=1), **JOB)

with DAG("deferrable", schedule=None):
    CancellableBatchOperator(job_name="deferrable", deferrable=True, **JOB)

with DAG("many", schedule=None):
    names = [f"many-{number}" for number in range(200)]
    CancellableBatchOperator.partial(deferrable=True, **JOB).expand(job_name=names)

with DAG("sweep", schedule=None):
    BatchSweepOperator(task_id="sweep", job_queues=["default"])
