"""The plan of a chaos campaign, and the judge of what came of it: each promise can be found broken."""

from __future__ import annotations

import pytest

from tests.chaos.judge import Happened, healthy_jobs_stopped, is_orphan, lie, twins
from tests.chaos.plan import make_plan


def job(mode="deferrable", **fields):
    tags = {
        "airflow_dag_id": f"chaos__{mode}__plain",
        "airflow_run_id": "run",
        "airflow_task_id": "job",
        "airflow_map_index": "-1",
        "airflow_try_number": "1",
    }
    stopped = {"status": "FAILED", "isTerminated": True, "isCancelled": False, "startedAt": 10.0}
    return {
        "jobId": "a",
        "queue": "rough",
        "tags": tags,
        "createdAt": 0.0,
        "stoppedAt": 200.0,
        **stopped,
        **fields,
    }


def test_a_seed_is_a_plan_and_another_one_another():
    """A failing seed replays; and there is enough in it."""
    plan = make_plan(7)
    assert plan == make_plan(7) != make_plan(8)
    assert plan.events >= 200
    assert 90 <= plan.tasks <= 110


@pytest.mark.parametrize(
    ("mode", "event", "healthy"),
    [
        pytest.param("deferrable", Happened("mark_run_failed", 190, 191, "run"), False, id="its run"),
        pytest.param("deferrable", Happened("mark_run_failed", 190, 191, "other"), True, id="another run"),
        pytest.param("deferrable", Happened("clear_task", 190, 191, "run", -1), False, id="its task"),
        pytest.param("deferrable", Happened("clear_task", 190, 191, "run", 3), True, id="another index"),
        pytest.param("no_wait", Happened("clear_task", 190, 191, "run", 3), False, id="its run's task"),
        pytest.param("deferrable", Happened("clear_task", 201, 202, "run", -1), True, id="after the stop"),
        pytest.param(
            "deferrable", Happened("clear_task", -60, -50, "run", -1), True, id="long before the job"
        ),
        pytest.param("deferrable", Happened("triggerer_sigkill", 100, 110), True, id="triggerer"),
        pytest.param("deferrable", Happened("scheduler_sigkill", 100, 110), True, id="scheduler, deferred"),
        pytest.param("deferrable", Happened("scheduler_sigkill", 10, 20), False, id="scheduler, not yet"),
        pytest.param("sync", Happened("scheduler_sigkill", 100, 110), False, id="scheduler, in a worker"),
        pytest.param("sync", Happened("throttle", 100, 110, queue="rough"), False, id="aws, in a worker"),
        pytest.param("deferrable", Happened("throttle", 100, 110, queue="rough"), True, id="aws, deferred"),
        pytest.param("deferrable", Happened("expired", 100, 110, queue="rough"), False, id="credentials"),
        pytest.param("no_wait", Happened("expired", 100, 110, queue="rough"), True, id="nobody looks"),
        pytest.param("sync", Happened("rotate", 100, 110, queue="rough"), True, id="a replaced key"),
        pytest.param("sync", Happened("clock_jump", 100, 110), True, id="clock"),
    ],
)
def test_a_stop_needs_a_cause(mode, event, healthy):
    """Something that concerned the job while it was alive, and that its task could not survive."""
    assert bool(healthy_jobs_stopped([job(mode)], [event])) is healthy


@pytest.mark.parametrize(
    ("mode", "state", "try_number", "run_state", "orphan"),
    [
        ("deferrable", "deferred", 1, "running", False),
        ("deferrable", "deferred", 2, "running", True),
        ("deferrable", "failed", 1, "failed", True),
        ("deferrable", None, 1, "running", True),
        ("no_wait", "success", 1, "success", False),
        ("no_wait", "success", 1, "failed", True),
        ("sync", "up_for_retry", 1, "running", True),
        ("reattach", "up_for_retry", 1, "running", False),
        ("reattach", "running", 2, "running", False),
        ("reattach", "failed", 1, "failed", True),
    ],
)
def test_an_orphan_has_no_owner_that_wants_it(mode, state, try_number, run_state, orphan):
    """Judged by what Airflow's API says in the end, and not by the package's own verdict."""
    assert is_orphan(job(mode), {"state": state, "try_number": try_number}, run_state) is orphan


def test_a_job_of_a_deleted_run_is_an_orphan():
    """There is nobody left to want it."""
    assert is_orphan(job(), None, None)


def test_two_live_jobs_of_one_task_instance_are_found():
    """Whatever their tries; finished ones do not count."""
    one, two, over = job(status="RUNNING"), job(status="RUNNABLE"), job()
    assert twins([one, two, over]) == [[one, two]]
    assert not twins([one, over])


@pytest.mark.parametrize(
    ("outcome", "fields", "true"),
    [
        ("TERMINATED", {}, True),
        ("TERMINATED", {"status": "RUNNING", "stoppedAt": None}, False),
        ("TERMINATED", {"isTerminated": False}, False),
        ("CANCELLED", {"startedAt": None}, True),
        ("CANCELLED", {}, False),
        ("FINISHED", {"status": "SUCCEEDED", "isTerminated": False}, True),
        ("FINISHED", {}, False),
        ("ALREADY_FINISHED", {"stoppedAt": 900.0}, False),
        ("STOPPING", {"status": "RUNNING", "isTerminated": False, "stoppedAt": None}, False),
        ("NOT_FOUND", {}, False),
        ("ERROR", {}, True),
    ],
)
def test_a_report_is_compared_with_the_job(outcome, fields, true):
    """What it says has to be so on Batch's own record."""
    assert (lie({"job_id": "a", "outcome": outcome}, {"a": job(**fields)}, taken_at=500.0) == "") is true
