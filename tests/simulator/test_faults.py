"""Faults on request, and the two doors."""

from __future__ import annotations

import json
import urllib.request

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock
from airflow_batch_cancel.simulator.server import serve

ONCE = {"retries": {"total_max_attempts": 1}}


@pytest.fixture
def sim():
    return BatchSimulator()


def code_of(call):
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def client_of(url, access_key):
    return botocore.session.Session().create_client(
        "batch",
        region_name="us-east-1",
        endpoint_url=url,
        config=Config(**ONCE),
        aws_access_key_id=access_key,
        aws_secret_access_key="x",
    )


def test_throttling(sim):
    """429 TooManyRequestsException, as often as asked."""
    sim.faults.throttle("DescribeJobs", times=1)
    client = sim.client(**ONCE)
    assert code_of(lambda: client.describe_jobs(jobs=["x"])) == ("TooManyRequestsException", 429)
    assert client.describe_jobs(jobs=["x"])["jobs"] == []


def test_server_errors(sim):
    """500 ServerException."""
    sim.faults.server_error(times=1)
    assert code_of(lambda: sim.client(**ONCE).describe_jobs(jobs=["x"])) == ("ServerException", 500)


def test_botocore_retries_are_counted(sim):
    """Every request that reaches the service is a call."""
    sim.faults.server_error(times=2)
    sim.client(retries={"total_max_attempts": 3, "mode": "standard"}).describe_jobs(jobs=["x"])
    assert [call.status_code for call in sim.calls] == [500, 500, 200]


def test_denied_operations_and_jobs(sim):
    """403 for an operation or a job, ``AccessDenied`` for the job inside a bulk answer."""
    mine, other = sim.submit(status="RUNNABLE"), sim.submit(status="RUNNABLE")
    sim.faults.deny("TerminateJob", [other])
    client = sim.client(**ONCE)
    assert code_of(lambda: client.terminate_job(jobId=other, reason="x")) == ("AccessDeniedException", 403)
    answer = client.terminate_jobs(jobs=[mine, other], reason="x")
    assert answer["successful"] == [mine]
    assert [(row["job"], row["code"]) for row in answer["errors"]] == [(other, "AccessDenied")]
    assert sim.job(other).status == "RUNNABLE"


def test_a_retired_key_is_refused(sim):
    """In process and over HTTP; another key is not."""
    sim.retire_key("simulated")
    refused = ("UnrecognizedClientException", 403)
    assert code_of(lambda: sim.client(**ONCE).describe_jobs(jobs=["x"])) == refused
    with serve(sim) as url:
        assert code_of(lambda: client_of(url, "simulated").describe_jobs(jobs=["x"])) == refused
        assert client_of(url, "another").describe_jobs(jobs=["x"])["jobs"] == []


def test_errors_inside_a_bulk_answer(sim):
    """A 200 in which one job was throttled, and not stopped."""
    ids = [sim.submit(status="RUNNABLE") for _ in range(3)]
    sim.faults.bulk_errors("ThrottlingException", times=1)
    answer = sim.client(**ONCE).terminate_jobs(jobs=ids, reason="x")
    assert [row["code"] for row in answer["errors"]] == ["ThrottlingException"]
    assert sim.job(ids[0]).status == "RUNNABLE"
    assert len(answer["successful"]) == 2


def test_a_lost_answer_has_its_effect(sim):
    """The job is submitted, and nobody is told its id."""
    sim.faults.drop_answer("SubmitJob")
    with pytest.raises(ConnectionClosedError):
        sim.client(**ONCE).submit_job(jobName="a", jobQueue="default", jobDefinition="default")
    assert len(sim.jobs()) == 1


def test_a_token_bucket(sim):
    """More than the bucket holds is 429 until it has filled again."""
    sim.faults.rate_limit(per_second=2, burst=2)
    client = sim.client(**ONCE)
    for _ in range(2):
        client.describe_jobs(jobs=["x"])
    assert code_of(lambda: client.describe_jobs(jobs=["x"]))[1] == 429
    sim.clock.jump(1)
    client.describe_jobs(jobs=["x"])


def test_latency_passes_in_virtual_time(sim):
    """A call takes as long as it is told to, without anybody waiting for it."""
    sim.faults.latency(3)
    began = sim.clock.now()
    sim.client().describe_jobs(jobs=["x"])
    assert sim.clock.now() - began == pytest.approx(3)


