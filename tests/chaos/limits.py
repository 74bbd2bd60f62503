"""Measures how far it goes: very many jobs and cancels, an endpoint that drips or hangs, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.live.cluster import Cluster
from tests.live.wire import http

LIVE_DAGS = Path(__file__).parents[1] / "live" / "dags"

MANY = 10_000
AT_ONCE = 100


class Batch:
    """A simulated AWS Batch in a process of its own, and hooks that talk to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call one of the simulator's own paths."""
        return http(method, f"{self.url}/_simulator{path}", body, {})

    def submit(self, count: int, **job: Any) -> list[str]:
        """Put running jobs there, and return their ids."""
        jobs = [{"name": f"job-{n}", "status": "RUNNING", **job} for n in range(count)]
        return list(self.control("POST", "/scenario", {"scenario": {"jobs": jobs}})["result"].values())

    def calls(self) -> Counter[str]:
        """Return how often each operation was called."""
        return Counter(call["operation"] for call in self.control("GET", "/calls"))

    def procedure(self, job_ids: list[str], **policy: Any) -> Any:
        """Return the cancel of jobs through a hook of its own, as a task has one."""
        from airflow_batch_cancel.core.policy import Policy
        from airflow_batch_cancel.hooks.batch import BatchCancelHook

        return BatchCancelHook().procedure(job_ids, Policy("a measurement", **policy))


@contextmanager
def batch() -> Iterator[Batch]:
    """Start a simulator, and point Airflow's connection at it."""
    command = [sys.executable, "-m", "airflow_batch_cancel.simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            extra = {"region_name": "us-east-1", "endpoint_url": url}
            connection = {"conn_type": "aws", "login": "x", "password": "x", "extra": extra}
            os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
            yield Batch(url)
        finally:
            process.kill()  # it would wait for the answers that hang


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ten_thousand_jobs() -> str:
    """One cancel of a run with ten thousand running jobs."""
    with batch() as aws:
        aws.procedure(aws.submit(1)).run()
        before = _peak_mebibytes()
        ids = aws.submit(MANY, stop_seconds=0.1)
        aws.control("POST", "/calls/reset")
        began = time.monotonic()
        report = aws.procedure(ids).run()
        seconds = time.monotonic() - began
        more = _peak_mebibytes() - before
        return f"{report.totals} in {seconds:.0f} s, {dict(aws.calls())}, {more:.0f} MiB at the peak"


def a_hundred_cancels() -> str:
    """The same fifty jobs cancelled by a hundred hooks at the same time."""
    with batch() as aws:
        ids = aws.submit(50, stop_seconds=5)
        procedures = [aws.procedure(ids) for _ in range(AT_ONCE)]
        reports: list[Any] = []
        threads = [threading.Thread(target=lambda one=one: reports.append(one.run())) for one in procedures]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        totals = Counter(json.dumps(report.totals) for report in reports)
        return f"{dict(totals)} in {time.monotonic() - began:.0f} s, {dict(aws.calls())}"


def an_endpoint_that(kind: str, seconds: float) -> Callable[[], str]:
    """Return the measurement of a cancel with half a minute's patience, and DescribeJobs that bad."""

    def measure() -> str:
        with batch() as aws:
            ids = aws.submit(1)
            rule = {"kind": kind, "seconds": seconds, "operation": "DescribeJobs"}
            aws.control("POST", "/faults", rule)
            began = time.monotonic()
            report = aws.procedure(ids, timeout=timedelta(seconds=30)).run()
            taken = time.monotonic() - began
            (job,) = aws.control("GET", "/jobs")
            return f"{report.totals} in {taken:.0f} s, {dict(aws.calls())}, the job is {job['status']}"

    return measure


def a_full_disk() -> str:
    """A task is marked failed when nothing can be logged: its logs are on a tiny file system (root only)."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:
            with Cluster(LIVE_DAGS, {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": folder}) as cluster:
                return _killed_on_a_full_disk(cluster, Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _killed_on_a_full_disk(cluster: Cluster, folder: Path) -> str:
    run_id = cluster.trigger("cancellable")
    cluster.wait(
        "the job to run", 120, lambda: [job["status"] for job in cluster.batch_jobs()] == ["RUNNING"]
    )
    with contextlib.suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)
    began = time.monotonic()
    cluster.mark_task("cancellable", run_id, "job", "failed")
    cluster.wait("the job to end", 120, lambda: not cluster.batch_alive())
    (job,) = cluster.batch_jobs()
    return f"{job['status']} after {time.monotonic() - began:.0f} s: {job['statusReason']}"


LIMITS: dict[str, Callable[[], str]] = {
    "10,000 running jobs, one cancel": ten_thousand_jobs,
    "100 cancels of the same 50 jobs at once": a_hundred_cancels,
    "a disk that is full of logs": a_full_disk,
    "DescribeJobs drips, a byte every 20 ms": an_endpoint_that("drip", 0.02),
    "DescribeJobs hangs, an answer after 10 minutes": an_endpoint_that("latency", 600),
}


def main() -> None:
    """Measure what is named, or everything."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    wanted = sys.argv[1:]
    for name, measure in LIMITS.items():
        if not wanted or any(word in name for word in wanted):
            print(f"{name}: {measure()}", flush=True)


if __name__ == "__main__":
    main()
