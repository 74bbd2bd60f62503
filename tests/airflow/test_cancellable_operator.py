"""CancellableBatchOperator on the real Task SDK: what it submits, and what a kill does."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.hooks.submit import BatchSubmitHook, kill_now
from airflow_batch_cancel.operators.batch import CancellableBatchOperator

JOB = {"job_queue": "default", "job_definition": "default"}
QUICK = {"parameters": {"run_seconds": "5"}, "max_retries": 50}


def test_a_job_carries_its_owner(run, batch):
    """Tags of deployment, DAG, run, task, map index and try, beside the author's own."""
    with DAG("my_dag", schedule=None) as dag:
        CancellableBatchOperator.partial(
            task_id="job", wait_for_completion=False, tags={"team": "a"}, **JOB
        ).expand(job_name=["a", "b"])
    ran = run(dag)
    assert ran.run.state == "success"
    found = {Ownership.from_tags(job.tags) for job in batch.jobs()}
    assert found == {
        Ownership(Owner("tests", "my_dag", ran.run.run_id, "job", index, 1), Lifetime.DETACHED)
        for index in range(2)
    }
    assert {job.tags["team"] for job in batch.jobs()} == {"a"}
    assert all(re.fullmatch(r"[ab]-[0-9a-f]{10}", job.name) for job in batch.jobs())


def test_a_job_that_succeeds_is_the_stock_operators(run, batch):
    """Sync: same result, same XComs, and no stop is asked for."""
    with DAG("good", schedule=None) as dag:
        CancellableBatchOperator(task_id="job", job_name="good", name_suffix=False, **JOB, **QUICK)
    ran = run(dag)
    (job,) = batch.jobs()
    assert ran.run.state == "success"
    assert ran.xcom("job") == job.job_id
    assert ran.xcom("job", "batch_job_details")["job_id"] == job.job_id
    assert (job.name, job.status) == ("good", "SUCCEEDED")
    assert Ownership.from_tags(job.tags).lifetime is Lifetime.TASK
    assert batch.count("TerminateJob") + batch.count("TerminateJobs") == 0


def test_an_error_after_the_submit_stops_the_job(run, batch):
    """Polls that are used up fail the task, and the job goes with it; the stock operator leaves it."""
    with DAG("used_up", schedule=None) as dag:
        CancellableBatchOperator(task_id="ours", job_name="ours", max_retries=1, **JOB)
    with DAG("used_up_stock", schedule=None) as stock:
        BatchOperator(task_id="stock", job_name="stock", max_retries=1, **JOB)
    assert run(dag).run.state == "failed"
    assert run(stock).run.state == "failed"
    batch.clock.jump(60)
    assert [job.name for job in batch.alive()] == ["stock"]


def operator(connection, **arguments):
    made = CancellableBatchOperator(task_id="job", job_name="x", **JOB, **arguments)
    made._owner = Owner("tests", "dag", "run", "job", -1, 1)
    made._kill_client = made.hook.kill_client()
    return made


@pytest.fixture
def killed(connection, metadata_db):
    return operator(connection)


def test_a_kill_without_a_job_does_nothing(batch, killed):
    """No TerminateJob with an id of None, and no error in the signal handler."""
    killed.on_kill()
    assert batch.calls == []


def test_a_kill_terminates_the_job(batch, killed):
    """One call, with a reason that names the task."""
    killed.job_id = batch.submit(status="RUNNING")
    killed.on_kill()
    assert [call.operation for call in batch.calls] == ["TerminateJob"]
    assert batch.calls[0].params["reason"] == "Airflow task dag/run/job try 1 was killed"


def test_a_kill_is_repeated_when_aws_throttles_and_gives_up_in_time(batch, killed):
    """Never over four seconds, and never an exception."""
    killed.job_id = batch.submit(status="RUNNING")
    batch.faults.throttle("TerminateJob", times=3)
    killed.on_kill()
    assert batch.job(killed.job_id).is_terminated
    batch.faults.throttle("TerminateJob")
    began = time.monotonic()
    killed.on_kill()
    assert time.monotonic() - began < 4.5


