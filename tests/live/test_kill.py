"""A task that is killed in its worker takes its job with it: real processes, real signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.cluster import Cluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One Airflow for all the tests here."""
    with Cluster(Path(__file__).parent / "dags") as cluster:
        yield cluster


def job_of(cluster: Cluster, run_id: str) -> dict[str, Any] | None:
    """Return the job that a run has submitted, found by its owner tag, in the truth of the simulator."""
    found = [job for job in cluster.batch_jobs() if job["tags"].get("airflow_run_id") == run_id]
    assert len(found) <= 1
    return found[0] if found else None


def status_of(cluster: Cluster, run_id: str) -> str:
    job = job_of(cluster, run_id)
    return job["status"] if job else "none"


def test_marked_failed(cluster: Cluster) -> None:
    """Somebody marks the running task failed: its job is terminated, for a reason that names the task."""
    run_id = cluster.trigger("cancellable")
    cluster.wait("the job to run", 60, lambda: status_of(cluster, run_id) == "RUNNING")
    cluster.mark_task("cancellable", run_id, "job", "failed")
    cluster.wait("the job to end", 30, lambda: status_of(cluster, run_id) == "FAILED")
    job = job_of(cluster, run_id)
    assert job is not None
    assert job["isTerminated"]
    assert f"cancellable/{run_id}/job try 1 was killed" in job["statusReason"]
    assert job["tags"]["airflow_deployment"]


def test_killed_while_submit_job_is_in_flight(cluster: Cluster) -> None:
    """SIGTERM comes before SubmitJob has answered: the job is terminated as soon as it has."""
    cluster.batch_faults(kind="latency", operation="SubmitJob", seconds=4)
    try:
        run_id = cluster.trigger("cancellable")
        cluster.wait("the job to be submitted", 60, lambda: job_of(cluster, run_id))
        cluster.task_processes("cancellable", run_id, "job")["runner"].send_signal(signal.SIGTERM)
        cluster.wait("the job to end", 30, lambda: status_of(cluster, run_id) == "FAILED")
    finally:
        cluster.batch_faults()
    job = job_of(cluster, run_id)
    assert job is not None
    assert "killed while SubmitJob was under way" in job["statusReason"]
    assert cluster.wait_for_run("cancellable", run_id) == "failed"


def test_deferral_timeout(cluster: Cluster) -> None:
    """Airflow calls no kill hook then: the task resumes as failed, and stops its job on the way out."""
    run_id = cluster.trigger("deferral_timeout")
    assert cluster.wait_for_run("deferral_timeout", run_id) == "failed"
    cluster.wait("the job to end", 15, lambda: status_of(cluster, run_id) == "FAILED")
    job = job_of(cluster, run_id)
    assert job is not None
    assert "job try 1 failed with TaskDeferralTimeout" in job["statusReason"]
