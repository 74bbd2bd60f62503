"""``airflow batch-cancel``, as Airflow's own parser runs it."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from airflow.cli import cli_parser
from airflow.models.dag import DagModel
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_batch_cancel.core.owner import Owner, Ownership
from airflow_batch_cancel.operators.sweep import BatchSweepOperator

pytestmark = pytest.mark.airflow("3.2", reason="providers can not add to the command line before")

JOB = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def airflow(connection, metadata_db, capsys, monkeypatch):
    """Run a command; returns the exit code, what a script reads, and what people read."""
    parser = cli_parser.get_parser()

    def airflow(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        args = parser.parse_args(["batch-cancel", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            args.func(args)
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return airflow


@pytest.fixture
def submitted(run, batch):
    """A run whose stock operators have submitted three jobs; returns the arguments that choose it."""
    with DAG("cli", schedule=None) as dag:
        BatchOperator(task_id="one", job_name="one", **JOB)
        BatchOperator.partial(task_id="many", **JOB).expand(job_name=["a", "b"])
    ran = run(dag)
    batch.clock.jump(5)
    return ["--dag-id", "cli", "--run-id", ran.run.run_id]


def rows(out):
    return json.loads(out)


def test_list_shows_the_jobs_of_a_run(airflow, submitted, batch):
    """Those of mapped tasks included; narrowed by task."""
    code, out, _ = airflow("list", *submitted, "--output", "json")
    assert code == 0
    assert {row["job_name"]: row["status"] for row in rows(out)} == dict.fromkeys(
        ["one", "a", "b"], "RUNNING"
    )
    _, out, _ = airflow("list", *submitted, "--task-id", "many", "--output", "json")
    assert {row["job_name"] for row in rows(out)} == {"a", "b"}


@pytest.mark.parametrize("dry_run", [["plan"], ["cancel", "--dry-run"]], ids=["plan", "dry run"])
def test_a_plan_shows_what_cancel_would_do(airflow, submitted, batch, dry_run):
    """And does nothing."""
    code, out, err = airflow(*dry_run, *submitted, "--output", "json")
    assert code == 0
    assert [row["plan"] for row in rows(out)] == ["TERMINATE"] * 3
    assert "3 TERMINATE" in err
    assert len(batch.alive()) == 3


def test_cancel_ends_the_jobs_of_a_run(airflow, submitted, batch):
    """Waits for it, and keeps the reason."""
    code, out, err = airflow("cancel", *submitted, "--yes", "--reason", "enough", "--output", "json")
    assert code == 0
    assert [row["outcome"] for row in rows(out)] == ["TERMINATED"] * 3
    assert "3 TERMINATED" in err
    assert {job.status_reason for job in batch.jobs()} == {"enough"}


def test_cancel_takes_ids_from_standard_input(airflow, batch):
    """And says who cancelled, when no reason is given."""
    ids = [batch.submit(status="RUNNING") for _ in range(2)]
    code, _, _ = airflow("cancel", "-", "--yes", stdin="\n".join(ids))
    assert code == 0
    assert "with airflow batch-cancel" in batch.job(ids[0]).status_reason


def test_a_partial_cancel_is_no_success(airflow, batch):
    """Exit code 3; the job that is stopped and the one that is not are told apart."""
    job_id = batch.submit(status="RUNNING")
    code, out, _ = airflow("cancel", job_id, UNKNOWN, "--yes", "--timeout", "1", "--output", "json")
    assert code == 3
    assert sorted(row["outcome"] for row in rows(out)) == ["NOT_FOUND", "TERMINATED"]


def test_started_jobs_can_be_left_alone(airflow, batch):
    """``--terminate-after none``."""
    code, out, _ = airflow(
        "cancel", batch.submit(status="RUNNING"), "--yes", "--terminate-after", "none", "--output", "json"
    )
    assert (code, rows(out)[0]["outcome"]) == (0, "LEFT_RUNNING")


def test_nothing_is_stopped_without_a_yes(airflow, batch):
    """A script has to say so beforehand."""
    job_id = batch.submit(status="RUNNING")
    code, _, err = airflow("cancel", job_id)
    assert code == 2
    assert "--yes" in err
    assert batch.alive()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["list"], "job_ids", id="nothing chosen"),
        pytest.param(["list", UNKNOWN, "--dag-id", "d"], "either", id="two choices"),
        pytest.param(["list", "--dag-id", "d"], "--run-id", id="no run"),
        pytest.param(["list", "--dag-id", "d", "--run-id", "r"], "run_id='r'", id="a run that is none"),
        pytest.param(["cancel", "x", "--yes"], "['x']", id="an id that is none"),
        pytest.param(["plan", UNKNOWN, "--terminate-after", "soon"], "'soon'", id="a time that is none"),
        pytest.param(["plan", UNKNOWN, "--timeout", "-1"], "timeout", id="a negative timeout"),
    ],
)
def test_bad_arguments_are_said_and_end_with_2(airflow, arguments, said):
    """By name, with the value and what would be right; no traceback."""
    code, _, err = airflow(*arguments)
    assert code == 2
    assert said in err


def test_ctrl_c_during_a_sweep_says_what_aws_has_been_asked(airflow, submitted, batch, monkeypatch):
    """As it does during a cancel."""
    owner = Owner("tests", "cli", submitted[3], "one", -1, 1)
    tags = Ownership(owner).tags()
    job_id = batch.submit(owner.job_name("job"), status="RUNNING", tags=tags, stop_seconds=36000)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_batch_cancel.aws.stop.StopProcedure.pause", property(interrupted))
    code, _, err = airflow("sweep", "--job-queue", "default", "--min-age", "-1000", "--yes")
    assert code == 130
    assert f"accepted the stop of 1 of 1 jobs, which goes on: {job_id}" in err


@pytest.mark.bulk_calls
def test_ctrl_c_before_aws_has_answered_claims_nothing(airflow, batch, monkeypatch):
    """A job that was being asked to stop may end, too, and is said to."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_batch_cancel.aws.gateway.BatchGateway._stop_in_bulk", interrupted)
    job_id = batch.submit(status="RUNNING")
    code, _, err = airflow("cancel", job_id, "--yes")
    assert code == 130
    assert "accepted the stop of 0 of 1 jobs, which goes on: none" in err
    assert f"asked about 1 more, which may end, too: {job_id}" in err


