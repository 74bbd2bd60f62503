"""The API of the page: a run with so many jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from tests.bench.report import Section, Table, percentile, seconds
from tests.bench.site import Tasks, memory_mib
from tests.live.cluster import Cluster
from tests.live.wire import http, is_found

_REQUESTS = 8


def measure_pages(cluster: Cluster, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Ask for the jobs of a run several times, for each size."""
    return [_measure(cluster, Tasks(cluster, size)) for size in sizes]


def showing_section(found: list[dict[str, Any]]) -> Section:
    """Return the section about the page."""
    rows = [
        [
            f"{one['jobs']:,}",
            f"{one['first_calls']:,}",
            seconds(one["first_seconds"]),
            f"{one['calls']:,.0f}",
            seconds(percentile(one["seconds"], 50)),
            seconds(percentile(one["seconds"], 95)),
            f"{one['memory_mib']:.0f} MiB",
        ]
        for one in found
    ]
    head = ["jobs of the run", "calls: first", "seconds: first", "calls: then", "p50", "p95", "memory"]
    text = (
        f"A run whose tasks have a running job each; its jobs are asked for once, and then {_REQUESTS} "
        "times, as the page does. Calls are those to AWS Batch for one answer; memory is what the API server "
        "has grown by in the end."
    )
    return Section("The page of a run", [text, Table(head, rows)], found)


def _measure(cluster: Cluster, tasks: Tasks) -> dict[str, Any]:
    tasks.put(["running"], xcoms=True)
    pid = cluster.processes["api-server"].pid
    is_found(lambda: _ask(cluster, tasks.dag_id, "no-such-run"))  # what the first request of all loads
    before = memory_mib(pid)
    cluster.reset_batch_calls()
    first = _ask(cluster, tasks.dag_id, tasks.run_id)
    first_calls = len(cluster.batch_calls())
    taken = [_ask(cluster, tasks.dag_id, tasks.run_id) for _ in range(_REQUESTS)]
    calls = (len(cluster.batch_calls()) - first_calls) / _REQUESTS
    assert {rows for _, rows in taken} == {tasks.count}
    return {
        "jobs": tasks.count,
        "first_calls": first_calls,
        "first_seconds": first[0],
        "calls": calls,
        "seconds": [one for one, _ in taken],
        "memory_mib": memory_mib(pid) - before,
    }


def _ask(cluster: Cluster, dag_id: str, run_id: str) -> tuple[float, int]:
    """Return how long the answer took, and how many jobs are in it."""
    token = http("GET", f"{cluster.url}/auth/token", None, {})["access_token"]
    began = time.perf_counter()
    path = f"{cluster.url}/batch-cancel/dags/{dag_id}/dagRuns/{quote(run_id)}/jobs"
    answer = http("GET", path, None, {"Authorization": f"Bearer {token}"})
    return time.perf_counter() - began, len(answer["jobs"])
