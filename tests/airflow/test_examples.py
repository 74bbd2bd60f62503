"""Each example is run to its end, and does what its page in the documentation says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from airflow_batch_cancel.core.owner import Owner, Ownership

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "example_dags").glob("*.py"))}


@pytest.fixture
def example(run, batch):
    """Run an example as it stands; its jobs take three minutes, unless they are stopped."""
    batch.add_job_definition("default", run_seconds=180)

    def example(name, **kwargs):
        ran = run(runpy.run_path(str(EXAMPLES[name]))["dag"], **kwargs)
        assert ran.run.state == "success"
        return ran

    return example


def outcomes(report):
    return [row["outcome"] for row in report["jobs"]]


def test_cancel_in_a_teardown(example, batch):
    """The jobs of the mapped task are stopped after the work, and the reason names the run."""
    ran = example("cancel_in_a_teardown")
    assert set(outcomes(ran.xcom("stop_workers"))) <= {"TERMINATED", "CANCELLED"}
    assert {job.status_reason for job in batch.jobs()} == {f"{ran.run.run_id} needs no workers any more"}


def test_cancel_from_a_task(example, batch):
    """All three are stopped; none had done its work."""
    assert example("cancel_from_a_task").xcom("cancel") == []
    assert [job.status for job in batch.jobs()] == ["FAILED"] * 3


def test_drain(example, batch):
    """What has not started is dropped at once; what has started ends by itself."""
    batch.add_queue("default", slots=1)
    batch.add_job_definition("default", run_seconds=150)
    ran = example("drain")
    assert sorted(outcomes(ran.xcom("drain"))) == ["CANCELLED", "CANCELLED", "FINISHED"]
    assert sorted(job.status for job in batch.jobs()) == ["FAILED", "FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("name", ["clean_up_on_kill", "cancel_when_deferred", "reattach"])
def test_a_job_that_belongs_to_its_task(example, batch, name):
    """The job succeeds, with its owner on it."""
    batch.add_job_definition("default", run_seconds=5)
    ran = example(name)
    (job,) = batch.jobs()
    assert job.status == "SUCCEEDED"
    assert Ownership.from_tags(job.tags).owner == Owner("tests", name, ran.run.run_id, "job", -1, 1)


def test_stock_operator(example, batch, monkeypatch):
    """With the setting of its page, the job of an untouched DAG has an owner."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__ADOPT_BATCH_OPERATORS", "True")
    batch.add_job_definition("default", run_seconds=5)
    example("stock_operator")
    assert Ownership.from_tags(batch.jobs()[0].tags).owner.dag_id == "stock_operator"


@pytest.mark.airflow("3.2", reason="there are no deadline alerts before")
def test_cancel_from_callbacks(run, batch):
    """As it stands, but for its patience: the task gives up, and the callback takes its job along."""
    dag = runpy.run_path(str(EXAMPLES["cancel_from_callbacks"]))["dag"]
    job = dag.get_task("job")
    job.poll_interval, job.max_retries = 1, 1
    assert run(dag).run.state == "failed"
    batch.clock.jump(60)
    assert not batch.alive()
    assert "cancel_from_callbacks" in batch.jobs()[0].status_reason


def test_every_example_is_run():
    """Here, with the operator that it shows, or in the demo."""
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    elsewhere = {"cancel_a_run": '"tests.live.demo"', "sweep_orphans": '"sweep_orphans.py"'}
    for name in EXAMPLES:
        assert elsewhere.get(name, f'example("{name}")') in tests or f'"{name}"' in tests, name
