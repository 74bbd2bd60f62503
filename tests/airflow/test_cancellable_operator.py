"""CancellableBatchOperator on the real Task SDK: what it submits, and what a kill does."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.compat import TaskDeferred
from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership
from airflow_batch_cancel.exceptions import ArgumentError
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


def test_a_task_in_a_worker_goes_on_when_its_key_is_replaced(run, batch, rotate):
    """While it waits, and in the call with which it is killed later."""
    killed = []

    def rotate_and_kill(operator):
        rotate()
        seen = len(batch.calls)
        for _ in range(500):
            if any(call.status_code == 200 for call in batch.calls[seen:]):
                break
            time.sleep(0.02)
        operator.on_kill()
        killed.append(batch.jobs()[0].is_terminated)

    class Watched(CancellableBatchOperator):
        def monitor_job(self, context):
            threading.Thread(target=rotate_and_kill, args=(self,)).start()
            super().monitor_job(context)

    with DAG("rotated", schedule=None) as dag:
        Watched(task_id="job", job_name="rotated", **JOB)
    run(dag)
    assert killed == [True]
    assert [call.operation for call in batch.calls if call.status_code == 403] == ["DescribeJobs"]


@pytest.mark.parametrize(
    ("retry_cancelled", "tries"), [(False, 1), (True, 2)], ids=["by default", "when asked"]
)
def test_a_job_that_somebody_cancelled_is_not_retried(run, batch, retry_cancelled, tries):
    """What was stopped on purpose does not come back, unless the DAG's author wants it to."""
    with DAG(f"cancelled_{retry_cancelled}", schedule=None) as dag:
        job = CancellableBatchOperator(
            task_id="job",
            job_name="unwanted",
            retries=1,
            retry_delay=timedelta(0),
            retry_cancelled=retry_cancelled,
            **{**JOB, **QUICK, "parameters": {}},
        )
    with cancelling(batch, "Ann does not want it"):
        ran = run(dag)
    assert ran.run.state == "failed"
    assert len(batch.jobs()) == tries
    assert {found.status_reason for found in batch.jobs()} == {"Ann does not want it"}
    assert ran.run.get_task_instance(job.task_id).try_number == tries


@contextmanager
def cancelling(batch, reason):
    """Terminate every job as soon as it is there, from outside."""
    over = threading.Event()

    def cancel():
        while not over.wait(0.2):
            for job in batch.alive():
                batch.client().terminate_job(jobId=job.job_id, reason=reason)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    yield
    over.set()
    canceller.join()


class TimesOut(CancellableBatchOperator):
    """Is resumed as Airflow does it when a deferral has timed out: elsewhere, and without an event."""

    def execute(self, context):
        with pytest.raises(TaskDeferred):
            super().execute(context)
        return self.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


@pytest.mark.parametrize("xcoms", [True, False], ids=["found by its XCom", "found by its name"])
def test_a_deferral_that_timed_out_stops_the_job(run, batch, monkeypatch, xcoms):
    """No kill hook is called then, and the process that resumes the task has never seen the job."""
    if not xcoms:
        monkeypatch.setattr(BatchJobDetailsLink, "persist", lambda **_: None)
    with DAG(f"timed_out_{xcoms}", schedule=None) as dag:
        TimesOut(task_id="job", job_name="slow", deferrable=True, **JOB)
    assert run(dag).run.state == "failed"
    batch.clock.jump(60)
    (job,) = batch.jobs()
    assert job.is_terminated
    assert "failed with TaskDeferralTimeout" in job.status_reason


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
