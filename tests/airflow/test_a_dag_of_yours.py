"""How to test a DAG against the simulated AWS Batch; the documentation shows this file."""

from __future__ import annotations

import json

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock
from airflow_batch_cancel.simulator.server import serve


@pytest.fixture
def batch(monkeypatch):
    """A simulated AWS Batch, a minute of which passes in a second, behind the connection aws_default."""
    batch = BatchSimulator(clock=VirtualClock(rate=60))
    with serve(batch) as url:
        extra = {"region_name": "us-east-1", "endpoint_url": url}
        connection = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        yield batch


@pytest.fixture
def dag(metadata_db):
    """The DAG under test, known to Airflow's database, which ``airflow db migrate`` has made."""
    bag = DagBag("example_dags/cancel_in_a_teardown.py")
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    return bag.dags["cancel_in_a_teardown"]


def test_no_job_outlives_the_run(dag, batch):
    """Three workers were started, and all three are stopped."""
    assert dag.test().state == "success"
    assert len(batch.jobs()) == 3
    assert not batch.alive()


def test_throttling_is_waited_out(dag, batch):
    """AWS Batch refuses every other call for a while."""
    batch.faults.throttle(operation="TerminateJobs", times=2)
    assert dag.test().state == "success"
    assert not batch.alive()