def test_a_client_without_the_bulk_calls(sim):
    """As botocore before 1.43.93; other clients keep theirs."""
    assert not hasattr(sim.client(bulk=False), "terminate_jobs")
    assert hasattr(sim.client(), "terminate_jobs")


def test_an_unknown_kind_of_fault_is_refused(sim):
    """The error says which kinds there are."""
    with pytest.raises(ValueError, match=r"kind='flood': expected one of throttle"):
        sim.faults.add("flood")


@pytest.fixture
def http():
    sim = BatchSimulator(clock=VirtualClock(rate=1.0))
    with serve(sim) as url:
        client = client_of(url, "x")
        yield sim, client, url
        client.close()


def test_both_doors_answer_alike(http):
    """The same call says the same in process and over HTTP."""
    sim, over_http, _ = http
    job_id = sim.submit(array_size=2, status="RUNNABLE", tags={"a": "b"})
    inside = sim.client(**ONCE)
    for call in (
        lambda client: client.describe_jobs(jobs=[job_id])["jobs"],
        lambda client: client.list_jobs(jobQueue="default", jobStatus="PENDING")["jobSummaryList"],
        lambda client: client.terminate_jobs(jobs=[job_id, "bad"], reason="x")["errors"],
        lambda client: client.list_tags_for_resource(
            resourceArn=f"arn:aws:batch:us-east-1:123456789012:job/{job_id}"
        )["tags"],
        lambda client: code_of(lambda: client.list_jobs(jobQueue="none")),
    ):
        assert call(over_http) == call(inside)


def test_an_answer_is_lost_over_http_too(http):
    """The connection closes before the answer is whole."""
    sim, over_http, _ = http
    sim.faults.drop_answer("SubmitJob")
    with pytest.raises(ConnectionClosedError):
        over_http.submit_job(jobName="a", jobQueue="default", jobDefinition="default")
    assert len(sim.jobs()) == 1


def test_the_world_is_played_over_http(http):
    """Queues, jobs, faults and time can be set from outside, and the truth be read."""
    _, over_http, url = http

    def control(path, **arguments):
        request = urllib.request.Request(
            f"{url}/_simulator{path}", json.dumps(arguments).encode(), method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())["result"]

    control("/queues", name="narrow", slots=0)
    job_id = control("/jobs/submit", name="a", queue="narrow")
    control("/faults", kind="throttle", times=1)
    assert code_of(lambda: over_http.describe_jobs(jobs=[job_id]))[1] == 429
    control("/clock/jump", seconds=60)
    with urllib.request.urlopen(f"{url}/_simulator/jobs") as answer:
        assert [row["status"] for row in json.loads(answer.read())] == ["RUNNABLE"]


def test_a_fault_may_concern_one_queue_only(sim):
    """Calls about it, and calls about a job in it."""
    sim.add_queue("faulty")
    job_id, other = sim.submit(queue="faulty"), sim.submit()
    sim.faults.add("throttle", queue="faulty")
    client = sim.client()
    client.describe_jobs(jobs=[other])
    client.list_jobs(jobQueue="default")
    for call in (
        lambda: client.describe_jobs(jobs=[other, job_id]),
        lambda: client.list_jobs(jobQueue="faulty"),
        lambda: client.terminate_job(jobId=job_id, reason="x"),
    ):
        with pytest.raises(ClientError, match="TooManyRequests"):
            call()


def test_a_fault_may_end_by_itself(sim):
    """After a while of the simulator's time."""
    sim.faults.add("throttle", operation="ListJobs", lasts=60)
    client = sim.client()
    with pytest.raises(ClientError, match="TooManyRequests"):
        client.list_jobs(jobQueue="default")
    sim.clock.jump(61)
    client.list_jobs(jobQueue="default")


def test_a_job_may_be_invisible_for_a_while_from_now_on(sim):
    """As right after its submit, when AWS is slow; a list does not show it either."""
    sim.faults.visibility_lag(5)
    job_id = sim.submit(status="RUNNING")
    client = sim.client()
    assert client.describe_jobs(jobs=[job_id])["jobs"] == []
    assert client.list_jobs(jobQueue="default")["jobSummaryList"] == []
    sim.clock.jump(5)
    assert len(client.describe_jobs(jobs=[job_id])["jobs"]) == 1


def test_an_answer_may_drip(http):
    """Byte by byte, and it is the whole answer in the end."""
    sim, client, _ = http
    job_id = sim.submit(status="RUNNING")
    sim.faults.drip(0.0005)
    assert client.describe_jobs(jobs=[job_id])["jobs"][0]["jobId"] == job_id
