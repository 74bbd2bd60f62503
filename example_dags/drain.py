"""Drop the jobs that have not started, and let those that have finish, for a while."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import BatchCancelOperator

with DAG("drain", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    submit = BatchOperator.partial(
        task_id="submit",
        job_queue="default",
        job_definition="default",
        wait_for_completion=False,
    ).expand(job_name=["drained-1", "drained-2", "drained-3"])

    # [START drain]
    drain = BatchCancelOperator(
        task_id="drain",
        reason="no more work for today",
        terminate_after=timedelta(minutes=30),
        timeout=timedelta(minutes=5),
        deferrable=True,
    )
    # [END drain]

    submit >> drain
