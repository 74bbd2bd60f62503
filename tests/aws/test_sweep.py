"""The sweep against the simulator: what it stops, what it spares, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.sweep import Sweep, SweepReport
from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, Run
from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.core.verdict import RunState, TaskState, Verdict
from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock


@dataclass
class Said:
    """What Airflow says; by task id, and later something else if need be."""

    tasks: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    run: str = "running"
    asked: list[int] = field(default_factory=list)

    def task_instances(self, owners):
        owners = list(owners)
        self.asked.append(len(owners))
        said = {**self.tasks, **(self.later if len(self.asked) > 1 else {})}
        return {owner: TaskState(said.get(owner.task_id, "running")) for owner in owners}

    def runs(self, runs):
        return {run: RunState(self.run) for run in runs}


@pytest.fixture
def sim():
    return BatchSimulator(clock=VirtualClock())


def owned(sim, task_id, *, deployment="prod", try_number=1, lifetime=Lifetime.TASK, tags=None, **fields):
    ownership = Ownership(Owner(deployment, "dag", "run", task_id, -1, try_number), lifetime)
    name = ownership.owner.job_name(task_id)
    job_id = sim.submit(name, tags={**ownership.tags(), **(tags or {})}, **{"status": "RUNNING", **fields})
    sim.clock.jump(120)
    return job_id


def sweep(sim, said, queues=("default",), *, max_jobs=100, deployment="prod", **run):
    gateway = BatchGateway(sim.client(), sim.clock)
    one = Sweep(gateway, said, deployment, min_age=timedelta(seconds=60), max_jobs=max_jobs)
    report = one.run(list(queues), **run)
    assert SweepReport.from_dict(report.as_dict()).rows == report.rows
    return report


def verdicts(report):
    return {row.job_id: str(row.verdict) for row in report.rows}


def test_orphans_are_stopped_and_nothing_else(sim):
    """Beside living tasks, a second deployment, jobs without tags, with edited or crafted ones, young."""
    orphan = owned(sim, "dead")
    edited = owned(sim, "dead", tags={"airflow_map_index": "x"})
    crafted = sim.submit("payroll", status="RUNNING", tags=sim.job(orphan).tags)
    spared = [
        owned(sim, "living"),
        owned(sim, "dead", deployment="test"),
        owned(sim, "strange"),
        sim.submit(status="RUNNING"),
        edited,
        crafted,
    ]
    sim.clock.jump(120)
    young = sim.submit(sim.job(orphan).name, status="RUNNING", tags=sim.job(orphan).tags)
    report = sweep(sim, Said({"dead": "failed", "strange": "a new state"}))
    assert {job.job_id for job in sim.alive()} == {*spared, young}
    assert report.ok
    assert report.totals == {"FOREIGN": 2, "ORPHAN": 1, "ALIVE": 1, "UNKNOWN": 1, "NOBODYS": 2, "YOUNG": 1}
    nobodys = dict.fromkeys((edited, crafted), "NOBODYS")
    assert verdicts(report) == {orphan: "ORPHAN", spared[2]: "UNKNOWN", **nobodys}
    (row,) = (row for row in report.rows if row.verdict is Verdict.ORPHAN)
    assert (row.outcome, row.owner) == (Outcome.TERMINATED, "dag/run/dead try 1")
    assert sim.job(orphan).status_reason == "Airflow sweep of the deployment prod: its task is failed"


def test_a_dry_run_stops_nothing(sim):
    """It says what it would stop."""
    orphan = owned(sim, "dead")
    report = sweep(sim, Said({"dead": "failed"}), dry_run=True)
    assert verdicts(report) == {orphan: "ORPHAN"}
    assert report.rows[0].outcome is None
    assert "planned" in report.table()
    assert len(sim.alive()) == 1


def test_more_orphans_than_the_brake_allows_are_all_left(sim):
    """Perhaps it is the database that is empty, and not the tasks that are dead."""
    for _ in range(4):
        owned(sim, "dead")
    report = sweep(sim, Said({"dead": "gone"}), max_jobs=3)
    assert (report.stopped_by_brake, report.ok) == (True, False)
    assert len(sim.alive()) == 4
    assert len(report.rows) == 4
    assert sweep(sim, Said({"dead": "gone"}), max_jobs=4).ok


def test_the_state_is_read_again_right_before_the_stop(sim):
    """A task that was cleared and runs again by then keeps its job."""
    spared, stopped = owned(sim, "revived"), owned(sim, "dead")
    said = Said({"revived": "none", "dead": "failed"}, later={"revived": "running"})
    report = sweep(sim, said)
    assert [job.job_id for job in sim.alive()] == [spared]
    assert said.asked == [2, 2]
    assert verdicts(report) == {stopped: "ORPHAN"}


def test_the_older_of_two_tries_is_an_orphan(sim):
    """Whatever the state of the task: it is that of the newer one."""
    older, newer = owned(sim, "task"), owned(sim, "task", try_number=2)
    sweep(sim, Said())
    assert [job.job_id for job in sim.alive()] == [newer]
    assert sim.job(older).status_reason.endswith("a newer try of its task has a job")


def test_a_detached_job_lives_on_until_its_run_has_failed(sim):
    """Its task's success is not its end."""
    owned(sim, "detached", lifetime=Lifetime.DETACHED)
    said = Said({"detached": "success"}, run="success")
    assert sweep(sim, said).totals == {"ALIVE": 1}
    said.run = "failed"
    assert sweep(sim, said).totals == {"ORPHAN": 1}
    assert not sim.alive()


