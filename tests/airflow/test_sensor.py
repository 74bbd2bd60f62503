"""BatchCancelSensor on the real Task SDK."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.sensors.batch import BatchCancelSensor

JOB = "11111111-1111-4111-8111-111111111111"
MODES = [
    pytest.param({"mode": "poke"}, id="poke"),
    pytest.param({"mode": "reschedule"}, id="reschedule"),
    pytest.param({"deferrable": True}, id="deferrable"),
]


@pytest.mark.parametrize("mode", MODES)
def test_it_waits_until_the_jobs_have_ended(run, batch, mode):
    """Read-only; the report says what became of them."""
    ids = [batch.submit(status="RUNNING", run_seconds=8), batch.submit(status="SUCCEEDED")]
    with DAG("waits", schedule=None) as dag:
        BatchCancelSensor(task_id="wait", job_ids=ids, poke_interval=0.5, timeout=30, **mode)
    ran = run(dag)
    assert ran.run.state == "success"
    assert ran.xcom("wait")["totals"] == {"ALREADY_FINISHED": 2}
    assert not batch.alive()
    assert {call.operation for call in batch.calls} == {"DescribeJobs"}


def test_it_waits_for_the_jobs_of_the_run(run, batch):
    """The same choice of jobs as the cancel operator has."""
    parameters = {"run_seconds": "5"}
    with DAG("of_run", schedule=None) as dag:
        BatchOperator(
            task_id="submit",
            job_name="x",
            job_queue="default",
            job_definition="default",
            parameters=parameters,
            wait_for_completion=False,
        ) >> BatchCancelSensor(task_id="wait", poke_interval=0.3, timeout=30)
    ran = run(dag)
    assert ran.run.state == "success"
    assert len(ran.xcom("wait")["jobs"]) == 1
    assert not batch.alive()


@pytest.mark.parametrize("mode", [MODES[0], MODES[2]])
def test_a_job_that_can_not_be_found_is_an_error(run, mode):
    """It fails closed, after a grace for jobs that were submitted a moment ago."""
    with DAG("missing", schedule=None) as dag:
        BatchCancelSensor(
            task_id="wait",
            job_ids=JOB,
            poke_interval=0.2,
            timeout=30,
            missing_grace=timedelta(seconds=1),
            **mode,
        )
    assert run(dag).run.state == "failed"


@pytest.mark.parametrize("mode", [MODES[0], MODES[2]])
def test_jobs_that_nobody_may_look_at_are_an_error(run, batch, mode):
    """A denied DescribeJobs is not the end of the jobs."""
    job_id = batch.submit(status="RUNNING")
    batch.faults.deny("DescribeJobs")
    with DAG("denied", schedule=None) as dag:
        BatchCancelSensor(task_id="wait", job_ids=job_id, poke_interval=0.2, timeout=30, **mode)
    assert run(dag).run.state == "failed"


def test_a_hundred_jobs_are_one_call_a_poke(run, batch):
    """One DescribeJobs for 100 jobs."""
    ids = [batch.submit(status="SUCCEEDED") for _ in range(250)]
    with DAG("hundreds", schedule=None) as dag:
        BatchCancelSensor(task_id="wait", job_ids=ids)
    assert run(dag).run.state == "success"
    assert batch.count("DescribeJobs") == 3


def test_a_wrong_argument_fails_at_dag_parse():
    """In the author's terms."""
    with pytest.raises(ArgumentError, match="missing_grace="):
        BatchCancelSensor(task_id="wait", missing_grace=5)
    with pytest.raises(ArgumentError, match="job_ids="):
        BatchCancelSensor(task_id="wait", job_ids=JOB, task_ids=["a"])