def test_a_denied_kill_raises_nothing(batch, killed):
    """What it raises would surface in whatever line the signal has interrupted."""
    killed.job_id = batch.submit(status="RUNNING")
    batch.faults.deny("TerminateJob")
    killed.on_kill()
    assert batch.count("TerminateJob") == 1


def test_cancel_on_kill_can_be_turned_off(connection, batch, metadata_db):
    """The job goes on, and the log says so."""
    spared = operator(connection, cancel_on_kill=False)
    spared.job_id = batch.submit(status="RUNNING")
    spared.on_kill()
    assert batch.calls == []


def test_a_kill_hangs_no_longer_than_its_budget(batch, connection, metadata_db):
    """A service that does not answer is given up after the client's short timeouts."""
    batch.faults.latency(10, "TerminateJob")
    client = BatchSubmitHook().kill_client()
    began = time.monotonic()
    kill_now(client, batch.submit(status="RUNNING"), "x", logging.getLogger(__name__))
    assert time.monotonic() - began < 4.2


def left_behind(batch, try_number, **fields):
    owner = Owner("tests", "dag", "run", "job", -1, try_number)
    tags = Ownership(owner).tags()
    return batch.submit(owner.job_name("x"), status="RUNNING", tags=tags, **fields)


def test_a_later_try_ends_the_jobs_of_earlier_ones_before_it_submits(batch, killed):
    """Its own task instance's only; the look costs one ListJobs and one DescribeJobs."""
    killed._owner = Owner("tests", "dag", "run", "job", -1, 3)
    mine = [left_behind(batch, number) for number in (1, 2)]
    newer = left_behind(batch, 4)
    untagged = batch.submit(killed._owner.job_name("x"), status="RUNNING")
    killed._owned_parameters({"jobName": "x", "jobQueue": "default"})
    assert [batch.job(job_id).status for job_id in mine] == ["FAILED", "FAILED"]
    assert "try 3 is tried again" in batch.job(mine[0]).status_reason
    assert {job.job_id for job in batch.alive()} == {newer, untagged}
    assert [call.operation for call in batch.calls[:3]] == ["ListJobs", "DescribeJobs", "DescribeJobs"]


def test_a_first_try_looks_for_nothing(batch, killed):
    """No call but the submit."""
    killed._owned_parameters({"jobName": "x", "jobQueue": "default"})
    assert batch.calls == []


def test_a_missing_permission_to_look_does_not_keep_a_try_from_submitting(batch, killed):
    """The log says which protection is off."""
    killed._owner = Owner("tests", "dag", "run", "job", -1, 2)
    batch.faults.deny("ListJobs")
    assert killed._owned_parameters({"jobName": "x", "jobQueue": "default"})["jobName"].startswith("x-")


def test_a_retry_never_runs_beside_the_job_of_the_try_before(run, batch):
    """The first try could not stop its job; the second one does, and then submits."""
    batch.faults.bulk_errors("AccessDenied", times=1)
    with DAG("retried", schedule=None) as dag:
        CancellableBatchOperator(
            task_id="job", job_name="retried", max_retries=1, retries=1, retry_delay=timedelta(0), **JOB
        )
    assert run(dag).run.state == "failed"
    batch.clock.jump(60)
    first, second = batch.jobs()
    assert "is tried again" in first.status_reason
    assert first.stopped_at <= second.created_at
    assert not batch.alive()


def test_a_task_that_was_killed_before_its_submit_submits_nothing(batch, killed):
    """The mark is looked at before SubmitJob too."""
    killed.on_kill()
    with pytest.raises(AirflowFailException, match="before it submitted"):
        killed._owned_parameters({"jobName": "x", "jobQueue": "default"})


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        pytest.param({f"t{n}": "" for n in range(49)}, "at most 43 tags", id="too many"),
        pytest.param({"airflow_run_id": "x"}, "airflow_run_id", id="ours"),
    ],
)
def test_tags_that_can_not_be_added_fail_at_dag_parse(tags, said):
    """Before a job is submitted without its owner."""
    with pytest.raises(ArgumentError, match=said):
        CancellableBatchOperator(task_id="job", job_name="x", tags=tags, **JOB)
