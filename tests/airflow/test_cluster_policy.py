"""The cluster policy: every stock BatchOperator behaves as ours, when the deployment says so."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.core.owner import Ownership
from airflow_batch_cancel.operators.batch import CancellableBatchOperator

JOB = {"job_queue": "default", "job_definition": "default", "max_retries": 1}


class Derived(BatchOperator):
    """A DAG author's own."""


class DerivedFromOurs(CancellableBatchOperator):
    """A DAG author's own, of ours."""


@pytest.fixture
def adopting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__ADOPT_BATCH_OPERATORS", "True")


def stock_dag(dag_id):
    with DAG(dag_id, schedule=None) as dag:
        BatchOperator(task_id="plain", job_name="plain", **JOB)
        BatchOperator.partial(task_id="mapped", **JOB).expand(job_name=["a", "b"])
    return dag


def test_stock_operators_are_adopted_mapped_ones_too(run, batch, adopting):
    """Jobs of a DAG that knows nothing of this package have owners, and end with their tasks."""
    ran = run(stock_dag("adopted"))
    batch.clock.jump(60)
    owners = {Ownership.from_tags(job.tags).owner for job in batch.jobs()}
    assert {(owner.task_id, owner.map_index) for owner in owners} == {
        ("plain", -1),
        ("mapped", 0),
        ("mapped", 1),
    }
    assert ran.run.state == "failed"
    batch.clock.jump(60)
    assert not batch.alive()


def test_by_default_nothing_is_adopted(run, batch):
    """Installing the package changes no DAG."""
    dag = stock_dag("not_adopted")
    run(dag)
    batch.clock.jump(60)
    assert len(batch.alive()) == 3
    assert not any(job.tags for job in batch.jobs())


def test_subclasses_are_left_alone_with_a_word(run, batch, adopting, caplog):
    """What they override could undo the protection; the log says why, and what to do."""
    with DAG("derived", schedule=None) as dag:
        derived = Derived(task_id="derived", job_name="derived", wait_for_completion=False, **JOB)
        mapped = Derived.partial(task_id="mapped", wait_for_completion=False, **JOB).expand(job_name=["m"])
        ours = DerivedFromOurs(task_id="ours", job_name="ours", wait_for_completion=False, **JOB)
    with caplog.at_level(logging.WARNING):
        run(dag)
    assert (type(derived), mapped.operator_class, type(ours)) == (Derived, Derived, DerivedFromOurs)
    assert "Task derived is left alone" in caplog.text
    assert "Task mapped is left alone" in caplog.text
    assert "Task ours" not in caplog.text


def test_an_error_in_the_policy_keeps_no_dag_from_being_imported(run, batch, monkeypatch, caplog):
    """A setting that is no boolean is logged, and the task stays what it is."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__ADOPT_BATCH_OPERATORS", "perhaps")
    with DAG("unsettled", schedule=None) as dag:
        task = BatchOperator(task_id="job", job_name="job", wait_for_completion=False, **JOB)
    assert run(dag).run.state == "success"
    assert type(task) is BatchOperator
    assert "is not adopted" in caplog.text


@pytest.mark.airflow("3.1", reason="Airflow 3.0 imports FastAPI itself, in every process")
def test_the_policy_costs_next_to_nothing_where_it_is_not_used():
    """Airflow imports it at the start of every process: nothing of AWS comes with it."""
    code = "import sys, airflow_batch_cancel.cluster_policy; print([*sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'airflow.policies'" in loaded
    for name in (
        "boto3",
        "botocore",
        "fastapi",
        "airflow.providers.amazon.aws",
        "airflow_batch_cancel.operators",
    ):
        assert f"'{name}'" not in loaded
