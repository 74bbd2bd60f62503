"""The verdict on a live job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, PreviousTry
from airflow_batch_cancel.core.verdict import (
    RunState,
    TaskState,
    Verdict,
    judge_owner,
    judge_without_airflow,
)

OWNER = Owner("prod", "dag", "run", "task", -1, 1)
TASK = Ownership(OWNER)
DETACHED = Ownership(OWNER, Lifetime.DETACHED)
REATTACH = Ownership(OWNER, previous_try=PreviousTry.REATTACH)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "task", "detached", "reattach"),
    [
        ("scheduled", "ALIVE", "ALIVE", "ALIVE"),
        ("queued", "ALIVE", "ALIVE", "ALIVE"),
        ("running", "ALIVE", "ALIVE", "ALIVE"),
        ("restarting", "ALIVE", "ALIVE", "ALIVE"),
        ("deferred", "ALIVE", "ALIVE", "ALIVE"),
        ("up_for_reschedule", "ALIVE", "ALIVE", "ALIVE"),
        ("up_for_retry", "ORPHAN", "ORPHAN", "ALIVE"),
        (None, "ORPHAN", "ORPHAN", "ALIVE"),
        ("success", "ORPHAN", "ALIVE", "ORPHAN"),
        ("failed", "ORPHAN", "ORPHAN", "ORPHAN"),
        ("skipped", "ORPHAN", "ORPHAN", "ORPHAN"),
        ("upstream_failed", "ORPHAN", "ORPHAN", "ORPHAN"),
        ("removed", "ORPHAN", "ORPHAN", "ORPHAN"),
        ("gone", "ORPHAN", "ORPHAN", "ORPHAN"),
        ("unknown", "UNKNOWN", "UNKNOWN", "UNKNOWN"),
        ("awaiting_input", "UNKNOWN", "UNKNOWN", "UNKNOWN"),
    ],
)
def test_the_state_of_the_task_decides(state, task, detached, reattach):
    """For a job that lives as long as its task, a detached one, and one that the next try re-attaches to."""
    verdicts = [
        judge_owner(ownership, TaskState(state), RunState.RUNNING).verdict
        for ownership in (TASK, DETACHED, REATTACH)
    ]
    assert verdicts == [task, detached, reattach]


@pytest.mark.parametrize("state", list(TaskState))
def test_a_newer_try_with_a_job_makes_every_older_one_an_orphan(state):
    """Two jobs never work on the same data."""
    assert judge_owner(TASK, state, newer_try=True).verdict is Verdict.ORPHAN


@pytest.mark.parametrize(
    ("run_state", "verdict"),
    [("running", "ALIVE"), ("success", "ALIVE"), ("queued", "ALIVE"), ("failed", "ORPHAN"), ("?", "UNKNOWN")],
)
def test_a_failed_run_ends_its_detached_jobs(run_state, verdict):
    """Their tasks have succeeded, which is final for Airflow."""
    assert judge_owner(DETACHED, TaskState.SUCCESS, RunState(run_state)).verdict == verdict


@pytest.mark.parametrize(
    ("tags", "age", "verdict"),
    [
        pytest.param({}, 600, "FOREIGN", id="no tags"),
        pytest.param({"team": "a"}, 600, "FOREIGN", id="somebody's tags"),
        pytest.param({"airflow_version": "3"}, 600, "FOREIGN", id="another tool's tags"),
        pytest.param({"airflow_deployment": "prod"}, 600, "NOBODYS", id="our deployment only"),
        pytest.param({**TASK.tags(), "airflow_try_number": "one"}, 600, "NOBODYS", id="edited"),
        pytest.param({**TASK.tags(), "airflow_job_lifetime": "long"}, 600, "NOBODYS", id="unknown lifetime"),
        pytest.param({**TASK.tags(), "airflow_deployment": "test"}, 600, "FOREIGN", id="another deployment"),
        pytest.param(
            {key: value for key, value in TASK.tags().items() if key != "airflow_deployment"},
            600,
            "FOREIGN",
            id="no deployment",
        ),
        pytest.param(TASK.tags(), 59, "YOUNG", id="young"),
        pytest.param(TASK.tags(), None, "YOUNG", id="age unknown"),
        pytest.param(
            Ownership(Owner("prod", "dag", "é" * 250, "task", -1, 1)).tags(), 600, "UNKNOWN", id="cut tag"
        ),
        pytest.param(TASK.tags(), 61, None, id="a question for Airflow"),
    ],
)
def test_what_is_settled_without_a_question_to_airflow(tags, age, verdict):
    """Only whole and valid tags of this very deployment are worth one."""
    created = None if age is None else NOW - timedelta(seconds=age)
    claim = Ownership.from_tags(tags)
    name = claim.owner.job_name("job") if claim else "job"
    job = Job("id", name, tags=tags, created_at=created)
    found = judge_without_airflow(job, "prod", NOW, timedelta(seconds=60))
    assert (found and found.verdict) == verdict


@pytest.mark.parametrize("name", ["job", "", OWNER.job_name("job")[:-1], f"{OWNER.job_name('job')}-2"])
def test_tags_that_the_name_does_not_confirm_are_not_believed(name):
    """Whoever may tag a job can write an owner on it, but can not change its name."""
    job = Job("id", name, tags=TASK.tags(), created_at=NOW - timedelta(hours=1))
    found = judge_without_airflow(job, "prod", NOW, timedelta(seconds=60))
    assert found
    assert found.verdict is Verdict.NOBODYS
    assert "does not end in the suffix" in found.why
