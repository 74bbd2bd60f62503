"""BatchCancelHook alone, and what it finds by owner tags."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG, task

from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, Run
from airflow_batch_cancel.core.plan import Operation
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.exceptions import AccessDeniedError, ArgumentError, JobIdError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.operators.batch import BatchCancelOperator, CancellableBatchOperator

OWNER = Owner("tests", "dag", "run", "task", 0, 1)
UNKNOWN = "11111111-1111-4111-8111-111111111111"
POLICY = Policy("why", poll_interval=timedelta(seconds=0.2))


@pytest.fixture
def hook(connection):
    return BatchCancelHook()


def submit(batch, owner, **fields):
    return batch.submit(owner.job_name("job"), status="RUNNING", tags=Ownership(owner).tags(), **fields)


def test_it_is_usable_from_a_task(run, batch):
    """No operator around it."""
    job_id = batch.submit(status="RUNNING")
    with DAG("from_task", schedule=None) as dag:

        @task
        def cancel() -> bool:
            return BatchCancelHook().cancel_jobs(job_id, POLICY).ok

        cancel()
    assert run(dag).xcom("cancel") is True
    assert not batch.alive()


def test_it_finds_the_jobs_of_a_task_instance_by_name_in_two_calls(batch, hook):
    """Those of all tries; name and tags must both be right."""
    first, second = (submit(batch, Owner(*OWNER.task_instance, number)) for number in (1, 2))
    batch.submit(OWNER.job_name("job"), status="RUNNING")
    submit(batch, Owner("other", *OWNER.task_instance[1:], 1))
    found = hook.find_jobs(OWNER, ["default"], job_name=OWNER.job_name("job"))
    assert {job.job_id for job, _ in found} == {first, second}
    assert {ownership.owner.try_number for _, ownership in found} == {1, 2}
    assert len(batch.calls) == 2


def test_it_finds_the_jobs_of_a_run(batch, hook):
    """Whatever their names; foreign, untagged and finished ones are passed over."""
    mine = submit(batch, OWNER)
    submit(batch, Owner("tests", "dag", "another run", "task", 0, 1))
    submit(batch, Owner("staging", "dag", "run", "task", 0, 1))
    batch.submit(status="RUNNING")
    found = hook.find_jobs(Run("tests", "dag", "run"), ["default"])
    assert [(job.job_id, ownership) for job, ownership in found] == [(mine, Ownership(OWNER, Lifetime.TASK))]


def test_jobs_that_no_xcom_tells_of_are_cancelled_by_their_tags(run, batch):
    """``job_queues`` finds what a retry has made Airflow forget."""
    foreign = batch.submit(status="RUNNING")
    with DAG("forgotten", schedule=None) as dag:
        CancellableBatchOperator(
            task_id="submit",
            job_name="forgotten",
            job_queue="default",
            job_definition="default",
            wait_for_completion=False,
            do_xcom_push=False,
        ) >> BatchCancelOperator(task_id="cancel", job_queues=["default"], poll_interval=0.2)
    ran = run(dag)
    assert ran.run.state == "success"
    assert len(ran.xcom("cancel")["jobs"]) == 1
    assert [job.job_id for job in batch.alive()] == [foreign]


def test_jobs_are_described(batch, hook):
    """A hundred a call, unknown ones left out; a denied call is an error."""
    ids = [batch.submit(status="RUNNING") for _ in range(120)]
    assert [job.job_id for job in hook.describe_jobs([*ids, UNKNOWN])] == ids
    assert batch.count("DescribeJobs") == 2
    batch.faults.deny("DescribeJobs")
    with pytest.raises(AccessDeniedError, match="DescribeJobs"):
        hook.describe_jobs(ids)


def test_a_connection_that_does_not_exist_is_refused(connection, metadata_db):
    """Not replaced by whatever credentials the machine has."""
    with pytest.raises(ArgumentError, match="aws_conn_id='nowhere'"):
        BatchCancelHook(aws_conn_id="nowhere").cancel_jobs(UNKNOWN, POLICY)


@pytest.mark.parametrize(
    ("config", "attempts"),
    [(None, 1), ({"retries": {"total_max_attempts": 3}}, 3)],
    ids=["default", "asked for"],
)
def test_calls_are_repeated_by_the_gateway_and_not_by_botocore(connection, metadata_db, config, attempts):
    """So that each attempt keeps the pace, unless the author of the connection wants otherwise."""
    hook = BatchCancelHook(config=config)
    assert hook.get_conn().meta.config.retries["total_max_attempts"] == attempts


def test_an_arn_of_another_region_is_refused(hook):
    """By name, before the first call."""
    with pytest.raises(JobIdError, match="Region us-east-1"):
        hook.cancel_jobs(f"arn:aws:batch:eu-west-1:123456789012:job/{UNKNOWN}", POLICY)


def test_a_call_that_hangs_is_given_up_sooner_than_botocore_does(hook):
    """What the caller or the connection configures goes first."""
    assert hook.get_conn().meta.config.read_timeout == 20
    own = BatchCancelHook(config={"read_timeout": 90}).get_conn().meta.config
    assert (own.read_timeout, own.connect_timeout) == (90, 10)


@pytest.mark.parametrize(
    "ask",
    [
        lambda hook, job_id: hook.cancel_jobs(job_id, POLICY).ok,
        lambda hook, job_id: len(hook.describe_jobs(job_id)) == 1,
        lambda hook, job_id: len(hook.find_jobs(OWNER, ["default"])) == 1,
        lambda hook, job_id: hook.gateway.stop(Operation.TERMINATE, [job_id], "why") == {job_id: None},
    ],
    ids=["cancel", "describe", "find", "stop"],
)
def test_it_outlives_its_credentials(batch, hook, rotate, ask):
    """The connection's new key is used as soon as the old one is refused, however long the hook has lived."""
    job_id = submit(batch, OWNER)
    for _ in range(2):
        assert hook.gateway.describe([job_id]).errors == {}
        rotate()
    assert ask(hook, job_id)


def test_a_key_that_is_refused_with_no_other_to_be_had_is_the_error(batch, hook, rotate, monkeypatch, caplog):
    """It is not hidden by what came of the look for another one."""
    job_id = submit(batch, OWNER)
    hook.gateway.describe([job_id])
    rotate()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://x:y@?region_name=nowhere%21")
    report = hook.cancel_jobs(job_id, POLICY)
    assert not report.ok
    assert "UnrecognizedClientException" in report.table()
    assert "no other credentials" in caplog.text
