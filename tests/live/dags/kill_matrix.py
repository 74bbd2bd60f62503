"""
The DAGs of the kill matrix: one for each way a task may be set up, in each mode.

A run's configuration says in which queue its job is and how that behaves.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_batch_cancel.operators.batch import CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator
from tests.live.matrix.modes import MODES, QUEUES, VARIANTS


def job(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that all the jobs have in common."""
    return {
        "task_id": "job",
        "job_queue": "{{ dag_run.conf.get('queue', 'default') }}",
        "job_definition": "default",
        "aws_conn_id": "{{ dag_run.conf.get('connection', 'aws_default') }}",
        "parameters": {"stop_seconds": "{{ dag_run.conf.get('stop_seconds', '1') }}"},
        "poll_interval": 5,
        "max_retries": 10000,
        "retry_delay": timedelta(seconds=1),
        **arguments,
    }


for variant, settings in VARIANTS.items():
    for mode, arguments in MODES.items():
        with DAG(
            f"{variant}__{mode.replace('-', '_')}",
            schedule=None,
            dagrun_timeout=settings.get("dagrun_timeout"),
            fail_fast=settings.get("fail_fast", False),
            is_paused_upon_creation=False,
        ) as dag:
            made = job(**arguments, **settings.get("task", {}))
            if settings.get("mapped"):
                names = [f"mapped-{number}" for number in range(20)]
                CancellableBatchOperator.partial(**made).expand(job_name=names)
            else:
                CancellableBatchOperator(job_name=variant, **made)
            if settings.get("fail_fast"):

                @task
                def sibling() -> None:
                    time.sleep(15)
                    raise ValueError("the sibling fails")

                sibling()
        globals()[dag.dag_id] = dag

with DAG(
    "sweep",
    schedule="* * * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
) as sweep:
    BatchSweepOperator(task_id="sweep", job_queues=["default", *QUEUES], retries=1, retry_delay=timedelta(0))
