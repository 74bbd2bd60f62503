"""DAGs whose runs have Batch jobs; the jobs are made by the tests, nothing is scheduled."""

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.operators.batch import CancellableBatchOperator

JOB = {"job_queue": "default", "job_definition": "default"}

with DAG("tab", schedule=None):
    BatchOperator(task_id="stock", job_name="stock", retries=2, **JOB)
    CancellableBatchOperator(task_id="owned", job_name="owned", **JOB)
    BatchOperator.partial(task_id="many", **JOB).expand(job_name=["a", "b", "c"])

with DAG("other", schedule=None):
    BatchOperator(task_id="stock", job_name="stock", **JOB)

with DAG("thousand", schedule=None):
    BatchOperator.partial(task_id="many", **JOB).expand(job_name=[f"part-{i:04}" for i in range(1000)])

# The one in the pictures.
with DAG("nightly_orders", schedule=None):
    (
        BatchOperator(task_id="load_orders", job_name="load-orders", **JOB)
        >> CancellableBatchOperator(task_id="train_model", job_name="train-model", **JOB)
        >> BatchOperator.partial(task_id="score", retries=2, **JOB).expand(
            job_name=["north", "south", "west"]
        )
    )
