"""BatchCancelNotifier as the callbacks of tasks and DAGs, on the real Task SDK."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG, task

from airflow_batch_cancel.core.owner import Owner, Ownership
from airflow_batch_cancel.exceptions import ArgumentError, BatchCancelError, JobsNotStoppedError
from airflow_batch_cancel.notifications import callbacks
from airflow_batch_cancel.notifications.batch import BatchCancelNotifier

PATH = "airflow_batch_cancel.notifications.batch.BatchCancelNotifier"
JOB = {"job_name": "job", "job_queue": "default", "job_definition": "default"}
GIVES_UP = {**JOB, "poll_interval": 1, "max_retries": 1}
DEADLINE = {"dag_run": {"dag_id": "notified", "dag_run_id": "a-run"}, "deadline": {"id": "1"}}


def owned(batch, run_id, task_id="job", try_number=1, dag_id="notified"):
    """Submit a job that a task instance's try owns."""
    owner = Owner("tests", dag_id, run_id, task_id, -1, try_number)
    return batch.submit(owner.job_name("job"), status="RUNNING", tags=Ownership(owner).tags())


def ended(batch, *job_ids):
    """Whether each of the jobs has been terminated."""
    return [batch.job(job_id).is_terminated for job_id in job_ids]


def test_a_task_that_fails_takes_its_jobs_along(run, batch):
    """The job that its XCom tells, and those that its tags tell; not one that only bears its name."""
    jobs = {}

    def others(context):
        ti = context["ti"]
        jobs["mine"] = owned(batch, ti.run_id)
        jobs["of a later try"] = owned(batch, ti.run_id, try_number=2)
        jobs["of another task"] = owned(batch, ti.run_id, task_id="another")
        jobs["of another run"] = owned(batch, "another-run")

    with DAG("notified", schedule=None) as dag:
        notifier = BatchCancelNotifier(job_queues="{{ ['default'] | first }}")
        BatchOperator(task_id="job", on_failure_callback=[others, notifier], **GIVES_UP)
    ran = run(dag)
    told = next(job.job_id for job in batch.jobs() if job.name == "job" and not job.tags)
    assert ended(batch, told, jobs["mine"]) == [True, True]
    assert ended(batch, *list(jobs.values())[1:]) == [False, False, False]
    assert batch.job(told).status_reason == f"Airflow task notified/{ran.run.run_id}/job try 1 is failed"


def test_in_place_of_a_lost_worker_it_spares_the_job_of_a_later_try(run, batch, monkeypatch):
    """The XCom does not tell whose job it is, so it counts only while the task is not at work."""
    monkeypatch.setattr(callbacks, "_PAUSES", (0,))
    with DAG("lost", schedule=None) as dag:
        submit = BatchOperator(task_id="submit", wait_for_completion=False, **JOB)

        @task
        def again(ti=None):
            details = ti.xcom_pull(task_ids="submit", key="batch_job_details")
            ti.xcom_push(key="batch_job_details", value=details)
            for task_id in ("again", "submit"):
                lost = Owner("tests", ti.dag_id, ti.run_id, task_id, -1, 1)
                told[task_id] = callbacks.TaskCallback(lost, None).job_ids("us-east-1")

        submit >> again()
    told = {}
    run(dag)
    assert told == {"again": [], "submit": [batch.jobs()[0].job_id]}


def test_an_execute_callback_spares_the_try_that_begins(run, batch):
    """Its own job is at work; on a first try there is nothing to look for, with or without queues."""
    jobs = []
    with DAG("begins", schedule=None) as dag:

        @task(
            on_execute_callback=[
                lambda context: jobs.extend(
                    owned(batch, context["ti"].run_id, "begins", number, dag_id="begins")
                    for number in (0, 1, 2)
                ),
                BatchCancelNotifier(job_queues=["default"]),
                BatchCancelNotifier(),
            ]
        )
        def begins():
            return None

        begins()
    assert run(dag).state("begins") == "success"
    assert ended(batch, *jobs) == [True, False, False]


def test_a_run_that_fails_takes_its_jobs_along(run, batch):
    """Those of mapped tasks too, however they are found; the reason says why the run has failed."""
    with DAG("run_fails", schedule=None) as dag:
        job = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}
        mapped = BatchOperator.partial(task_id="mapped", **job).expand(job_name=["a", "b"])

        @task
        def calls_back(run_id=None):
            owned(batch, run_id, task_id="gone", dag_id="run_fails")
            context = {"dag": dag, "run_id": run_id, "reason": "timed_out"}
            BatchCancelNotifier(job_queues=["default"])(context)

        mapped >> calls_back()
    bystander = owned(batch, "another-run", dag_id="run_fails")
    run_id = run(dag).run.run_id
    jobs = [job for job in batch.jobs() if job.job_id != bystander]
    assert ended(batch, *(job.job_id for job in jobs)) == [True] * 3
    reason = f"Airflow DAG run run_fails/{run_id} has ended: timed_out"
    assert {job.status_reason for job in jobs} == {reason}
    assert ended(batch, bystander) == [False]


