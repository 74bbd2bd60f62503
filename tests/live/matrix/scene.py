"""One run of a row of the kill matrix: the task, its jobs in the simulator's truth, and what they came to."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from tests.live.cluster import Cluster

STOPPED_BY = {
    "was killed while SubmitJob": "on_kill, as soon as SubmitJob answered",
    "was killed while deferred": "on_kill in the triggerer",
    "deferred tasks of": "on_kill in the triggerer",
    "was killed": "on_kill in the worker",
    "is tried again": "the next try",
    "failed with": "the task on its way out",
    "Airflow sweep": "the sweep",
    "attempt duration exceeded": "the job's own timeout",
}
"""What the reason on a job says of who stopped it."""
LONGEST_OVERLAP_SECONDS = 5.0
"""How long two jobs of one task instance may live side by side: as long as a stop takes."""


class Scene:
    """
    A run of one of the matrix's DAGs.

    :param conf: the run's
    """

    def __init__(self, cluster: Cluster, dag_id: str, conf: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.dag_id = dag_id
        self.queue = str(conf.get("queue", "default"))
        self.run_id = cluster.trigger(dag_id, dict(conf))
        self.died_at = time.time()
        self.at_risk: list[str] = []

    def jobs(self) -> list[dict[str, Any]]:
        """Return the run's jobs, the oldest first."""
        found = [job for job in self.cluster.batch_jobs() if job["tags"].get("airflow_run_id") == self.run_id]
        return sorted(found, key=lambda job: float(job["createdAt"]))

    def alive(self) -> list[dict[str, Any]]:
        """Return the run's jobs that have not ended."""
        return [job for job in self.jobs() if job["status"] not in ("SUCCEEDED", "FAILED")]

    def task(self, field: str = "state") -> Any:
        """Return a field of the task instance; None when there is none."""
        try:
            return self.cluster.task_instance(self.dag_id, self.run_id, "job")[field]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def processes(self) -> dict[str, psutil.Process]:
        """Return the processes of the running task."""
        return self.cluster.task_processes(self.dag_id, self.run_id, "job")

    def fault(self, **fault: Any) -> None:
        """Let AWS do something wrong in the run's queue."""
        self.cluster.batch_faults(**fault, queue=self.queue)

    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> None:
        """Wait, patiently with an API server that is away."""

        def patiently() -> Any:
            try:
                return ready()
            except OSError:
                return False

        self.cluster.wait(f"{what} ({self.dag_id}, {self.run_id})", seconds, patiently)

    def overlaps(self) -> list[float]:
        """Return for how long jobs of one task instance were alive side by side, in seconds."""
        by_instance: dict[str, list[dict[str, Any]]] = {}
        for job in self.jobs():
            by_instance.setdefault(job["tags"]["airflow_map_index"], []).append(job)
        now = time.time()
        return [
            min(older.get("stoppedAt") or now, newer.get("stoppedAt") or now) - newer["createdAt"]
            for jobs in by_instance.values()
            for position, older in enumerate(jobs)
            for newer in jobs[position + 1 :]
        ]

    def died(self) -> None:
        """Take note that the death is now, and of the jobs that are alive."""
        self.died_at = time.time()
        self.at_risk = [job["jobId"] for job in self.alive()]

    def stopped_by(self) -> str:
        """Return who stopped the jobs that were at risk, or that came later, as the reasons on them say."""
        stopped = (job["statusReason"] for job in self._concerned() if job.get("isTerminated"))
        return ", ".join(sorted({_stopper(reason) for reason in stopped}))

    def seconds_to_the_stop(self) -> float | None:
        """Return how long after the death the last of them had ended."""
        stopped = [job["stoppedAt"] for job in self._concerned() if job.get("stoppedAt")]
        return max(stopped) - self.died_at if stopped else None

    def _concerned(self) -> list[dict[str, Any]]:
        jobs = self.jobs()
        return [job for job in jobs if job["jobId"] in self.at_risk] or jobs


def _stopper(reason: str) -> str:
    return next((who for part, who in STOPPED_BY.items() if part in reason), reason)
