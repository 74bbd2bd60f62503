"""A DAG that knows nothing of airflow-batch-cancel; ``adopt_batch_operators`` protects its job."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

with DAG("stock_operator", schedule=None, tags=["batch"], doc_md=__doc__) as dag:
    # [START job]
    BatchOperator(task_id="job", job_name="stock", job_queue="default", job_definition="default")
    # [END job]
