"""Job ids and job descriptions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_batch_cancel.core.jobs import Job, JobStatus, normalise_job_ids
from airflow_batch_cancel.exceptions import ArgumentError, JobIdError

A = "11111111-1111-4111-8111-111111111111"
B = "22222222-2222-4222-8222-222222222222"
ARN = f"arn:aws:batch:eu-west-1:123456789012:job/{A}"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        pytest.param([], [], id="none"),
        pytest.param(f" {A} ", [A], id="one string"),
        pytest.param(f"{A},{B}", [A, B], id="a string of two"),
        pytest.param(f"['{A}', '{B}']", [A, B], id="a rendered list"),
        pytest.param([B, A, B], [B, A], id="repeated"),
        pytest.param([ARN, A], [A], id="an ARN and its id"),
        pytest.param([f"{A}:3", A, f"{A}#0"], [A], id="children of a listed parent"),
        pytest.param([f"{A}:3", f"{A}:4"], [f"{A}:3", f"{A}:4"], id="children alone"),
        pytest.param((A for _ in range(2)), [A], id="a generator"),
    ],
)
def test_job_ids_are_normalised(given, ids):
    """Whatever form ids come in, each job is named once and array scope never widens."""
    assert normalise_job_ids(given, "eu-west-1") == ids


@pytest.mark.parametrize(
    ("given", "named"),
    [
        pytest.param([A, "job-1"], "job-1", id="no UUID"),
        pytest.param([""], "''", id="empty"),
        pytest.param([None], "None", id="None"),
        pytest.param([f"{A}:"], f"{A}:", id="no index"),
        pytest.param([ARN.replace(":job/", ":service-job/")], "TerminateServiceJob", id="a service job"),
        pytest.param([ARN.replace("eu-west-1", "us-east-1")], "Region eu-west-1", id="another Region"),
    ],
)
def test_what_is_no_job_id_is_refused_by_name(given, named):
    """The error names the argument, the ids that are wrong, and what would be right."""
    with pytest.raises(JobIdError, match="job_ids=") as raised:
        normalise_job_ids(given, "eu-west-1")
    assert named in str(raised.value)
    assert A not in raised.value.refused


@pytest.mark.parametrize("given", [None, 5, {"a": 1}, b"x"])
def test_job_ids_of_the_wrong_type_are_refused(given):
    """What is neither a string nor an iterable of them is an argument error."""
    with pytest.raises(ArgumentError, match="job_ids="):
        normalise_job_ids(given)


def test_a_job_is_read_from_the_least_that_aws_answers():
    """Every field but the id may be missing, and a status of the future is not the end of a job."""
    job = Job.from_description({"jobId": A, "status": "HIBERNATING", "newField": 1})
    assert job.status is JobStatus.UNKNOWN
    assert not job.finished
    assert not job.started
    assert job.started_at is None


def test_times_are_milliseconds():
    """AWS counts in milliseconds since the epoch."""
    job = Job.from_description({"jobId": A, "createdAt": 1000, "startedAt": 61_000})
    assert job.started_at - job.created_at == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("status", "summary", "started", "unstarted"),
    [
        pytest.param("PENDING", {"RUNNABLE": 5}, False, True, id="no child has started"),
        pytest.param("PENDING", {"RUNNABLE": 4, "RUNNING": 1}, True, True, id="one child runs"),
        pytest.param("PENDING", {"RUNNING": 5}, True, False, id="all children run"),
        pytest.param("PENDING", {}, False, True, id="the summary lags"),
        pytest.param("FAILED", {"FAILED": 5}, False, False, id="finished"),
    ],
)
def test_an_array_parent_has_started_when_a_child_has(status, summary, started, unstarted):
    """PENDING on a parent does not mean idle."""
    job = Job.from_description(
        {"jobId": A, "status": status, "arrayProperties": {"size": 5, "statusSummary": summary}}
    )
    assert job.started is started
    assert job.has_unstarted_children is unstarted
