"""A simulated AWS Batch in a process of its own, over HTTP, with a world of jobs in it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.live.cluster import ROOT
from tests.live.wire import http

LATENCY_SECONDS = 0.05
"""How long the service takes to answer a call."""
STOP_SECONDS = 0.2
"""How long a started job takes to end after it was terminated."""
CALLS_PER_SECOND = 50.0
"""The rate that AWS publishes for an account and Region."""
BURST = 10
"""How many calls the token bucket takes at once."""

_MIX: tuple[tuple[int, dict[str, Any]], ...] = (
    (10, {"status": "RUNNING"}),
    (2, {"status": "STARTING", "starting_seconds": 3600}),
    (4, {"status": "RUNNABLE", "queue": "blocked"}),
    (1, {"status": "SUBMITTED", "submitted_seconds": 3600}),
    (1, {"status": "PENDING"}),
    (1, {"status": "RUNNING", "array_size": 10}),
    (1, {"status": "SUCCEEDED"}),
)
"""How many of twenty jobs are in which state; a PENDING one depends on a RUNNING one."""


@dataclass(frozen=True, slots=True)
class Count:
    """
    What reached the service.

    :param calls: how many calls
    :param refused: how many of them were answered with an error
    :param by_operation: how many calls of each operation
    """

    calls: int
    refused: int
    by_operation: dict[str, int]


class Service:
    """
    The simulated service, as a benchmark sees it.

    :param url: where it is
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, *, bulk: bool = True, **config: Any) -> Any:
        """
        Return a botocore client.

        :param bulk: False for one without CancelJobs and TerminateJobs, as before botocore 1.43.93
        :param config: arguments of ``botocore.config.Config``
        """
        client = boto3.session.Session().client(
            "batch",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="simulated",
            aws_secret_access_key="simulated",
            config=Config(**config),
        )
        if not bulk:
            for name in ("cancel_jobs", "terminate_jobs"):
                delattr(type(client), name)
        return client

    def control(self, method: str, path: str, json: Any = None) -> Any:
        """Call the simulator's own paths; ``path`` is relative to ``/_simulator``."""
        return http(method, f"{self.url}/_simulator{path}", json, {})

    def fault(self, **rule: Any) -> None:
        """Let something go wrong."""
        self.control("POST", "/faults", rule)

    def load(self, scenario: dict[str, Any]) -> dict[str, str]:
        """Add a world, and return the job ids by job name."""
        return dict(self.control("POST", "/scenario", {"scenario": scenario})["result"])

    def alive(self) -> int:
        """Return how many jobs have not ended."""
        return sum(job["status"] not in ("SUCCEEDED", "FAILED") for job in self.control("GET", "/jobs"))

    def count(self) -> Count:
        """Return what has reached the service since the start, or :meth:`forget`."""
        calls = self.control("GET", "/calls")
        by_operation = Counter(call["operation"] for call in calls)
        return Count(len(calls), sum(call["status_code"] != 200 for call in calls), dict(by_operation))

    def forget(self) -> None:
        """Forget the calls so far."""
        self.control("POST", "/calls/reset")


@contextlib.contextmanager
def service() -> Iterator[Service]:
    """Start a simulated service; its process ends with the context."""
    command = [sys.executable, "-m", "airflow_batch_cancel.simulator"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Service(process.stdout.readline().split()[-1])
        finally:
            process.terminate()


def mixed_jobs(count: int) -> dict[str, Any]:
    """Return a scenario of jobs in all the states, some of them arrays, some depending on others."""
    kinds = [kind for share, kind in _MIX for _ in range(share)]
    jobs = []
    for number in range(count):
        job = {"name": f"job-{number}", "stop_seconds": STOP_SECONDS, **kinds[number % len(kinds)]}
        if job["status"] == "PENDING":
            job["depends_on"] = [f"job-{number - number % len(kinds)}"]
        jobs.append(job)
    return {"queues": [{"name": "blocked", "slots": 0}], "jobs": jobs}


def live_jobs(count: int) -> int:
    """Return how many of so many mixed jobs have not ended."""
    kinds = [kind for share, kind in _MIX for _ in range(share)]
    return sum(kinds[number % len(kinds)]["status"] != "SUCCEEDED" for number in range(count))
