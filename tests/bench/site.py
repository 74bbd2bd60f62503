"""An Airflow on PostgreSQL whose tasks are in whatever state the benchmark puts them into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from airflow_batch_cancel.core.owner import Owner, Ownership
from tests.bench.service import LATENCY_SECONDS
from tests.live.cluster import Cluster

DEPLOYMENT = "live-tests"
_SETTINGS = {
    "AIRFLOW__CORE__MAX_MAP_LENGTH": "20000",
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__TRIGGERER__CAPACITY": "10000",
    "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "1000",
    "AIRFLOW__BATCH_CANCEL__POLL_INTERVAL": "5",
}


def make_site() -> Cluster:
    """Return an Airflow that only has an API server to begin with."""
    return Cluster(
        Path(__file__).parent / "dags",
        _SETTINGS,
        postgres=True,
        components=["api-server"],
        prepare=_prepare,
    )


def _prepare(cluster: Cluster) -> None:
    cluster.airflow("dags", "reserialize")
    cluster.batch_faults(kind="latency", seconds=LATENCY_SECONDS)


class Tasks:
    """
    A run whose mapped tasks each have a running job.

    :param count: how many; one of the sizes in ``sizes``
    :param queues: where the jobs are, in turn; they are made
    """

    def __init__(self, cluster: Cluster, count: int, queues: Sequence[str] = ("default",)) -> None:
        self.cluster = cluster
        self._queues = queues
        for queue in queues:
            cluster.batch_queue(queue)
        self.count = count
        self.dag_id = f"tasks_{count}"
        run = cluster.api("POST", f"/dags/{self.dag_id}/dagRuns", {"logical_date": None})
        self.run_id: str = run["dag_run_id"]
        jobs = [self._job(number) for number in range(count)]
        named = cluster.simulator("POST", "/scenario", {"scenario": {"jobs": jobs}})["result"]
        self.job_ids = [named[job["name"]] for job in jobs]

    def put(self, states: Sequence[str], **more: Any) -> None:
        """Put the task instances into states, one after the other; what else there is, see ``rows``."""
        given = {
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "job_ids": self.job_ids,
            "states": states,
            **more,
        }
        put = self.cluster.ask("tests.bench.rows", given)
        assert put == {"task_instances": self.count}, put

    def fail(self) -> None:
        """Mark the run failed, as a person does."""
        self.cluster.mark_run(self.dag_id, self.run_id, "failed")

    def _job(self, number: int) -> dict[str, Any]:
        owner = Owner(DEPLOYMENT, self.dag_id, self.run_id, "job", number, 1)
        return {
            "name": owner.job_name("job"),
            "status": "RUNNING",
            "queue": self._queues[number % len(self._queues)],
            "tags": Ownership(owner).tags(),
        }


def memory_mib(pid: int) -> float:
    """Return the memory that a process and its descendants have for themselves."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_full_info().uss for one in family)) / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the time on the CPU of a process and its descendants."""
    process = psutil.Process(pid)
    used = (one.cpu_times() for one in (process, *process.children(recursive=True)))
    return float(sum(times.user + times.system for times in used))
