"""A DAG that has nothing to do with AWS Batch."""

from __future__ import annotations

from airflow.sdk import DAG, task

with DAG("plain", schedule=None) as dag:

    @task
    def nothing() -> None:
        """Do nothing."""

    nothing()
