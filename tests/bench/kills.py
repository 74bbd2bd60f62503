"""on_kill: how long from the death of a task to TerminateJob at the service."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.bench.report import Section, Table, percentile, seconds
from tests.bench.site import Tasks
from tests.bench.sizes import KILLED_IN_WORKERS
from tests.bench.waiting import defer
from tests.live.cluster import Cluster

_DAG_ID = "in_workers"
_KILL_LINE = "The task is killed while deferred"


def kill_deferred(cluster: Cluster, count: int) -> dict[str, Any]:
    """Mark a run of deferred tasks failed, and follow what becomes of their jobs."""
    tasks = Tasks(cluster, count)
    defer(cluster, tasks, "ours")
    cluster.reset_batch_calls()
    tasks.fail()
    failed_at = time.time()
    cluster.wait("the jobs to end", 60, lambda: not _alive(cluster, tasks.job_ids))
    terminated = _terminated_at(cluster)
    killed = _killed_at(cluster, tasks)
    assert set(tasks.job_ids) <= set(terminated)
    return {
        "tasks": count,
        "stopped": count,
        "calls": len(cluster.batch_calls("TerminateJobs")),
        "from_failed": [terminated[job_id] - failed_at for job_id in tasks.job_ids],
        "from_on_kill": [terminated[job_id] - killed[job_id] for job_id in tasks.job_ids if job_id in killed],
    }


def kill_in_workers(cluster: Cluster) -> dict[str, Any]:
    """Send SIGTERM to the process of each running task, and follow what becomes of their jobs."""
    cluster.start("scheduler")
    run_id = cluster.trigger(_DAG_ID)
    cluster.wait("the jobs to run", 240, lambda: len(_running(cluster, run_id)) == KILLED_IN_WORKERS)
    jobs = _running(cluster, run_id)
    cluster.reset_batch_calls()
    signalled: dict[str, float] = {}
    for index, job_id in jobs.items():
        process = cluster.task_processes(_DAG_ID, run_id, "job", index)["runner"]
        signalled[job_id] = time.time()
        process.send_signal(signal.SIGTERM)
    cluster.wait("the jobs to end", 60, lambda: not _alive(cluster, jobs.values()))
    terminated = _terminated_at(cluster)
    cluster.kill("scheduler", signal.SIGTERM)
    return {
        "tasks": len(jobs),
        "stopped": len(jobs),
        "from_signal": [terminated[job_id] - at for job_id, at in signalled.items()],
    }


def kills_section(deferred: Mapping[str, Any], workers: Mapping[str, Any]) -> Section:
    """Return the section about kills."""
    rows = [
        ["a worker: from SIGTERM to the task's process", *_row(workers, "from_signal")],
        ["the triggerer: from on_kill", *_row(deferred, "from_on_kill")],
        ["the triggerer: from the run marked failed", *_row(deferred, "from_failed")],
    ]
    text = (
        f"{deferred['tasks']} deferred tasks of one run are killed at once by marking the run failed; "
        f"all {deferred['stopped']} jobs are stopped, in {deferred['calls']} TerminateJobs calls. Airflow's "
        "triggerer notices within its own loop of a second or more, which the last row includes. "
        f"{workers['tasks']} tasks running in workers get SIGTERM one after the other. Seconds until "
        "TerminateJob is at the service:"
    )
    head = ["death in", "tasks", "stopped", "p50", "p95", "worst"]
    return Section("on_kill", [text, Table(head, rows)], {"deferred": deferred, "workers": workers})


def _row(found: Mapping[str, Any], which: str) -> list[str]:
    times = found[which]
    figures = [percentile(times, 50), percentile(times, 95), max(times)] if times else []
    return [str(found["tasks"]), str(found["stopped"]), *map(seconds, figures)]


def _alive(cluster: Cluster, job_ids: Iterable[str]) -> list[str]:
    alive = {job["jobId"] for job in cluster.batch_alive()}
    return [job_id for job_id in job_ids if job_id in alive]


def _running(cluster: Cluster, run_id: str) -> dict[int, str]:
    """Return the running jobs of a run by map index."""
    return {
        int(job["tags"]["airflow_map_index"]): job["jobId"]
        for job in cluster.batch_alive()
        if job["tags"].get("airflow_run_id") == run_id and job["status"] == "RUNNING"
    }


def _terminated_at(cluster: Cluster) -> dict[str, float]:
    """Return when the service first took the stop of each job."""
    taken: dict[str, float] = {}
    for call in cluster.batch_calls():
        if call["operation"] in ("TerminateJob", "TerminateJobs") and call["status_code"] == 200:
            for job_id in call["params"].get("jobs") or [call["params"]["jobId"]]:
                taken.setdefault(job_id, call["at"])
    return taken


def _killed_at(cluster: Cluster, tasks: Tasks) -> dict[str, float]:
    """Return when on_kill of each task's trigger began, as its log says."""
    found: dict[str, float] = {}
    for path in (cluster.home / "logs").rglob("*.trigger.*.log"):
        for line in path.read_text().splitlines():
            if _KILL_LINE in line:
                event = json.loads(line)
                job_id = event["event"].split(" AWS Batch job ")[1].split()[0]
                found[job_id] = datetime.fromisoformat(event["timestamp"]).timestamp()
    return found