def test_a_run_that_fails_spares_tasks_that_are_at_work(run, batch):
    """Somebody has cleared them before Airflow came to call back."""
    with DAG("cleared", schedule=None) as dag:

        @task
        def again(run_id=None):
            jobs.append(owned(batch, run_id, "again", 2, dag_id="cleared"))
            jobs.append(owned(batch, run_id, "gone", dag_id="cleared"))
            context = {"dag": dag, "run_id": run_id, "reason": "task_failure"}
            BatchCancelNotifier(job_queues=["default"])(context)

        again()
    jobs = []
    assert run(dag).state("again") == "success"
    assert ended(batch, *jobs) == [False, True]


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_deadline_in_the_executor_finds_jobs_by_their_tags(connection, batch):
    """Airflow lets a callback read nothing there; the XComs that there may be are not asked for."""
    job_id, other = owned(batch, "a-run"), owned(batch, "another-run")
    BatchCancelNotifier(job_queues=["default"])(dict(DEADLINE))
    assert ended(batch, job_id, other) == [True, False]
    assert batch.job(job_id).status_reason == "Airflow DAG run notified/a-run has missed its deadline"


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_deadline_in_the_triggerer_reads_xcoms_too(run, batch):
    """All the jobs of the run, whose tasks are at work."""
    with DAG("notified", schedule=None) as dag:
        submit = BatchOperator(task_id="submit", wait_for_completion=False, **JOB)

        @task
        def awaits(run_id=None):
            owned(batch, run_id, task_id="awaits")
            deadline = {**DEADLINE, "dag_run": {"dag_id": "notified", "dag_run_id": run_id}}
            asyncio.run(awaited(BatchCancelNotifier(job_queues=["default"], context=deadline)))

        submit >> awaits()
    assert run(dag).state("awaits") == "success"
    assert ended(batch, *(job.job_id for job in batch.jobs())) == [True, True]


async def awaited(notifier):
    """Await a notifier, as the triggerer does."""
    await notifier


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_deadline_in_the_executor_without_queues_says_what_it_needs(connection, batch):
    """Rather than find nothing and call that a success."""
    with pytest.raises(ArgumentError, match="job_queues=None: expected the queues to look in"):
        BatchCancelNotifier()(dict(DEADLINE))


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_what_is_not_stopped_is_logged_job_by_job_and_raised(connection, batch, capsys):
    """The jobs that could be stopped are, all the same."""
    stopped, denied = owned(batch, "a-run"), owned(batch, "a-run")
    batch.faults.deny("TerminateJob", [denied])
    with pytest.raises(JobsNotStoppedError, match=rf"1 of 2 jobs not stopped:\n  {denied}"):
        BatchCancelNotifier(job_queues=["default"])(dict(DEADLINE))
    assert ended(batch, stopped, denied) == [True, False]
    assert f"Not stopped: {denied} ({batch.job(denied).name}): DENIED" in capsys.readouterr().out


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_queue_that_can_not_be_listed_is_raised_after_the_others(connection, batch):
    """Its jobs may live on, and nobody would know."""
    job_id = owned(batch, "a-run")
    with pytest.raises(BatchCancelError, match="The jobs in no-such-queue could not be found"):
        BatchCancelNotifier(job_queues=["no-such-queue", "default"])(dict(DEADLINE))
    assert ended(batch, job_id) == [True]


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_notifier_that_several_runs_share_keeps_its_templates(connection, batch):
    """The DAG processor calls one and the same for all the runs of a DAG that have failed."""
    notifier = BatchCancelNotifier(job_queues=["default"], reason="{{ dag_run.dag_run_id }} is late")
    jobs = {run_id: owned(batch, run_id) for run_id in ("first", "second")}
    for run_id in jobs:
        notifier({**DEADLINE, "dag_run": {"dag_id": "notified", "dag_run_id": run_id}})
    reasons = [batch.job(job_id).status_reason for job_id in jobs.values()]
    assert reasons == ["first is late", "second is late"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"job_queues": []}, id="no queues"),
        pytest.param({"job_queues": [1]}, id="a queue that is none"),
        pytest.param({"reason": ""}, id="an empty reason"),
        pytest.param({"timeout": "soon"}, id="a time that is none"),
        pytest.param({"timeout": None}, id="no timeout"),
        pytest.param({"terminate_after": timedelta(seconds=-1)}, id="a negative time"),
    ],
)
def test_bad_arguments_fail_at_parse(arguments):
    """By name."""
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        BatchCancelNotifier(**arguments)


def test_airflow_knows_it():
    """By the provider's information."""
    assert PATH in ProvidersManager().notification


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_deadline_alert_takes_it():
    """As the callback that the triggerer awaits."""
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

    callback = AsyncCallback(BatchCancelNotifier, kwargs={"job_queues": ["default"]})
    assert DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(1), callback).callback.path == PATH


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_a_callback_without_task_and_run_is_refused():
    """Whatever called that has no jobs to cancel."""
    with pytest.raises(BatchCancelError, match="no task instance and no DAG run"):
        BatchCancelNotifier()({})
