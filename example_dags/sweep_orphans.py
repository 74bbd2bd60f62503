"""Every minute, stop the AWS Batch jobs whose tasks are no longer alive, however they died."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_batch_cancel.operators.sweep import BatchSweepOperator

with DAG(
    "sweep_orphans",
    description=__doc__,
    schedule="* * * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    is_paused_upon_creation=False,
) as dag:
    BatchSweepOperator(
        task_id="sweep",
        # Every queue that a CancellableBatchOperator of this Airflow submits to.
        job_queues=["default"],
    )
