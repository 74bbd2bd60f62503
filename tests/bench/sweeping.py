"""The sweep of so many live jobs: calls, seconds and memory, and how they grow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow_batch_cancel.aws.sweep import Sweep
from tests.bench.report import Section, Table, seconds
from tests.bench.service import CALLS_PER_SECOND
from tests.bench.site import DEPLOYMENT, Tasks
from tests.live.cluster import Cluster

_QUEUES = 5
_STATES = ["failed"] + ["running"] * 99


def measure_sweeps(cluster: Cluster, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Let a process sweep the queues for each size; one in a hundred tasks has failed, the others run."""
    found = []
    for size in sizes:
        queues = [f"swept-{size}-{number}" for number in range(_QUEUES)]
        tasks = Tasks(cluster, size, queues)
        tasks.put(_STATES)
        cluster.reset_batch_calls()
        swept = cluster.ask("tests.bench.sweeping", {"job_queues": queues})
        alive = {job["jobId"] for job in cluster.batch_alive()} & set(tasks.job_ids)
        assert swept["totals"] == {"ALIVE": size - size // 100, "ORPHAN": size // 100}, swept
        assert len(alive) == size - size // 100
        found.append({"jobs": size, **swept, "calls": len(cluster.batch_calls())})
    return found


def sweep_section(found: list[dict[str, Any]]) -> Section:
    """Return the section about the sweep."""
    rows = [
        [
            f"{one['jobs']:,}",
            f"{_calls_needed(one['jobs']) / CALLS_PER_SECOND / one['seconds']:.0%}",
            f"{one['calls'] / _calls_needed(one['jobs']):.2f} ×",
            seconds(one["seconds"]),
            f"{one['calls']:,}",
            f"{one['memory_mib']:.0f} MiB",
            f"{one['memory_mib'] / one['jobs'] * 1024:.1f} KiB",
        ]
        for one in found
    ]
    text = (
        f"A process sweeps {_QUEUES} queues, with the states of their owners out of Airflow's database; "
        "one job in a hundred is an orphan, which is stopped and seen to have ended. The calls needed are a "
        "list of each status of each queue (1,000 rows a page), a look (100 ids), the stops (50 ids), and a "
        "look at the stopped before and after. Memory is what the peak of the process grows by."
    )
    head = ["live jobs", "of the API's rate", "calls needed", "seconds", "calls", "memory", "a job"]
    return Section("Sweep", [text, Table(head, rows)], found)


def _calls_needed(jobs: int) -> int:
    pages = max(1, -(-jobs // _QUEUES // 1000))
    lists = _QUEUES * (4 + pages)
    orphans = jobs // 100
    return lists + -(-jobs // 100) + -(-orphans // 50) + -(-orphans // 100) * 2


def main() -> None:
    """Sweep once, within the environment of an Airflow; say what it took."""
    from airflow.utils.session import create_session

    from airflow_batch_cancel.database import DatabaseStates
    from airflow_batch_cancel.hooks.batch import BatchCancelHook

    job_queues = json.load(sys.stdin)["job_queues"]
    gateway = BatchCancelHook().gateway
    gateway.describe(["00000000-0000-4000-8000-000000000000"])  # the first call of a process takes longer
    before = _peak_mib()
    with create_session() as session:
        sweep = Sweep(gateway, DatabaseStates(session), DEPLOYMENT, min_age=timedelta(0), max_jobs=10_000)
        report = sweep.run(job_queues)
    assert report.ok, report.summary()
    taken = {"seconds": report.seconds, "totals": dict(report.totals), "memory_mib": _peak_mib() - before}
    print(json.dumps(taken))


def _peak_mib() -> float:
    """Return the peak of this process; ``ru_maxrss`` would begin with that of its parent."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) / 1024


if __name__ == "__main__":
    main()
