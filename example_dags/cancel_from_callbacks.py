"""Jobs of the stock operator, cancelled when a task fails, a run fails, or a deadline is missed."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_batch_cancel.notifications.batch import BatchCancelNotifier

# [START callbacks]
with DAG(
    "cancel_from_callbacks",
    schedule=None,
    tags=["batch"],
    on_failure_callback=BatchCancelNotifier(reason="{{ dag_run.run_id }} has failed"),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=6),
        callback=AsyncCallback(BatchCancelNotifier, {"reason": "the run has missed its deadline"}),
    ),
) as dag:
    BatchOperator(
        task_id="job",
        job_name="cancel-from-callbacks",
        job_queue="default",
        job_definition="default",
        poll_interval=30,
        max_retries=240,  # after so many looks the task fails, and leaves its job behind
        on_failure_callback=BatchCancelNotifier(),
    )
# [END callbacks]
