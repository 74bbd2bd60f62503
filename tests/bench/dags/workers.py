"""Tasks to be killed in their workers, which read this file and no longer one."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator
from tests.bench.sizes import KILLED_IN_WORKERS

with DAG("in_workers", schedule=None) as dag:
    names = [f"worker-{number}" for number in range(KILLED_IN_WORKERS)]
    CancellableBatchOperator.partial(
        task_id="job", job_queue="default", job_definition="default", max_retries=10_000
    ).expand(job_name=names)
