"""How often AWS is asked for the jobs that a page shows."""

from __future__ import annotations

import pytest

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.simulator import BatchSimulator
from airflow_batch_cancel.ui.looks import Looks


@pytest.fixture
def batch():
    return BatchSimulator(seed=1)


def test_many_viewers_cost_as_much_as_one(batch):
    """Of 1,000 live jobs, 10 calls every two seconds; those that have ended are never asked for again."""
    live = [batch.submit(status="RUNNING") for _ in range(1_000)]
    ended = [batch.submit(status="SUCCEEDED") for _ in range(500)]
    clock = iter((0.0, 0.1, 1.0, 1.9, 2.1, 2.2, 4.0, 4.2))
    looks = Looks(lambda: next(clock))
    calls = []
    for _ in range(8):
        batch.reset_calls()
        seen = looks.look("here", [*live, *ended], lambda: BatchGateway(batch.client()))
        assert len(seen.jobs) == 1_500
        calls.append(len(batch.calls))
    assert calls == [15, 0, 0, 0, 10, 0, 0, 10]


def test_a_few_jobs_are_always_asked_for(batch):
    """What becomes of three jobs is shown at once, also when the page asks every tenth of a second."""
    jobs = [batch.submit(status="RUNNING") for _ in range(3)]
    clock = iter((0.0, 0.1))
    looks = Looks(lambda: next(clock))
    looks.look("here", jobs, lambda: BatchGateway(batch.client()))
    batch.client().terminate_job(jobId=jobs[0], reason="enough")
    batch.clock.jump(60)
    seen = looks.look("here", jobs, lambda: BatchGateway(batch.client()))
    assert [job.finished for job in seen.jobs.values()] == [True, False, False]


def test_two_accounts_may_have_the_same_id(batch):
    """What one source has shown says nothing of another."""
    other = BatchSimulator(seed=1)
    job_id = batch.submit(status="SUCCEEDED")
    assert other.submit(status="RUNNING") == job_id
    looks = Looks()
    assert looks.look("here", [job_id], lambda: BatchGateway(batch.client())).jobs[job_id].finished
    assert not looks.look("there", [job_id], lambda: BatchGateway(other.client())).jobs[job_id].finished
