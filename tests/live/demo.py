"""``make demo``: a real Airflow cancels the Batch jobs of a run, before your eyes."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.live.cluster import ROOT, Cluster

DAG_ID = "cancel_a_run"
QUEUE = "batch-demo"
NOT_BEGUN = (None, "scheduled", "queued")
Jobs = dict[str, dict[str, Any]]
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def main() -> int:
    """Run the demo; the exit code is 0 only when the run succeeded and no job of it is alive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave Airflow up until Ctrl-C")
    keep = parser.parse_args().keep
    demo = Demo()
    good = False
    try:
        with Cluster(ROOT / "example_dags", {"BATCH_NARROW_QUEUE": QUEUE}, demo.say) as cluster:
            good = demo.run(cluster)
            if keep:
                wait_for_ctrl_c(cluster)
            demo.say("Ending every process that was started")
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left running.")
        return 130
    demo.say("Done")
    return 0 if good else 1


def wait_for_ctrl_c(cluster: Cluster) -> None:
    """Return when the user has seen enough."""
    console.print(f"Airflow stays up at [bold]{cluster.url}[/bold], no password. Ctrl-C ends it.")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        console.print()


class Demo:
    """One showing, which tells the time since it began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print what is being done, and when."""
        console.print(f"[dim]{self._seconds():5.1f} s[/dim]  {text}")

    def run(self, cluster: Cluster) -> bool:
        """Trigger the example DAG, follow it, and print what became of its jobs."""
        cluster.batch_queue(QUEUE, slots=3)
        strangers = submit_strangers(cluster)
        self.say(
            f"The queue {QUEUE} runs 3 jobs at once; {len(strangers)} of somebody else run there already"
        )
        self.say(f"Triggering the DAG {DAG_ID}: it submits jobs, and then its task 'cancel' cancels them")
        run_id = cluster.trigger(DAG_ID)
        before = self._watch_until_cancel(cluster, run_id, strangers)
        calls_before = len(cluster.batch_calls())
        self.say(f"{len(before)} jobs are there and the task 'cancel' begins")
        state = self._follow(cluster, run_id)
        after = {job["jobId"]: job for job in cluster.batch_jobs()}
        calls = cluster.batch_calls()[calls_before:]
        report = report_of(cluster, run_id)
        print_table(before, after, {row["job_id"]: row["outcome"] for row in report["jobs"]})
        print_calls(calls)
        console.print(
            f"The cancel took {report['seconds']:.1f} s by the task's own count; the demo"
            f" {self._seconds():.0f} s so far."
        )
        problems = [*problems_of(state, report, before, after), *touched(strangers, after)]
        for problem in problems:
            console.print(f"[bold red]FAILED[/bold red]: {problem}")
        if problems:
            console.print(log_of(cluster, run_id), markup=False)
            return False
        console.print(
            f"[bold green]The run is {state}, and no job is alive but the {len(strangers)} of somebody else."
            "[/bold green]"
        )
        return True

    def _watch_until_cancel(self, cluster: Cluster, run_id: str, strangers: list[str]) -> Jobs:
        """Say which jobs appear and change; return how they stood just before the task ``cancel``."""
        jobs: Jobs = {}
        shown: dict[str, str] = {}
        ends = time.monotonic() + 100
        while time.monotonic() < ends:
            seen = {job["jobId"]: job for job in cluster.batch_jobs() if job["jobId"] not in strangers}
            if cluster.task_state(DAG_ID, run_id, "cancel") not in NOT_BEGUN:
                return jobs
            jobs = seen
            for job_id, job in jobs.items():
                if shown.get(job_id) != job["status"]:
                    shown[job_id] = job["status"]
                    self.say(f"    {job['jobName']} is {state_of(job)}")
            time.sleep(0.3)
        raise TimeoutError("the task 'cancel' has not begun")

    def _follow(self, cluster: Cluster, run_id: str) -> str:
        for task_id in ("cancel", "wait_until_stopped"):
            ended = ("success", "failed", "upstream_failed", "skipped")
            state = cluster.wait_for_task(DAG_ID, run_id, task_id, ended, 130)
            self.say(f"The task '{task_id}' is {state}")
        return cluster.wait_for_run(DAG_ID, run_id, 30)

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def submit_strangers(cluster: Cluster) -> list[str]:
    """Submit two jobs that are none of the run's, and must outlive it."""
    jobs = [{"name": f"of-somebody-else-{number}", "queue": QUEUE, "status": "RUNNING"} for number in (1, 2)]
    return [cluster.simulator("POST", "/jobs/submit", job)["result"] for job in jobs]


def report_of(cluster: Cluster, run_id: str) -> dict[str, Any]:
    """Return what the task ``cancel`` reported; nothing when it did not."""
    try:
        return dict(cluster.xcom(DAG_ID, run_id, "cancel"))
    except LookupError:
        return {"ok": False, "seconds": 0.0, "jobs": []}


def log_of(cluster: Cluster, run_id: str) -> str:
    """Return the log of the task ``cancel``, or why there is none."""
    try:
        return cluster.task_log(DAG_ID, run_id, "cancel")
    except OSError as error:
        return f"no log: {error}"


def problems_of(state: str, report: dict[str, Any], before: Jobs, after: Jobs) -> list[str]:
    """Return what is wrong, in sentences."""
    problems = [] if state == "success" else [f"the run is {state}"]
    if not report["ok"]:
        problems.append("the report is not ok")
    reported = {row["job_id"] for row in report["jobs"]}
    problems += [f"{before[job]['jobName']} is not in the report" for job in before if job not in reported]
    left = [after[job] for job in before if alive(after[job])]
    problems += [f"{job['jobName']} is still {state_of(job)}" for job in left]
    return problems


def touched(strangers: list[str], after: Jobs) -> list[str]:
    """Return which jobs of somebody else did not outlive the run, in sentences."""
    ended = [after[job] for job in strangers if not alive(after[job])]
    return [f"{job['jobName']} is none of the run's, but ended" for job in ended]


def alive(job: dict[str, Any]) -> bool:
    """Return whether a job, or a child of it, has not ended."""
    return bool({job["status"], *job["children"]} - {"SUCCEEDED", "FAILED"})


def print_table(before: Jobs, after: Jobs, outcomes: dict[str, str]) -> None:
    """Print every job of the run before and after, with its outcome."""
    shown = Table("Job")
    for heading in ("Job id", "Before", "After", "Outcome"):
        shown.add_column(heading, no_wrap=heading == "Job id")
    for job_id, job in before.items():
        shown.add_row(
            job["jobName"], job_id, state_of(job), state_of(after[job_id]), outcomes.get(job_id, "-")
        )
    console.print(shown)


def print_calls(calls: list[dict[str, Any]]) -> None:
    """Print how many API calls of which operation reached Batch."""
    counted = sorted(Counter(call["operation"] for call in calls).items())
    made = ", ".join(f"{count} {operation}" for operation, count in counted)
    console.print(f"API calls by 'cancel' and 'wait_until_stopped': {made or 'none'}.")


def state_of(job: dict[str, Any]) -> str:
    """Return the status, and for an array how its children stand."""
    children = ", ".join(f"{count} {status}" for status, count in job["children"].items())
    return f"{job['status']} (children: {children})" if children else str(job["status"])


if __name__ == "__main__":
    sys.exit(main())
