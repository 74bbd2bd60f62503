"""BatchSweepOperator on the real Task SDK, with the states of real task instances."""

from __future__ import annotations

import runpy
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, task

from airflow_batch_cancel.compat import AirflowFailException
from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.operators.sweep import BatchSweepOperator
from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock

SWEEP = {"task_id": "sweep", "job_queues": "default", "min_age": timedelta(0), "trigger_rule": "all_done"}


@pytest.fixture
def batch():
    """Jobs are as young as the real clock, by which the sweep judges their age, says that they are."""
    return BatchSimulator(clock=VirtualClock(rate=1.0))


def owned(batch, run_id, task_id, map_index=-1, **ownership):
    owner = Owner("tests", "swept", run_id, task_id, map_index, 1)
    tags = Ownership(owner, **ownership).tags()
    return batch.submit(owner.job_name(task_id), status="RUNNING", tags=tags)


def swept_dag(submit=lambda run_id: None, **arguments):
    """
    A DAG with a task of each kind before its sweep; the first one calls ``submit``.

    ``fails_1`` succeeds and the instance 1 of ``fails`` fails: Airflow calls both ``fails_1``.
    """
    with DAG("swept", schedule=None) as dag:

        @task
        def fails(number):
            raise ValueError("on purpose")

        @task
        def fails_1():
            return None

        @task
        def good():
            return None

        @task
        def submits(run_id=None):
            submit(run_id)

        before = [submits(), fails.expand(number=[0, 1]), fails_1(), good()]
        before >> BatchSweepOperator(**{**SWEEP, **arguments})
    return dag


@pytest.mark.parametrize(
    "deferrable",
    [
        pytest.param(False, id="in the worker"),
        pytest.param(
            True,
            id="in the triggerer",
            marks=pytest.mark.airflow("3.1", reason="a trigger can ask nobody in dag.test() of Airflow 3.0"),
        ),
    ],
)
def test_it_asks_airflow_itself(run, batch, deferrable):
    """Real states, mapped ones included, of tasks of this very run and of a run that does not exist."""
    orphans, spared = set(), set()

    def submit(run_id):
        orphans.update(
            [
                owned(batch, run_id, "fails", 1),
                owned(batch, run_id, "good"),
                owned(batch, "no such run", "good"),
                owned(batch, run_id, "no_such_task"),
            ]
        )
        spared.add(owned(batch, run_id, "fails_1", lifetime=Lifetime.DETACHED))
        spared.add(owned(batch, run_id, "sweep"))
        batch.clock.jump(60)

    ran = run(swept_dag(submit, deferrable=deferrable))
    report = ran.xcom("sweep")
    assert {job["job_id"] for job in report["jobs"]} == orphans
    assert report["ok"]
    batch.clock.jump(60)
    assert {job.job_id for job in batch.alive()} == spared


def test_it_refuses_to_run_without_a_deployment_id(run, batch, monkeypatch):
    """Before any call: it could not tell this Airflow's jobs from another's."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID", "")
    with DAG("swept", schedule=None) as dag:
        sweep = BatchSweepOperator(**SWEEP)
    with pytest.raises(AirflowFailException, match="deployment_id is not set"):
        sweep.execute({})
    assert run(dag).run.state == "failed"
    assert batch.calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"job_queues": []}, "job_queues", id="no queue"),
        pytest.param({"min_age": 60}, "min_age=60", id="an age that is no timedelta"),
        pytest.param({"min_age": timedelta(-1)}, "min_age", id="a negative age"),
        pytest.param({"max_jobs": 0}, "max_jobs=0", id="a brake that lets nothing through"),
        pytest.param({"max_jobs": "3"}, "max_jobs='3'", id="a brake that is no number"),
    ],
)
def test_bad_arguments_are_refused_at_parse(arguments, said):
    """By name, with the value and what would be right."""
    with pytest.raises(ArgumentError, match=said):
        BatchSweepOperator(**{**SWEEP, **arguments})


@pytest.mark.airflow("3.1", reason="a trigger can ask nobody in dag.test() of Airflow 3.0")
def test_the_brake_fails_the_task_and_stops_nothing(run, batch):
    """The message says how many orphans there are, and which setting allows them."""
    for _ in range(3):
        owned(batch, "no such run", "good")
    batch.clock.jump(60)
    ran = run(swept_dag(max_jobs=2))
    assert ran.state("sweep") == "failed"
    assert len(batch.alive()) == 3


def test_a_dry_run_stops_nothing(run, batch):
    """It reports what it would do."""
    orphan = owned(batch, "no such run", "good")
    batch.clock.jump(60)
    report = run(swept_dag(dry_run=True)).xcom("sweep")
    assert [job["job_id"] for job in report["jobs"]] == [orphan]
    assert len(batch.alive()) == 1


@pytest.mark.airflow("3.1", reason="a trigger can ask nobody in dag.test() of Airflow 3.0")
def test_the_example_sweeps(run, batch, monkeypatch):
    """As it stands, but for its patience with young jobs."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__SWEEP_MIN_AGE", "0")
    scope = runpy.run_path(str(Path(__file__).parents[2] / "example_dags" / "sweep_orphans.py"))
    orphan = owned(batch, "no such run", "good")
    ran = run(scope["dag"])
    assert ran.run.state == "success"
    assert batch.job(orphan).is_terminated
