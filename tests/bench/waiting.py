"""Waiting: what one triggerer needs for so many deferred tasks, with this trigger or the stock one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.report import Section, Table
from tests.bench.site import Tasks, cpu_seconds, make_site, memory_mib
from tests.bench.sizes import POLL_SECONDS, WAITING_STOCK
from tests.live.cluster import ROOT, Cluster

WINDOW_SECONDS = 20.0
STOCK_PYTHON = ROOT / ".venv" / "stock" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Waited:
    """
    A triggerer with so many deferred tasks.

    :param kind: ``ours`` or ``stock``
    :param calls_per_minute: that reached AWS Batch
    :param cpu_percent: of one core
    :param memory_mib: beyond what the triggerer has without a task
    """

    kind: str
    tasks: int
    calls_per_minute: float
    cpu_percent: float
    memory_mib: float


def measure_waiting(cluster: Cluster, kind: str, sizes: tuple[int, ...]) -> list[Waited]:
    """Measure a fresh triggerer for each size."""
    cluster.start("triggerer")
    cluster.wait("an idle triggerer", 60, lambda: _is_up(cluster))
    idle = memory_mib(cluster.processes["triggerer"].pid)
    return [_measure(cluster, kind, Tasks(cluster, size), idle) for size in sizes]


def defer(cluster: Cluster, tasks: Tasks, kind: str) -> None:
    """Let a new triggerer have these deferred tasks, and wait until it looks at all of their jobs."""
    if "triggerer" in cluster.processes and cluster.processes["triggerer"].poll() is None:
        cluster.kill("triggerer", signal.SIGINT)
    tasks.put(["deferred"], trigger=kind)
    cluster.reset_batch_calls()
    cluster.start("triggerer")
    cluster.wait(f"{tasks.count} deferred tasks", 240, lambda: len(_looked_at(cluster)) >= tasks.count)


def _measure(cluster: Cluster, kind: str, tasks: Tasks, idle_mib: float) -> Waited:
    defer(cluster, tasks, kind)
    time.sleep(POLL_SECONDS)
    pid = cluster.processes["triggerer"].pid
    cluster.reset_batch_calls()
    began, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(WINDOW_SECONDS)
    seconds = time.monotonic() - began
    cpu = (cpu_seconds(pid) - used) / seconds
    calls = len(cluster.batch_calls()) / seconds * 60
    return Waited(kind, tasks.count, calls, cpu * 100, memory_mib(pid) - idle_mib)


def _is_up(cluster: Cluster) -> bool:
    return any(row["status"] == "healthy" for row in [cluster.api("GET", "/monitor/health")["triggerer"]])


def _looked_at(cluster: Cluster) -> set[str]:
    return {job_id for call in cluster.batch_calls("DescribeJobs") for job_id in call["params"]["jobs"]}


def waiting_section(waited: list[Waited]) -> Section:
    """Return the section about waiting."""
    by_kind = {(one.kind, one.tasks): one for one in waited}
    rows = []
    for one in waited:
        ours = by_kind.get(("ours", one.tasks), one)
        rows.append(
            [
                f"{one.tasks:,}",
                {"ours": "this package", "stock": "stock operator"}[one.kind],
                f"{one.calls_per_minute / ours.calls_per_minute:.0f} ×",
                f"{one.cpu_percent / ours.cpu_percent:.1f} ×",
                f"{one.memory_mib / ours.memory_mib:.1f} ×",
                f"{one.calls_per_minute:,.0f}",
                f"{one.cpu_percent:.1f} %",
                f"{one.memory_mib:,.0f} MiB",
            ]
        )
    head = ["deferred tasks", "trigger of", "calls", "CPU", "memory", "calls a minute", "CPU", "memory"]
    text = (
        f"One real triggerer, whose tasks look every {POLL_SECONDS} s, over {WINDOW_SECONDS:.0f} s; the "
        "columns with × compare with this package. CPU is of one core, memory is what the tasks add to the "
        "triggerer. The tasks are put into the state of deferred ones in Airflow's database. The stock "
        "operator's trigger needs aiobotocore, and runs in an environment of its own."
    )
    return Section("Waiting in the triggerer", [text, Table(head, rows)], [asdict(one) for one in waited])


def stock_in_its_environment() -> list[Waited]:
    """Measure the stock trigger, with the interpreter that has aiobotocore."""
    command = [str(STOCK_PYTHON), "-m", "tests.bench.waiting"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return [Waited(**row) for row in json.loads(ended.stdout.splitlines()[-1])]


def main() -> None:
    """Measure the stock trigger here."""
    assert Path(sys.executable) == STOCK_PYTHON
    with make_site() as cluster:
        waited = measure_waiting(cluster, "stock", WAITING_STOCK)
    print(json.dumps([asdict(one) for one in waited]))


if __name__ == "__main__":
    main()
