"""The DAGs of a chaos campaign: the operator in every mode, a cancel of a run, the sweep of every minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import BatchCancelOperator, CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator
from tests.chaos.plan import CALM, MODES, ROUGH, VARIANTS

JOB: dict[str, Any] = {
    "task_id": "job",
    "job_queue": "{{ dag_run.conf.get('queue') }}",
    "job_definition": "default",
    "aws_conn_id": "{{ dag_run.conf.get('connection') }}",
    "parameters": {"run_seconds": "{{ dag_run.conf.get('run_seconds') }}"},
    "poll_interval": 5,
    "max_retries": 10000,
}

for mode, arguments in MODES.items():
    for variant, count in VARIANTS.items():
        with DAG(f"chaos__{mode}__{variant}", schedule=None, is_paused_upon_creation=False) as dag:
            retries = 0 if variant == "plain" else 3
            job = {**JOB, **arguments, "retries": retries, "retry_delay": timedelta(seconds=3)}
            if count > 1:
                CancellableBatchOperator.partial(**job).expand(job_name=[f"job-{n}" for n in range(count)])
            else:
                CancellableBatchOperator(job_name=variant, **job)
        globals()[dag.dag_id] = dag

with DAG("cancel", schedule=None, is_paused_upon_creation=False) as cancel:
    BatchCancelOperator(
        task_id="cancel",
        dag_id="{{ dag_run.conf.get('dag_id') }}",
        run_id="{{ dag_run.conf.get('run_id') }}",
        job_queues=[CALM, ROUGH],
        timeout=timedelta(minutes=2),
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=2),
    )

with DAG(
    "sweep",
    schedule="* * * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
) as sweep:
    BatchSweepOperator(
        task_id="sweep", job_queues=[CALM, ROUGH], min_age=timedelta(seconds=5), retry_delay=timedelta(0)
    )