def test_a_queue_that_can_not_be_listed_is_said_and_the_others_are_swept(sim):
    """By its name, with AWS's message."""
    owned(sim, "dead")
    report = sweep(sim, Said({"dead": "failed"}), ["nowhere", "default"])
    assert not report.ok
    assert "Job queue nowhere could not be listed" in report.problems[0]
    assert not sim.alive()


@pytest.mark.bulk_calls
def test_an_orphan_that_could_not_be_stopped_is_never_a_success(sim):
    """Job by job."""
    orphan, other = owned(sim, "dead"), owned(sim, "dead")
    sim.faults.deny("TerminateJobs", [orphan])
    report = sweep(sim, Said({"dead": "failed"}))
    assert [row.job_id for row in report.failed] == [orphan]
    assert not report.ok
    assert sim.job(other).status == "FAILED"


def test_two_sweeps_at_once_do_no_harm(sim):
    """The second finds the orphan stopped while it was about to stop it."""
    orphan, living = owned(sim, "dead"), owned(sim, "living")

    class Meanwhile(Said):
        def task_instances(self, owners):
            found = super().task_instances(owners)
            if len(self.asked) == 2:
                sweep(sim, Said(self.tasks))
            return found

    report = sweep(sim, Meanwhile({"dead": "failed"}))
    assert report.ok
    assert sim.job(orphan).status == "FAILED"
    assert [job.job_id for job in sim.alive()] == [living]


@pytest.mark.bulk_calls
def test_the_budget_of_a_sweep(sim):
    """N/1000 + 5Q lists, N/100 describes, and the stops."""
    queues = [f"q{number}" for number in range(5)]
    for queue in queues:
        sim.add_queue(queue)
    owners = {task_id: Owner("prod", "dag", "run", task_id, -1, 1) for task_id in ("dead", "living")}
    for number in range(1000):
        owner = owners["dead" if number % 100 == 0 else "living"]
        name, tags = owner.job_name("job"), Ownership(owner).tags()
        sim.submit(name, queue=queues[number % 5], status="RUNNING", tags=tags, stop_seconds=0.1)
    sim.clock.jump(120)
    report = sweep(sim, Said({"dead": "failed"}), queues)
    assert report.totals == {"ALIVE": 990, "ORPHAN": 10}
    assert len(sim.alive()) == 990
    assert sim.count("ListJobs") == 5 * 5
    assert sim.count("DescribeJobs") <= 10 + 3
    assert sim.count("TerminateJobs") == 1


def test_a_run_is_asked_for_only_where_it_matters(sim):
    """For detached jobs of tasks that have succeeded."""

    class NoRuns(Said):
        def runs(self, runs):
            assert set(runs) <= {Run("prod", "dag", "run")}
            self.asked.append(len(set(runs)))
            return dict.fromkeys(runs, RunState.RUNNING)

    owned(sim, "living", lifetime=Lifetime.DETACHED)
    said = NoRuns()
    sweep(sim, said, dry_run=True)
    assert said.asked == [1, 0]
