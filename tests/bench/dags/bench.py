"""Tasks to be put into states from outside, and tasks to be killed; nothing of the former is scheduled."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator
from tests.bench.sizes import KILLED_IN_WORKERS, RUNS

JOB = {"task_id": "job", "job_queue": "default", "job_definition": "default"}

for size in RUNS:
    with DAG(f"tasks_{size}", schedule=None) as dag:
        BatchOperator.partial(**JOB).expand(job_name=[f"job-{number}" for number in range(size)])
    globals()[dag.dag_id] = dag

with DAG("in_workers", schedule=None, max_active_tasks=KILLED_IN_WORKERS) as in_workers:
    names = [f"worker-{number}" for number in range(KILLED_IN_WORKERS)]
    CancellableBatchOperator.partial(**JOB, max_retries=10_000).expand(job_name=names)
