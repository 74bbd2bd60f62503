"""
Submit jobs in every state that a Batch job can be in, cancel them all, and wait until that is true.

The stock ``BatchOperator`` submits here: its jobs are cancelled without a change to them.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, task

from airflow_batch_cancel.operators.batch import BatchCancelOperator
from airflow_batch_cancel.sensors.batch import BatchCancelSensor

QUEUE = os.environ.get("BATCH_JOB_QUEUE", "default")
NARROW_QUEUE = os.environ.get("BATCH_NARROW_QUEUE", "default")
DEFINITION = os.environ.get("BATCH_JOB_DEFINITION", "default")

with DAG("cancel_a_run", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    common = {"job_definition": DEFINITION, "wait_for_completion": False}

    # [START submit]
    running = BatchOperator(task_id="running", job_name="running", job_queue=QUEUE, **common)
    waiting = BatchOperator.partial(task_id="in_the_queue", job_queue=NARROW_QUEUE, **common).expand(
        job_name=["in-the-queue-1", "in-the-queue-2"]
    )
    array = BatchOperator(
        task_id="array",
        job_name="array",
        job_queue=NARROW_QUEUE,
        array_properties={"size": 5},
        **common,
    )
    # [END submit]

    @task
    def pending_on_running(job_id: str, ti=None) -> str:
        """Submit a job that depends on another one, which BatchOperator has no argument for."""
        hook = BatchClientHook()
        job = hook.conn.submit_job(
            jobName="pending", jobQueue=QUEUE, jobDefinition=DEFINITION, dependsOn=[{"jobId": job_id}]
        )
        ti.xcom_push(
            key="batch_job_details", value={"job_id": job["jobId"], "region_name": hook.conn_region_name}
        )
        return job["jobId"]

    pending = pending_on_running(running.output)

    @task
    def until_they_run(job_ids: list[str]) -> None:
        """Give the jobs a moment to start."""
        import time

        hook = BatchClientHook()
        for _ in range(60):
            jobs = hook.conn.describe_jobs(jobs=job_ids)["jobs"]
            if {job["status"] for job in jobs} <= {"RUNNING", "SUCCEEDED", "FAILED"}:
                return
            time.sleep(1)

    started = until_they_run([running.output])

    # [START cancel]
    cancel = BatchCancelOperator(
        task_id="cancel",
        reason="{{ dag.dag_id }} shows how to cancel",
        timeout=timedelta(minutes=2),
        fail_if_none=True,
    )
    # [END cancel]

    # [START wait]
    wait = BatchCancelSensor(task_id="wait_until_stopped", poke_interval=2, timeout=120, mode="reschedule")
    # [END wait]

    [pending, waiting, array] >> started >> cancel >> wait
