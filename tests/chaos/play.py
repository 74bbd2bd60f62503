"""Plays seeds: starts an Airflow for each, lets its campaign happen, and has judged what came of it."""

from __future__ import annotations

import argparse
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.chaos import judge
from tests.chaos.campaign import MIN_AGE_SECONDS, Campaign
from tests.chaos.judge import Happened, Json
from tests.chaos.plan import USER
from tests.live.cluster import Cluster
from tests.written_pages import table_row, write_part

DAGS = Path(__file__).parent / "dags"
SETTINGS = {
    "AIRFLOW__BATCH_CANCEL__SWEEP_MIN_AGE": str(MIN_AGE_SECONDS),
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    "AIRFLOW__CORE__PARALLELISM": "24",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "40",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "50",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
}
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "promises.md"
SEEDS = (1, 2, 3)
PROMISES = ("orphans", "healthy jobs stopped", "task instances with two live jobs", "untrue reports")
"""What must be 0 in the end."""
Line = dict[str, int]


def heartbeat_timeouts(campaign: Campaign) -> list[Happened]:
    """Return the tasks that Airflow itself took for dead, on a machine that is too busy."""
    path = "/eventLogs?event=heartbeat%20timeout&limit=100"
    rows = campaign.cluster.api("GET", path)["event_logs"]
    return [
        Happened("heartbeat_timeout", 0, float("inf"), row["run_id"], row["map_index"])
        for row in rows
        if row["run_id"]
    ]


def problems(campaign: Campaign) -> dict[str, list[str]]:
    """Return what is wrong in the end, by the promise that it breaks."""
    jobs = campaign.cluster.batch_jobs()
    alive = [job for job in jobs if job["status"] not in judge.FINISHED]
    events = campaign.happened + heartbeat_timeouts(campaign)
    broken = (
        [describe(job) for job in alive if _is_orphan(campaign, job)],
        [describe(job) for job in judge.healthy_jobs_stopped(jobs, events)],
        [" and ".join(map(describe, pair)) for pair in judge.twins(jobs)],
        _lies(campaign, {job["jobId"]: job for job in jobs}),
    )
    return dict(zip(PROMISES, broken, strict=True))


def _is_orphan(campaign: Campaign, job: Json) -> bool:
    dag_id, run_id, task_id, map_index = judge.instance_of(job)
    try:
        task = campaign.cluster.task_instance(dag_id, run_id, task_id, int(map_index))
        return judge.is_orphan(job, task, campaign.cluster.run_state(dag_id, run_id))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return True


def _lies(campaign: Campaign, jobs: dict[str, Json]) -> list[str]:
    found = []
    for name, report in reports(campaign):
        for row in report["jobs"]:
            lie = judge.lie(row, jobs, campaign.now())
            if lie:
                found.append(f"{name}: {row['job_id']}: {lie}")
    return found


def reports(campaign: Campaign) -> list[tuple[str, Json]]:
    """Return every report that a cancel or a sweep has left."""
    sweeps = campaign.cluster.api("GET", "/dags/sweep/dagRuns?limit=100")["dag_runs"]
    runs = [("cancel", run_id) for run_id in campaign.cancels]
    runs += [("sweep", run["dag_run_id"]) for run in sweeps]
    found = []
    for dag_id, run_id in runs:
        try:
            found.append((f"{dag_id} {run_id}", campaign.cluster.xcom(dag_id, run_id, dag_id)))
        except LookupError:
            continue
    return found


def describe(job: Json) -> str:
    """Return a job as one line for people."""
    owner = " ".join(judge.instance_of(job))
    seconds = (job["stoppedAt"] or 0) - job["createdAt"]
    what = f"{job['status']} after {seconds:.0f} s: {job['statusReason']}"
    return f"{job['jobId']} [{job['queue']}] of {owner} try {job['tags']['airflow_try_number']}: {what}"


def share_imports(cluster: Cluster) -> None:
    """Let the scheduler import what the DAGs need, so that the tasks, which are its forks, need not."""
    folder = cluster.home / "config"
    folder.mkdir()
    modules = ("boto3", "airflow_batch_cancel.operators.batch", "airflow_batch_cancel.operators.sweep")
    (folder / "airflow_local_settings.py").write_text("".join(f"import {module}\n" for module in modules))


def campaign(seed: int, say: Callable[[str], None], keep_home: bool) -> Line:
    """Play one seed, and return what came of it."""
    began = time.monotonic()
    with Cluster(
        DAGS, settings=SETTINGS, postgres=True, keep_home=keep_home, prepare=share_imports
    ) as cluster:
        one = Campaign(cluster, seed, say)
        say(f"seed {seed}: {one.plan.tasks} tasks, {one.plan.events} events, logs in {cluster.home}")
        try:
            one.play()
            say("everything has happened; what is left settles")
            one.settle()
        finally:
            one.over.set()
        found = problems(one)
        made = totals(one, say)
    for promise, broken in found.items():
        say(f"seed {seed}: {len(broken)} {promise}")
        for line in broken:
            say(f"    {line}")
    say(f"seed {seed}: {time.monotonic() - began:.0f} s")
    return {"seed": seed, **made, **{promise: len(broken) for promise, broken in found.items()}}


def write(lines: list[Line]) -> None:
    """Put what came of the seeds into the documentation."""
    rows = [lines[0], ["---:"] * len(lines[0]), *(one.values() for one in lines)]
    write_part(PAGE, "chaos", "\n".join(map(table_row, rows)))


def totals(one: Campaign, say: Callable[[str], None]) -> Line:
    """Say what the campaign was made of, and return the figures for the documentation."""
    jobs = one.cluster.batch_jobs()
    kinds = Counter(event.kind for event in one.happened)
    refused = sum(bool(event.note and event.kind in USER) for event in one.happened)
    say(f"{len(one.happened)} events: {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}")
    say(f"{refused} of them were answered with an error")
    stopped, alive = sum(map(judge.was_stopped, jobs)), len(one.cluster.batch_alive())
    say(f"{len(jobs)} jobs: {stopped} stopped, {alive} alive, {len(jobs) - stopped - alive} ended")
    told = len(reports(one))
    say(f"{told} reports, {len(heartbeat_timeouts(one))} heartbeat timeouts")
    return {
        "tasks": one.plan.tasks,
        "events": len(one.happened),
        "jobs": len(jobs),
        "stopped": stopped,
        "reports": told,
    }


def main() -> int:
    """Play the seeds that were asked for, three without; return whether a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, nargs="*", help="what to play; the same seed is the same plan")
    parser.add_argument("--keep", action="store_true", help="leave logs behind")
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    lines = [campaign(seed, say, arguments.keep) for seed in arguments.seed or SEEDS]
    if not arguments.seed:
        write(lines)
    return any(one[promise] for one in lines for promise in PROMISES)


if __name__ == "__main__":
    sys.exit(main())
