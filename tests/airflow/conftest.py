"""DAG runs on the real Task SDK in this process, against a simulated AWS Batch over HTTP."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

from airflow_batch_cancel.compat import airflow_is
from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock
from airflow_batch_cancel.simulator.server import serve

# The documentation shows this file, which so is written for today's Airflow.
collect_ignore = [] if airflow_is("3.2") else ["test_a_dag_of_yours.py"]


@pytest.fixture(scope="session")
def metadata_db() -> None:
    """Make the metadata database, once."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def batch() -> BatchSimulator:
    """A simulated AWS Batch in which ten seconds pass in one."""
    return BatchSimulator(clock=VirtualClock(rate=10.0))


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stock operator waits up to ten seconds before it first looks at its job."""
    monkeypatch.setattr(BatchClientHook, "DEFAULT_DELAY_MIN", 0)
    monkeypatch.setattr(BatchClientHook, "DEFAULT_DELAY_MAX", 0.2)


@pytest.fixture
def connection(batch: BatchSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default AWS connection leads to the simulator; yields its address."""
    with serve(batch) as url:
        extra = {"region_name": "us-east-1", "endpoint_url": url}
        uri = {"conn_type": "aws", "login": "simulated", "password": "simulated", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(uri))
        monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID", "tests")
        yield url


@pytest.fixture
def rotate(batch: BatchSimulator, connection: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Replace the access key in the default connection, and retire the one that was in it."""
    numbers = itertools.count(2)

    def rotate() -> None:
        given = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
        new = {**given, "login": f"simulated-{next(numbers)}"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(new))
        batch.retire_key(given["login"])

    return rotate


@dataclass
class Ran:
    """A DAG run that has ended."""

    run: Any

    def state(self, task_id: str, map_index: int = -1) -> str:
        """Return the state of a task instance."""
        return str(self.run.get_task_instance(task_id, map_index=map_index).state)

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            query = XComModel.get_many(
                run_id=self.run.run_id, dag_ids=self.run.dag_id, task_ids=task_id, key=key
            )
            row = session.execute(query).scalars().first()
            return None if row is None else XComModel.deserialize_value(row)


@pytest.fixture
def run(connection: str, metadata_db: None) -> Callable[..., Ran]:
    """Run a DAG to its end and return what became of it."""

    def run(dag: Any, **kwargs: Any) -> Ran:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        from tests.airflow.dagbag import DagBag, sync_bag_to_db

        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(dag_folder=os.devnull)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        return Ran(dag.test(**kwargs))

    return run
