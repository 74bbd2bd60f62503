"""The notifier in every place in which Airflow calls back: worker, DAG processor, triggerer and executor."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_batch_cancel.core.owner import Owner, Ownership
from tests.live.cluster import Cluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
DAGS = (
    "task_fails",
    "task_is_retried",
    "task_begins",
    "worker_is_lost",
    "run_fails",
    "deadline_in_triggerer",
    "deadline_in_executor",
)


class Runs:
    """
    A run of every DAG, all at once; their jobs are called like the DAG.

    :param ids: the run of each DAG
    :param bystander: a job of another run of one of them
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.ids = {dag_id: cluster.trigger(dag_id) for dag_id in DAGS}
        other = Owner("live-tests", "run_fails", "another-run", "owned", -1, 1)
        tags = Ownership(other).tags()
        job = {"name": other.job_name("bystander"), "status": "RUNNING", "tags": tags}
        self.bystander = cluster.simulator("POST", "/jobs/submit", job)["result"]

    def jobs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the jobs of a DAG's run, oldest first."""
        found = [job for job in self.cluster.batch_jobs() if job["jobName"].startswith(dag_id)]
        return sorted(found, key=lambda job: float(job["createdAt"]))

    def wait_until_running(self, dag_id: str, count: int = 1) -> None:
        """Wait until so many jobs of a DAG's run are running."""
        running = ["RUNNING"] * count
        self.cluster.wait(
            f"{dag_id} to run", 120, lambda: [job["status"] for job in self.jobs(dag_id)] == running
        )

    def miss_deadline(self, dag_id: str) -> None:
        """Move the deadline of a DAG's run into the past."""
        with contextlib.closing(sqlite3.connect(self.cluster.home / "airflow.db", timeout=30)) as db, db:
            db.execute(
                "update deadline set deadline_time = datetime('now', '-1 minute') "
                "where dagrun_id = (select id from dag_run where run_id = ? and dag_id = ?)",
                (self.ids[dag_id], dag_id),
            )

    def ended(self, dag_id: str, count: int, seconds: float = 90) -> list[dict[str, Any]]:
        """Return the first jobs of a DAG's run when so many have been terminated."""

        def terminated() -> list[bool]:
            return [job["status"] == "FAILED" and job["isTerminated"] for job in self.jobs(dag_id)[:count]]

        self.cluster.wait(f"{count} jobs of {dag_id} to end", seconds, lambda: sum(terminated()) == count)
        return self.jobs(dag_id)[:count]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """One Airflow with a run of every DAG, and a connection that only its database has."""
    with Cluster(Path(__file__).parent / "callback_dags") as cluster:
        extra = {"region_name": "us-east-1", "endpoint_url": cluster.simulator_url}
        connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": json.dumps(extra)}
        cluster.api("POST", "/connections", {"connection_id": "aws_in_database", **connection})
        yield Runs(cluster)


def test_a_task_that_begins(runs: Runs) -> None:
    """In the worker, before a later try submits: the jobs of earlier tries, found by their tags."""
    runs.wait_until_running("task_begins")
    runs.cluster.task_processes("task_begins", runs.ids["task_begins"], "job")["runner"].kill()
    (job,) = runs.ended("task_begins", 1)
    assert job["statusReason"].endswith("job try 2 begins")
    runs.cluster.wait("the next try's job", 60, lambda: len(runs.jobs("task_begins")) == 2)
    assert runs.jobs("task_begins")[1]["status"] != "FAILED"


def test_a_worker_that_is_lost(runs: Runs) -> None:
    """In the DAG processor, which calls back for a worker that no longer can."""
    runs.wait_until_running("worker_is_lost")
    processes = runs.cluster.task_processes("worker_is_lost", runs.ids["worker_is_lost"], "job")
    processes["supervisor"].kill()
    processes["runner"].kill()
    (job,) = runs.ended("worker_is_lost", 1)
    assert job["statusReason"] == "worker_is_lost calls back"


def test_a_task_that_fails(runs: Runs) -> None:
    """In the worker: the XCom of the task tells the job; templates see the task's context."""
    (job,) = runs.ended("task_fails", 1)
    assert job["statusReason"] == "task_fails calls back"


def test_a_task_that_is_retried(runs: Runs) -> None:
    """In the worker, before the retry: the job of the try that has failed, and no other."""
    runs.ended("task_is_retried", 1)
    runs.cluster.wait("the retry", 60, lambda: len(runs.jobs("task_is_retried")) == 2)
    runs.cluster.wait_for_run("task_is_retried", runs.ids["task_is_retried"])
    first, second = runs.jobs("task_is_retried")
    assert (first["status"], second["status"]) == ("FAILED", "RUNNING")


def test_a_run_that_fails(runs: Runs) -> None:
    """In the DAG processor: all the jobs of the run, those of mapped tasks and of tags too, and no others."""
    jobs = runs.ended("run_fails", 3)
    run = f"Airflow DAG run run_fails/{runs.ids['run_fails']}"
    assert {job["statusReason"] for job in jobs} == {f"{run} has ended: task_failure"}
    (bystander,) = (job for job in runs.cluster.batch_jobs() if job["jobId"] == runs.bystander)
    assert bystander["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("dag_id", "count"),
    [
        pytest.param("deadline_in_triggerer", 2, id="AsyncCallback, in the triggerer"),
        pytest.param("deadline_in_executor", 1, id="SyncCallback, in the executor"),
    ],
)
def test_a_run_that_misses_its_deadline(runs: Runs, dag_id: str, count: int) -> None:
    """All the jobs of the run, whose tasks are alive."""
    runs.wait_until_running(dag_id, count)
    runs.miss_deadline(dag_id)
    jobs = runs.ended(dag_id, count)
    reason = f"Airflow DAG run {dag_id}/{runs.ids[dag_id]} has missed its deadline"
    assert {job["statusReason"] for job in jobs} == {reason}
