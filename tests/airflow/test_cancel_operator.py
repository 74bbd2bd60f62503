"""BatchCancelOperator on the real Task SDK."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, task

from airflow_batch_cancel.exceptions import ArgumentError, JobIdError
from airflow_batch_cancel.operators.batch import BatchCancelOperator

JOB = "11111111-1111-4111-8111-111111111111"
SUBMIT = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}
QUICK = {"poll_interval": timedelta(seconds=0.2), "timeout": timedelta(seconds=20)}


def outcomes(ran, task_id="cancel"):
    return sorted(row["outcome"] for row in ran.xcom(task_id)["jobs"])


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_the_jobs_of_this_run_are_cancelled(run, batch, deferrable):
    """Stock BatchOperator tasks, mapped ones included; a foreign job stays alone."""
    foreign = batch.submit("foreign", status="RUNNING")
    with DAG("this_run", schedule=None) as dag:
        single = BatchOperator(task_id="single", job_name="single", **SUBMIT)
        mapped = BatchOperator.partial(task_id="mapped", **SUBMIT).expand(job_name=["a", "b", "c"])
        [single, mapped] >> BatchCancelOperator(task_id="cancel", deferrable=deferrable, **QUICK)
    ran = run(dag)
    assert ran.run.state == "success"
    assert len(outcomes(ran)) == 4
    assert [job.job_id for job in batch.alive()] == [foreign]
    reason = ran.xcom("cancel")["reason"]
    assert f"this_run/{ran.run.run_id}/cancel try 1" in reason
    assert {job.status_reason for job in batch.jobs() if job.finished} == {reason}


def test_given_jobs_are_cancelled(run, batch):
    """A list with an XCom in it, and a templated string."""
    one, two = batch.submit(status="RUNNING"), batch.submit(status="RUNNING")
    with DAG("given", schedule=None, params={"ids": f"{one} {two}"}) as dag:
        submit = BatchOperator(task_id="submit", job_name="x", **SUBMIT)
        first = BatchCancelOperator(task_id="cancel", job_ids=[submit.output], **QUICK)
        first >> BatchCancelOperator(task_id="template", job_ids="{{ params.ids }}", **QUICK)
    ran = run(dag)
    assert ran.run.state == "success"
    assert len(outcomes(ran)) == 1
    assert outcomes(ran, "template") == ["TERMINATED", "TERMINATED"]
    assert not batch.alive()


def test_only_the_jobs_of_the_named_tasks(run, batch):
    """``task_ids`` narrows."""
    with DAG("narrow", schedule=None) as dag:
        mine = BatchOperator(task_id="mine", job_name="mine", **SUBMIT)
        other = BatchOperator(task_id="other", job_name="other", **SUBMIT)
        [mine, other] >> BatchCancelOperator(task_id="cancel", task_ids=["mine"], **QUICK)
    run(dag)
    assert [job.name for job in batch.alive()] == ["other"]


def test_the_jobs_of_a_run_of_another_dag(run, batch):
    """Mapped tasks are told from tasks that are named like their instances."""
    with DAG("other_dag", schedule=None) as other:
        BatchOperator(task_id="job_1", job_name="named-like-an-instance", **SUBMIT)
        BatchOperator.partial(task_id="job", **SUBMIT).expand(job_name=["a", "b", "c"])
    other_run = run(other).run.run_id
    with DAG("cancels_other", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", dag_id="other_dag", run_id=other_run, **QUICK)
    ran = run(dag)
    assert len(outcomes(ran)) == 4
    assert not batch.alive()


def test_a_teardown_cancels_when_the_other_tasks_have_failed(run, batch):
    """The run has failed, and its job is gone."""
    with DAG("teardown", schedule=None) as dag:
        submit = BatchOperator(task_id="submit", job_name="x", **SUBMIT)

        @task
        def fails():
            raise ValueError("on purpose")

        submit >> fails() >> BatchCancelOperator(task_id="cancel", **QUICK).as_teardown(setups=submit)
    ran = run(dag)
    assert ran.run.state == "failed"
    assert ran.state("cancel") == "success"
    assert not batch.alive()


def test_a_dry_run_touches_nothing(run, batch):
    """The report is the plan."""
    job_id = batch.submit(status="RUNNING")
    with DAG("dry", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", job_ids=job_id, dry_run=True)
    report = run(dag).xcom("cancel")
    assert [row["action"] for row in report["jobs"]] == ["TERMINATE"]
    assert batch.job(job_id).status == "RUNNING"


def test_without_waiting_an_accepted_stop_is_enough(run, batch):
    """The task ends at once, and claims no more than it knows."""
    job_id = batch.submit(status="RUNNING", stop_seconds=3000)
    with DAG("no_wait", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", job_ids=job_id, wait_for_completion=False)
    ran = run(dag)
    assert ran.run.state == "success"
    assert outcomes(ran) == ["STOPPING"]
    assert batch.job(job_id).is_terminated


def test_started_jobs_are_left_alone_when_asked_to(run, batch):
    """``terminate_after=None``."""
    job_id = batch.submit(status="RUNNING")
    with DAG("leave", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", job_ids=job_id, terminate_after=None, **QUICK)
    ran = run(dag)
    assert outcomes(ran) == ["LEFT_RUNNING"]
    assert batch.job(job_id).status == "RUNNING"


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_the_task_fails_when_a_job_is_not_stopped(run, batch, caplog, deferrable):
    """One denied, one not found, one stopped: the error names the two."""
    good, denied = batch.submit(status="RUNNING"), batch.submit(status="RUNNING")
    batch.faults.deny("TerminateJob", [denied])
    with DAG("partial", schedule=None) as dag:
        BatchCancelOperator(
            task_id="cancel",
            job_ids=[good, denied, JOB],
            deferrable=deferrable,
            poll_interval=0.2,
            timeout="2",
        )
    assert run(dag).run.state == "failed"
    assert batch.job(good).finished


def test_no_jobs_are_a_success_unless_they_must_be(run):
    """``fail_if_none``."""
    with DAG("none", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", job_ids=[])
        BatchCancelOperator(task_id="strict", job_ids=[], fail_if_none=True)
    ran = run(dag)
    assert (ran.state("cancel"), ran.state("strict")) == ("success", "failed")
    assert ran.xcom("cancel")["jobs"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"job_ids": JOB, "run_id": "x"}, "job_ids=", id="two ways"),
        pytest.param({"job_ids": [JOB, "job-1"]}, "job-1", id="malformed id"),
        pytest.param({"dag_id": "other"}, "dag_id=", id="no run_id"),
        pytest.param({"reason": ""}, "reason=''", id="no reason"),
        pytest.param({"reason": "x" * 1025}, "not 1025", id="long reason"),
        pytest.param({"timeout": timedelta(-1)}, "timeout=", id="negative timeout"),
        pytest.param({"timeout": None}, "timeout=None", id="no timeout"),
        pytest.param({"terminate_after": "soon"}, "terminate_after='soon'", id="no duration"),
        pytest.param({"poll_interval": 0}, "poll_interval=", id="no pause"),
    ],
)
def test_a_wrong_argument_fails_at_dag_parse(arguments, said):
    """In the author's terms, before anything runs."""
    with pytest.raises((ArgumentError, JobIdError), match=said):
        BatchCancelOperator(task_id="cancel", **arguments)
