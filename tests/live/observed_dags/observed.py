"""What a cluster leaves behind: a deferred job, a job in a worker, and a sweep."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator

JOB = {"job_name": "observed", "job_queue": "default", "job_definition": "default"}

with DAG("observed", schedule=None):
    CancellableBatchOperator(task_id="worker", **JOB)
    CancellableBatchOperator(task_id="deferred", deferrable=True, **JOB)

with DAG("observed_sweep", schedule=None):
    BatchSweepOperator(task_id="sweep", job_queues="default", min_age=timedelta(0))
