"""What amazon's own operator does, with nothing of this package in it."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

with DAG("stock", schedule=None) as dag:
    BatchOperator(
        task_id="job",
        job_name="stock",
        job_queue="default",
        job_definition="default",
        parameters={"run_seconds": "{{ dag_run.conf.get('run_seconds', '2') }}"},
        poll_interval=1,
        max_retries=100,
    )
