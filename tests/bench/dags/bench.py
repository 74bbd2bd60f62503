"""Tasks to be put into states from outside; nothing is scheduled."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from tests.bench.sizes import RUNS

JOB = {"task_id": "job", "job_queue": "default", "job_definition": "default"}

for size in RUNS:
    with DAG(f"tasks_{size}", schedule=None) as dag:
        BatchOperator.partial(**JOB).expand(job_name=[f"job-{number}" for number in range(size)])
    globals()[dag.dag_id] = dag
