"""The traps of AWS Batch, each as the simulator has it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from airflow_batch_cancel.simulator import BatchSimulator

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def sim():
    return BatchSimulator()


@pytest.fixture
def client(sim):
    return sim.client()


def describe(client, job_id):
    return client.describe_jobs(jobs=[job_id])["jobs"][0]


def test_a_job_goes_through_its_states(sim):
    """SUBMITTED, RUNNABLE, STARTING, RUNNING, SUCCEEDED, and startedAt only once it runs."""
    job_id = sim.submit(run_seconds=10)
    seen = [sim.job(job_id).status]
    for _ in range(200):
        sim.clock.jump(0.1)
        seen.append(sim.job(job_id).status)
    assert list(dict.fromkeys(seen)) == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize("status", ["STARTING", "RUNNING"])
def test_cancel_of_a_started_job_is_a_silent_no_op(sim, client, status):
    """The answer is 200, and the job goes on."""
    job_id = sim.submit(status=status)
    client.cancel_job(jobId=job_id, reason="no")
    client.cancel_jobs(jobs=[job_id], reason="no")
    sim.clock.jump(60)
    job = describe(client, job_id)
    assert job["status"] == "RUNNING"
    assert not job["isCancelled"]


@pytest.mark.parametrize("status", ["SUBMITTED", "RUNNABLE"])
@pytest.mark.parametrize(("call", "flag"), [("cancel_job", "isCancelled"), ("terminate_job", "isTerminated")])
def test_what_has_not_started_is_dropped_at_once(sim, client, status, call, flag):
    """Cancelled is FAILED, with a flag and the reason; there is no CANCELLED status."""
    job_id = sim.submit(status=status)
    getattr(client, call)(jobId=job_id, reason="because")
    job = describe(client, job_id)
    assert (job["status"], job["statusReason"], job[flag]) == ("FAILED", "because", True)
    assert "startedAt" not in job


def test_termination_takes_time(sim, client):
    """A terminated job still runs for a while after the 200."""
    job_id = sim.submit(status="RUNNING", stop_seconds=30)
    client.terminate_job(jobId=job_id, reason="stop")
    sim.clock.jump(29)
    assert describe(client, job_id)["status"] == "RUNNING"
    sim.clock.jump(2)
    assert (describe(client, job_id)["status"], describe(client, job_id)["statusReason"]) == (
        "FAILED",
        "stop",
    )


def test_a_job_may_succeed_while_it_is_terminated(sim, client):
    """What finishes before the signal finishes well."""
    job_id = sim.submit(status="RUNNING", run_seconds=5, stop_seconds=30)
    client.terminate_job(jobId=job_id, reason="stop")
    sim.clock.jump(60)
    assert describe(client, job_id)["status"] == "SUCCEEDED"
    assert describe(client, job_id)["isTerminated"]


@pytest.mark.parametrize("call", ["cancel_job", "terminate_job"])
def test_a_pending_job_waits_for_its_dependencies_even_when_it_is_stopped(sim, client, call):
    """The stop is accepted, and the job stays PENDING until what it depends on has ended."""
    first = sim.submit(status="RUNNING", run_seconds=600)
    second = sim.submit(depends_on=[first])
    sim.clock.jump(1)
    getattr(client, call)(jobId=second, reason="stop")
    sim.clock.jump(500)
    assert describe(client, second)["status"] == "PENDING"
    sim.clock.jump(200)
    assert (describe(client, second)["status"], describe(client, second)["statusReason"]) == (
        "FAILED",
        "stop",
    )


def test_a_dependent_fails_with_its_dependency(sim, client):
    """Transitively, and without our flag or reason."""
    first = sim.submit(status="RUNNING")
    second = sim.submit(depends_on=[first])
    third = sim.submit(depends_on=[second])
    sim.clock.jump(1)
    client.terminate_job(jobId=first, reason="stop")
    sim.clock.jump(5)
    for job_id in (second, third):
        job = describe(client, job_id)
        assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")
        assert not job["isTerminated"]


def test_a_dependent_runs_when_its_dependency_has_succeeded(sim, client):
    """It waits as PENDING until then."""
    first = sim.submit(status="RUNNING", run_seconds=5)
    second = sim.submit(depends_on=[first])
    sim.clock.jump(3)
    assert describe(client, second)["status"] == "PENDING"
    sim.clock.jump(5)
    assert describe(client, second)["status"] == "RUNNING"


def test_an_array_parent_says_pending_while_its_children_run(sim, client):
    """PENDING on a parent does not mean idle."""
    sim.add_queue("narrow", slots=2)
    parent = sim.submit(array_size=5, queue="narrow")
    sim.clock.jump(10)
    job = describe(client, parent)
    assert job["status"] == "PENDING"
    assert job["arrayProperties"] == {"size": 5, "statusSummary": {"RUNNABLE": 3, "RUNNING": 2}}
    assert describe(client, f"{parent}:0")["status"] == "RUNNING"


def test_cancel_of_an_array_spares_running_children_and_terminate_does_not(sim, client):
    """Only TerminateJob ends an array for certain."""
    sim.add_queue("narrow", slots=2)
    parent = sim.submit(array_size=5, queue="narrow")
    sim.clock.jump(10)
    client.cancel_job(jobId=parent, reason="stop")
    sim.clock.jump(10)
    assert describe(client, parent)["arrayProperties"]["statusSummary"] == {"FAILED": 3, "RUNNING": 2}
    client.terminate_job(jobId=parent, reason="stop")
    sim.clock.jump(10)
    job = describe(client, parent)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Array Child Job failed")


def test_a_child_is_stopped_alone_and_its_parent_fails(sim, client):
    """The siblings finish."""
    parent = sim.submit(array_size=3, status="RUNNING", run_seconds=20)
    client.terminate_job(jobId=f"{parent}:1", reason="stop")
    sim.clock.jump(10)
    assert describe(client, f"{parent}:0")["status"] == "RUNNING"
    sim.clock.jump(20)
    assert [describe(client, f"{parent}:{n}")["status"] for n in range(3)] == [
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]
    assert describe(client, parent)["status"] == "FAILED"


def test_a_failed_attempt_goes_back_to_runnable(sim, client):
    """Status is not monotonic: RUNNING, RUNNABLE, RUNNING."""
    job_id = sim.submit(status="RUNNING", attempts=2, fail_attempts=1, run_seconds=10)
    sim.clock.jump(10.1)
    assert describe(client, job_id)["status"] == "RUNNABLE"
    sim.clock.jump(30)
    assert describe(client, job_id)["status"] == "SUCCEEDED"


def test_a_terminated_job_is_not_retried(sim, client):
    """Attempts that are left do not matter."""
    job_id = sim.submit(status="RUNNING", attempts=5)
    client.terminate_job(jobId=job_id, reason="stop")
    sim.clock.jump(60)
    assert describe(client, job_id)["status"] == "FAILED"


def test_unknown_ids_count_as_stopped_and_are_not_described(sim, client):
    """An id of another account or Region looks like a success."""
    assert client.terminate_jobs(jobs=[UNKNOWN], reason="stop")["successful"] == [UNKNOWN]
    client.cancel_job(jobId=UNKNOWN, reason="stop")
    assert client.describe_jobs(jobs=[UNKNOWN])["jobs"] == []


def test_a_malformed_id_is_an_error_of_its_own_in_a_bulk_call(sim, client):
    """The other ids of the call are stopped."""
    job_id = sim.submit(status="RUNNABLE")
    answer = client.terminate_jobs(jobs=["job-1", job_id], reason="stop")
    assert [row["code"] for row in answer["errors"]] == ["ValidationException"]
    assert answer["successful"] == [job_id]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        pytest.param("describe_jobs", {"jobs": [UNKNOWN] * 101}, id="describe 101"),
        pytest.param("terminate_jobs", {"jobs": [UNKNOWN] * 51, "reason": "x"}, id="terminate 51"),
        pytest.param("cancel_jobs", {"jobs": [UNKNOWN] * 51, "reason": "x"}, id="cancel 51"),
        pytest.param("terminate_job", {"jobId": UNKNOWN, "reason": ""}, id="no reason"),
        pytest.param("terminate_job", {"jobId": UNKNOWN, "reason": "x" * 1025}, id="reason of 1025"),
        pytest.param("terminate_job", {"jobId": "", "reason": "x"}, id="no id"),
        pytest.param("list_jobs", {}, id="list nothing"),
        pytest.param("list_jobs", {"jobQueue": "default", "arrayJobId": UNKNOWN}, id="list two"),
        pytest.param("list_jobs", {"jobQueue": "other"}, id="list an unknown queue"),
        pytest.param(
            "list_jobs",
            {"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["a", "b"]}]},
            id="two values",
        ),
        pytest.param(
            "submit_job", {"jobName": "a b", "jobQueue": "default", "jobDefinition": "default"}, id="job name"
        ),
        pytest.param(
            "submit_job",
            {"jobName": "a", "jobQueue": "default", "jobDefinition": "default", "tags": {"a": "é*"}},
            id="tag value",
        ),
        pytest.param(
            "submit_job",
            {
                "jobName": "a",
                "jobQueue": "default",
                "jobDefinition": "default",
                "arrayProperties": {"size": 1},
            },
            id="array of one",
        ),
    ],
)
def test_requests_beyond_the_limits_are_refused(client, operation, parameters):
    """With ClientException, as the service does; botocore lets them pass."""
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(**parameters)
    assert raised.value.response["Error"]["Code"] == "ClientException"


def test_the_client_is_a_real_one(client):
    """botocore validates parameters, so a None id never leaves."""
    with pytest.raises(ParamValidationError):
        client.terminate_job(jobId=None, reason="x")


def test_list_jobs_shows_running_ones_by_default_and_pages(sim, client):
    """RUNNING is the default, newest first, in pages."""
    ids = [sim.submit(status="RUNNING") for _ in range(5)]
    sim.submit(status="RUNNABLE")
    pages = list(client.get_paginator("list_jobs").paginate(jobQueue="default", maxResults=2))
    assert [len(page["jobSummaryList"]) for page in pages] == [2, 2, 1]
    assert {row["jobId"] for page in pages for row in page["jobSummaryList"]} == set(ids)


def test_a_name_filter_ignores_case_and_status(sim, client):
    """It is case-insensitive, a trailing star is a prefix, and finished jobs come too."""
    sim.submit("Nightly-1", status="SUCCEEDED")
    sim.submit("nightly-2", status="RUNNING")

    def names(value):
        found = client.list_jobs(jobQueue="default", filters=[{"name": "JOB_NAME", "values": [value]}])
        return sorted(row["jobName"] for row in found["jobSummaryList"])

    assert names("nightly*") == ["Nightly-1", "nightly-2"]
    assert names("nightly-1") == ["Nightly-1"]


def test_a_queue_lists_parents_and_an_array_its_children(sim, client):
    """A running array shows as PENDING, so a list of RUNNING jobs misses it."""
    parent = sim.submit(array_size=3, status="RUNNING")
    assert client.list_jobs(jobQueue="default")["jobSummaryList"] == []
    pending = client.list_jobs(jobQueue="default", jobStatus="PENDING")["jobSummaryList"]
    assert [row["jobId"] for row in pending] == [parent]
    assert len(client.list_jobs(arrayJobId=parent)["jobSummaryList"]) == 3


def test_tags_are_on_the_job_and_not_in_lists(sim, client):
    """DescribeJobs shows them, ListJobs does not, children have none."""
    parent = sim.submit(array_size=2, status="RUNNING", tags={"team": "a"})
    assert describe(client, parent)["tags"] == {"team": "a"}
    assert describe(client, f"{parent}:0")["tags"] == {}
    assert "tags" not in client.list_jobs(arrayJobId=parent)["jobSummaryList"][0]
    arn = describe(client, parent)["jobArn"]
    client.tag_resource(resourceArn=arn, tags={"more": "b"})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a", "more": "b"}


def test_a_job_is_invisible_for_a_moment_and_forgotten_after_a_while():
    """Missing from DescribeJobs means too young, too old or unknown."""
    sim = BatchSimulator(visibility_lag=5, retention=60)
    client = sim.client()
    job_id = sim.submit(run_seconds=10)
    assert client.describe_jobs(jobs=[job_id])["jobs"] == []
    sim.clock.jump(6)
    assert describe(client, job_id)["status"] == "RUNNING"
    sim.clock.jump(120)
    assert client.describe_jobs(jobs=[job_id])["jobs"] == []


def test_the_summary_of_an_array_may_lag():
    """It is a cached count: it may say that no child has started while some run."""
    sim = BatchSimulator(summary_lag=60)
    client = sim.client()
    parent = sim.submit(array_size=3)
    sim.clock.jump(0.2)
    before = describe(client, parent)["arrayProperties"]
    sim.clock.jump(10)
    assert describe(client, f"{parent}:0")["status"] == "RUNNING"
    assert describe(client, parent)["arrayProperties"] == before
    sim.clock.jump(60)
    assert describe(client, parent)["arrayProperties"]["statusSummary"] == {"RUNNING": 3}


def test_a_registered_definition_says_how_its_jobs_behave(sim, client):
    """Over the API, as a DAG would."""
    client.register_job_definition(
        jobDefinitionName="quick", type="container", parameters={"run_seconds": "2"}
    )
    client.create_job_queue(jobQueueName="mine", priority=1)
    answer = client.submit_job(jobName="a", jobQueue="mine", jobDefinition="quick:1")
    sim.clock.jump(10)
    assert describe(client, answer["jobId"])["status"] == "SUCCEEDED"


def test_a_job_that_runs_too_long_is_ended(sim, client):
    """``attemptDurationSeconds`` counts from the start of the attempt."""
    answer = client.submit_job(
        jobName="a", jobQueue="default", jobDefinition="default", timeout={"attemptDurationSeconds": 60}
    )
    sim.clock.jump(63)
    assert describe(client, answer["jobId"])["status"] == "FAILED"


def test_ten_thousand_jobs_make_a_world(sim, client):
    """Large worlds are usable: the array has all its children."""
    parent = sim.submit(array_size=10_000, status="RUNNING")
    client.terminate_job(jobId=parent, reason="stop")
    sim.clock.jump(5)
    assert describe(client, parent)["arrayProperties"]["statusSummary"] == {"FAILED": 10_000}
