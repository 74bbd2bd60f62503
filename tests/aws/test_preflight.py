"""What the credentials may do, seen without an effect."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.preflight import Result, preflight
from airflow_batch_cancel.core.permissions import PERMISSIONS
from airflow_batch_cancel.simulator import BatchSimulator

UNSEEN = {"batch:SubmitJob", "batch:TagResource"}


def look(sim, *queues, bulk=True):
    """Return the result of each check."""
    gateway = BatchGateway(sim.client(bulk=bulk), sim.clock)
    return {finding.check: finding.result for finding in preflight(gateway, queues)}


@pytest.mark.bulk_calls
def test_everything_that_can_be_seen_is_there():
    """Submitting is not tried, and so remains unknown."""
    found = look(BatchSimulator(), "default")
    assert found.pop("batch:SubmitJob") == found.pop("batch:TagResource") == Result.UNKNOWN
    assert set(found.values()) == {Result.OK}
    assert set(found) >= {"connection", "job queue default", "bulk calls"}


@pytest.mark.parametrize("action", sorted({one.action for one in PERMISSIONS} - UNSEEN))
def test_a_permission_that_is_missing_is_found(action):
    """That one, and no other; AWS Batch answers all the same."""
    sim = BatchSimulator()
    sim.faults.deny(action.removeprefix("batch:"))
    found = look(sim)
    assert [check for check, result in found.items() if result is Result.MISSING] == [action]
    assert found["connection"] is Result.OK


def test_nothing_is_changed():
    """No job is submitted, and those that there are go on."""
    sim = BatchSimulator()
    job_id = sim.submit(status="RUNNING")
    look(sim, "default")
    assert [job.job_id for job in sim.alive()] == [job_id]
    assert not sim.job(job_id).is_terminated
    assert {call.operation for call in sim.calls} == {"DescribeJobs", "ListJobs", "CancelJob", "TerminateJob"}
    assert all(call.params.get("jobId") != job_id for call in sim.calls)


def test_a_queue_that_can_not_be_listed_is_missing():
    """A wrong name is told from a missing permission."""
    found = look(BatchSimulator(), "default", "no-such-queue")
    assert (found["job queue default"], found["job queue no-such-queue"]) == (Result.OK, Result.MISSING)
    assert found["batch:ListJobs"] is Result.OK


def test_without_bulk_calls_everything_works():
    """An old botocore is said, and is no failure."""
    assert look(BatchSimulator(), bulk=False)["bulk calls"] is Result.ABSENT


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        pytest.param({}, "NoCredentialsError", id="no credentials"),
        pytest.param(
            {"aws_access_key_id": "a", "aws_secret_access_key": "b"},
            "EndpointConnectionError",
            id="nobody there",
        ),
    ],
)
def test_when_nobody_answers_the_permissions_are_not_known(credentials, said, monkeypatch):
    """That is the one thing missing."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    client = boto3.Session(**credentials).client(
        "batch",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}),
    )
    connection, *others = preflight(BatchGateway(client, BatchSimulator().clock), ["default"])
    assert (connection.check, connection.result) == ("connection", Result.MISSING)
    assert said in connection.note
    assert {one.result for one in others if one.check.startswith("batch:")} == {Result.UNKNOWN}
