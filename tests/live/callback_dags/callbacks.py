"""A DAG for each place in which Airflow calls back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, task

from airflow_batch_cancel.notifications.batch import BatchCancelNotifier
from airflow_batch_cancel.operators.batch import CancellableBatchOperator

JOB: dict[str, Any] = {"job_name": "{{ dag.dag_id }}", "job_queue": "default", "job_definition": "default"}
MAPPED: dict[str, Any] = {"job_queue": "default", "job_definition": "default"}
GIVES_UP: dict[str, Any] = {**JOB, "poll_interval": 1, "max_retries": 1, "retry_delay": timedelta(seconds=1)}
FROM_DATABASE = {"aws_conn_id": "aws_in_database", "reason": "{{ dag_run.dag_id }} calls back"}
BY_TAGS = {"aws_conn_id": "aws_in_database", "job_queues": ["default"]}
# Airflow gives a SyncCallback no connection out of its database.
BY_TAGS_ALONE = {"aws_conn_id": "aws_default", "job_queues": ["default"]}


def deadline(callback: AsyncCallback | SyncCallback) -> DeadlineAlert:
    """Return a deadline that a run misses when the test moves it."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=1), callback=callback
    )


with DAG("task_fails", schedule=None):
    BatchOperator(task_id="job", on_failure_callback=BatchCancelNotifier(**FROM_DATABASE), **GIVES_UP)

with DAG("task_is_retried", schedule=None):
    BatchOperator(
        task_id="job", retries=1, on_retry_callback=BatchCancelNotifier(**FROM_DATABASE), **GIVES_UP
    )

with DAG("task_begins", schedule=None):
    CancellableBatchOperator(
        task_id="job",
        retries=1,
        on_execute_callback=BatchCancelNotifier(**BY_TAGS),
        retry_delay=timedelta(seconds=1),
        **JOB,
    )

with DAG("worker_is_lost", schedule=None):
    BatchOperator(task_id="job", on_failure_callback=BatchCancelNotifier(**FROM_DATABASE), **JOB)

with DAG("run_fails", schedule=None, on_failure_callback=BatchCancelNotifier(**BY_TAGS)):

    @task
    def fail() -> None:
        """Fail."""
        raise ValueError("on purpose")

    stock = BatchOperator.partial(task_id="stock", wait_for_completion=False, **MAPPED).expand(
        job_name=["run_fails-1", "run_fails-2"]
    )
    owned = CancellableBatchOperator(task_id="owned", wait_for_completion=False, **JOB)
    [stock, owned] >> fail()

with DAG(
    "deadline_in_triggerer",
    schedule=None,
    deadline=deadline(AsyncCallback(BatchCancelNotifier, {"aws_conn_id": "aws_in_database"})),
):
    names = ["deadline_in_triggerer-1", "deadline_in_triggerer-2"]
    BatchOperator.partial(task_id="job", **MAPPED).expand(job_name=names)

with DAG(
    "deadline_in_executor", schedule=None, deadline=deadline(SyncCallback(BatchCancelNotifier, BY_TAGS_ALONE))
):
    CancellableBatchOperator(task_id="job", **JOB)
