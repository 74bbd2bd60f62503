"""``make demo``: a real Airflow cancels the Batch jobs of a run, before your eyes."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.live.cluster import ROOT, Cluster, ended_by_sigterm

DAG_ID = "cancel_a_run"
console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)


def main() -> int:
    """Run the demo; the exit code is 0 only when the run succeeded and no job is alive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave Airflow up until Ctrl-C")
    keep = parser.parse_args().keep
    began = time.monotonic()
    settings = {"BATCH_NARROW_QUEUE": "narrow"}
    try:
        with (
            ended_by_sigterm(),
            Cluster(ROOT / "example_dags", settings, lambda text: say(began, text)) as cluster,
        ):
            cluster.simulator("POST", "/queues", {"name": "narrow", "slots": 3})
            good = cancel_a_run(cluster, began)
            if keep:
                console.print(f"Airflow stays up at {cluster.url} (no password). Ctrl-C ends it.")
                while True:
                    time.sleep(1)
    except KeyboardInterrupt:
        console.print("Ended; nothing is left running.")
        return 130 if not keep else 0
    return 0 if good else 1


def cancel_a_run(cluster: Cluster, began: float) -> bool:
    """Trigger the example DAG, follow it, and print what became of its jobs."""
    say(began, f"Triggering the DAG {DAG_ID}: it submits jobs, and a task cancels the jobs of the run")
    run_id = cluster.trigger(DAG_ID)
    cluster.wait_for_task(DAG_ID, run_id, "until_they_run", "success", "failed", seconds=90)
    before = {job["jobId"]: job for job in cluster.jobs()}
    calls_before = len(cluster.simulator("GET", "/calls"))
    say(began, f"{len(before)} jobs are submitted; the task 'cancel' takes over, then the sensor waits")
    state = cluster.wait_for_run(DAG_ID, run_id, 120)
    after = {job["jobId"]: job for job in cluster.jobs()}
    report = cluster.xcom(DAG_ID, run_id, "cancel") if state == "success" else {"jobs": [], "seconds": 0}
    outcomes = {row["job_id"]: row["outcome"] for row in report["jobs"]}
    console.print(table(before, after, outcomes))
    calls = Counter(call["operation"] for call in cluster.simulator("GET", "/calls")[calls_before:])
    made = ", ".join(f"{count} {operation}" for operation, count in sorted(calls.items()))
    console.print(f"API calls while cancelling and waiting: {made}")
    console.print(f"The cancel took {report['seconds']:.1f} s; the demo {time.monotonic() - began:.0f} s.")
    alive = [job["jobId"] for job in after.values() if job["status"] not in ("SUCCEEDED", "FAILED")]
    if state != "success" or alive or set(outcomes) != set(before):
        console.print(f"FAILED: the run is {state}; still alive: {alive or 'none'}")
        console.print(cluster.task_log(DAG_ID, run_id, "cancel"))
        return False
    console.print(f"The run is {state}, and no job is alive.")
    return True


def table(before: dict[str, Any], after: dict[str, Any], outcomes: dict[str, str]) -> Table:
    """Return every job before and after, with its outcome."""
    shown = Table("Job")
    shown.add_column("Job id", no_wrap=True)
    for title in ("Before", "After", "Outcome", "Reason"):
        shown.add_column(title)
    for job_id, job in before.items():
        now = after[job_id]
        shown.add_row(
            job["jobName"],
            job_id,
            state_of(job),
            state_of(now),
            outcomes.get(job_id, "-"),
            now["statusReason"],
        )
    return shown


def state_of(job: dict[str, Any]) -> str:
    """Return the status, and for an array how its children stand."""
    children = ", ".join(f"{count} {status}" for status, count in job["children"].items())
    return f"{job['status']} ({children})" if children else str(job["status"])


def say(began: float, text: str) -> None:
    """Print what is being done, and when."""
    console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {text}")


if __name__ == "__main__":
    sys.exit(main())
