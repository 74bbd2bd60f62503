"""The plan: what to do with a job now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_batch_cancel.core.jobs import Job, JobStatus
from airflow_batch_cancel.core.plan import Action, Operation, plan
from airflow_batch_cancel.core.policy import AT_ONCE, Policy
from airflow_batch_cancel.exceptions import ArgumentError

DRAIN = timedelta(minutes=10)
LATER = timedelta(minutes=11)


def policy(terminate_after):
    return Policy("why", terminate_after)


def job(status, **fields):
    return Job("id", status=JobStatus(status), **fields)


ARRAY = job("PENDING", array_size=3, array_summary={"RUNNING": 1, "RUNNABLE": 2})


@pytest.mark.parametrize(
    ("seen", "terminate_after", "waited", "asked", "action", "operation"),
    [
        pytest.param(job("RUNNABLE"), AT_ONCE, AT_ONCE, None, "CANCEL", "TerminateJob", id="queued"),
        pytest.param(job("RUNNABLE"), DRAIN, AT_ONCE, None, "CANCEL", "CancelJob", id="queued, drain"),
        pytest.param(job("RUNNABLE"), None, AT_ONCE, None, "CANCEL", "CancelJob", id="queued, never"),
        pytest.param(job("RUNNING"), AT_ONCE, AT_ONCE, None, "TERMINATE", "TerminateJob", id="running"),
        pytest.param(job("STARTING"), DRAIN, AT_ONCE, None, "WAIT", None, id="starting, drain"),
        pytest.param(job("RUNNING"), DRAIN, LATER, None, "TERMINATE", "TerminateJob", id="drain is over"),
        pytest.param(job("RUNNING"), None, LATER, None, "LEAVE", None, id="running, never"),
        pytest.param(
            job("RUNNING"), AT_ONCE, AT_ONCE, "CancelJob", "TERMINATE", "TerminateJob", id="slipped"
        ),
        pytest.param(job("RUNNING"), None, AT_ONCE, "CancelJob", "LEAVE", None, id="slipped, never"),
        pytest.param(job("RUNNING"), AT_ONCE, AT_ONCE, "TerminateJob", "WAIT", None, id="terminated already"),
        pytest.param(job("PENDING"), AT_ONCE, LATER, "TerminateJob", "WAIT", None, id="pending, terminated"),
        pytest.param(job("SUCCEEDED"), AT_ONCE, AT_ONCE, None, "NOTHING", None, id="succeeded"),
        pytest.param(job("FAILED"), None, AT_ONCE, "CancelJob", "NOTHING", None, id="failed"),
        pytest.param(job("LATER_STATE"), None, AT_ONCE, None, "CANCEL", "CancelJob", id="unknown state"),
        pytest.param(None, AT_ONCE, AT_ONCE, None, "CANCEL", "TerminateJob", id="not visible"),
        pytest.param(None, None, AT_ONCE, None, "CANCEL", "CancelJob", id="not visible, never"),
        pytest.param(ARRAY, AT_ONCE, AT_ONCE, None, "TERMINATE", "TerminateJob", id="array, child running"),
        pytest.param(ARRAY, None, AT_ONCE, None, "CANCEL", "CancelJob", id="array, never"),
        pytest.param(ARRAY, None, AT_ONCE, "CancelJob", "LEAVE", None, id="array, never, cancelled"),
        pytest.param(ARRAY, DRAIN, AT_ONCE, None, "CANCEL", "CancelJob", id="array, drain"),
        pytest.param(
            ARRAY, DRAIN, LATER, "CancelJob", "TERMINATE", "TerminateJob", id="array, drain is over"
        ),
    ],
)
def test_one_action_for_a_job(seen, terminate_after, waited, asked, action, operation):
    """The policy and the job's state decide, and a sentence says why."""
    planned = plan(seen, policy(terminate_after), waited, Operation(asked) if asked else None)
    assert planned.action is Action(action)
    assert planned.operation == operation
    assert planned.why


@pytest.mark.parametrize("status", list(JobStatus))
@pytest.mark.parametrize("asked", [None, *Operation])
@pytest.mark.parametrize("summary", [{}, {"RUNNING": 1}, {"RUNNABLE": 2}])
def test_a_started_job_is_never_terminated_without_leave(status, asked, summary):
    """``terminate_after=None`` never ends in a TerminateJob, whatever the state."""
    for size in (None, 2):
        planned = plan(job(status, array_size=size, array_summary=summary), policy(None), LATER, asked)
        assert planned.operation in (None, Operation.CANCEL)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"reason": ""}, "reason=''", id="no reason"),
        pytest.param({"reason": " \n"}, "reason=", id="blank reason"),
        pytest.param({"reason": "x" * 1025}, "not 1025", id="reason too long"),
        pytest.param({"reason": None}, "reason=None", id="reason None"),
        pytest.param({"terminate_after": timedelta(-1)}, "terminate_after=", id="negative terminate_after"),
        pytest.param({"terminate_after": 5}, "terminate_after=5", id="a bare number"),
        pytest.param({"timeout": timedelta(-1)}, "timeout=", id="negative timeout"),
        pytest.param({"poll_interval": timedelta(0)}, "poll_interval=", id="no pause"),
    ],
)
def test_a_policy_that_can_not_work_is_refused(fields, said):
    """The error names the argument and its value."""
    with pytest.raises(ArgumentError, match=said):
        Policy(**{"reason": "why", **fields})


def test_a_reason_of_1024_characters_is_taken_and_control_characters_become_spaces():
    """The longest reason fits, and one with line breaks is one line."""
    assert len(Policy("é" * 1024).reason) == 1024
    assert Policy("one\ntwo\x00").reason == "one two"