def test_ctrl_c_before_anything_is_asked(airflow, batch, monkeypatch):
    """Is no traceback either."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_batch_cancel.aws.gateway.BatchGateway.describe", interrupted)
    code, _, err = airflow("plan", UNKNOWN)
    assert code == 130
    assert "asked to stop nothing" in err


def test_sweep_stops_the_orphans_of_a_queue(airflow, submitted, batch, monkeypatch):
    """By the states in Airflow's database; a dry run only shows them."""
    for task_id, index in (("one", -1), ("many", 1), ("gone", -1)):
        owner = Owner("tests", "cli", submitted[3], task_id, index, 1)
        batch.submit(owner.job_name(task_id), status="RUNNING", tags=Ownership(owner).tags())
    sweep = ["sweep", "--job-queue", "default", "--min-age", "-1000", "--output", "json"]
    code, out, _ = airflow(*sweep, "--dry-run")
    assert (code, len(batch.alive())) == (0, 6)
    assert {row["job_name"].partition("-")[0]: row["why"] for row in rows(out)} == {
        "one": "its task is success",
        "many": "its task is success",
        "gone": "its task, run or DAG was deleted",
    }
    assert airflow(*sweep, "--yes", "--max-jobs", "2")[0] == 3
    assert airflow(*sweep, "--yes")[0] == 0
    assert len(batch.alive()) == 3
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID", "")
    code, _, err = airflow(*sweep, "--yes")
    assert code == 2
    assert "deployment_id is not set" in err


@pytest.fixture
def sweep_dag(run, metadata_db):
    """The only DAG with a sweep that is not paused; returns what pauses it."""
    with DAG("sweep_of_cli", schedule=None) as dag:
        BatchSweepOperator(task_id="sweep", job_queues="default", min_age=timedelta(days=1), deferrable=False)
    run(dag)

    def pause(*dag_ids):
        with create_session() as session:
            for model in session.scalars(select(DagModel)):
                model.is_paused = model.dag_id in dag_ids or model.dag_id != "sweep_of_cli"

    pause()
    return pause


@pytest.mark.bulk_calls
def test_check_finds_everything_in_its_place(airflow, sweep_dag, batch):
    """What can not be seen without an effect is unknown, and no failure."""
    code, out, err = airflow("check", "--job-queue", "default", "--output", "json")
    found = {row["check"]: row for row in rows(out)}
    assert code == 0
    assert "Nothing is missing" in err
    assert {row["result"] for row in found.values()} == {"OK", "UNKNOWN"}
    assert found["sweep"]["note"] == "active: sweep_of_cli"
    assert found["batch:SubmitJob"]["result"] == "UNKNOWN"


def test_check_says_what_is_missing(airflow, sweep_dag, batch, monkeypatch):
    """A permission and what it protects, the deployment id, and a sweep that is paused."""
    sweep_dag("sweep_of_cli")
    batch.faults.deny("CancelJob")
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID", "")
    code, out, err = airflow("check", "--output", "json")
    missing = {row["check"]: row["note"] for row in rows(out) if row["result"] == "MISSING"}
    assert code == 3
    assert "3 things are missing" in err
    assert set(missing) == {"batch:CancelJob", "deployment id", "sweep"}
    assert missing["batch:CancelJob"].startswith("a terminate_after other than zero")
    assert "sweep_of_cli" in missing["sweep"]
