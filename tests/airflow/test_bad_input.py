"""What a DAG's author, another tool or a wrong setting may hand over: refused by name, never acted upon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG, task
from hypothesis import given
from hypothesis import strategies as st

from airflow_batch_cancel import settings
from airflow_batch_cancel.core.owner import Owner, Ownership, Run
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.operators.batch import BatchCancelOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator
from airflow_batch_cancel.selection import job_id_in_xcom
from airflow_batch_cancel.sensors.batch import BatchCancelSensor
from airflow_batch_cancel.ui.plugin import BatchCancelPlugin

JOB = "11111111-1111-4111-8111-111111111111"
QUICK = {"poll_interval": timedelta(seconds=0.2), "timeout": timedelta(seconds=20)}
SUBMIT = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}
ODD_RUN_ID = "a b+c~d%2F..é🙂'\";<>&?#=@" + "x" * 150

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(json_values | st.fixed_dictionaries({"job_id": json_values, "region_name": json_values}))
def test_an_xcom_of_any_shape_gives_a_string_or_nothing(value):
    """Another tool may push the same key; what is no BatchOperator's is passed over."""
    try:
        found = job_id_in_xcom(value, "us-east-1", "task")
    except ArgumentError as error:
        assert error.argument == "region_name"
        assert "'task'" in str(error)
    else:
        assert found is None or found == value["job_id"]


def test_foreign_xcoms_stop_nothing(run, batch):
    """Garbage beside a real job: the real one is stopped, nothing else, and nothing fails for the garbage."""
    foreign = batch.submit("foreign", status="RUNNING")
    garbage = [
        None,
        5,
        "text",
        foreign,
        [foreign],
        {"job_id": None},
        {"job_ids": [foreign]},
        {"x": "y" * 99_999},
    ]
    with DAG("garbage", schedule=None) as dag:

        @task
        def push(value, ti=None):
            ti.xcom_push(key="batch_job_details", value=value)

        real = BatchOperator(task_id="real", job_name="real", **SUBMIT)
        [push.expand(value=garbage), real] >> BatchCancelOperator(
            task_id="cancel",
            trigger_rule="all_done",  # before Airflow 3.1, None can not be pushed
            **QUICK,
        )
    ran = run(dag)
    assert ran.state("cancel") == "success"
    assert len(ran.xcom("cancel")["jobs"]) == 1
    assert [job.job_id for job in batch.alive()] == [foreign]


@pytest.mark.parametrize(
    "pushed",
    [
        pytest.param({"job_id": "not an id"}, id="no id"),
        pytest.param({"job_id": f"{JOB}; rm -rf"}, id="more than an id"),
        pytest.param({"job_id": "x" * 50_000}, id="huge"),
        pytest.param({"job_id": JOB, "region_name": "eu-west-1"}, id="another Region"),
    ],
)
def test_an_xcom_that_looks_right_and_is_not_fails_the_task(run, batch, caplog, pushed):
    """It is refused before the first call, and the message says what is wrong."""
    other = batch.submit(status="RUNNING")
    with DAG("looks_right", schedule=None) as dag:

        @task
        def push(ti=None):
            ti.xcom_push(key="batch_job_details", value=pushed)

        push() >> BatchCancelOperator(task_id="cancel", **QUICK)
    assert run(dag).state("cancel") == "failed"
    assert [job.job_id for job in batch.alive()] == [other]
    assert not batch.calls


def test_a_run_id_of_odd_characters_owns_its_jobs_and_no_others(connection, batch):
    """Tags, not texts that look alike, say whose a job is."""
    owner = Owner("tests", "dag", ODD_RUN_ID, "task", -1, 1)
    others = (ODD_RUN_ID.lower() + "X", ODD_RUN_ID[:-1], ODD_RUN_ID.replace("+", " "), "x")
    mine, *_ = (
        batch.submit(one.job_name("job"), status="RUNNING", tags=Ownership(one).tags())
        for one in (replace(owner, run_id=run_id) for run_id in (ODD_RUN_ID, *others))
    )
    found = BatchCancelHook().find_jobs(Run("tests", "dag", ODD_RUN_ID), ["default"])
    assert [job.job_id for job, _ in found] == [mine]


SETTINGS = {
    "poll_interval": settings.poll_interval_seconds,
    "kill_budget": settings.kill_budget_seconds,
    "sweep_min_age": settings.sweep_min_age_seconds,
    "sweep_max_jobs": settings.sweep_max_jobs,
    "adopt_batch_operators": settings.adopt_batch_operators,
}


@pytest.mark.parametrize("value", ["soon", "", "-1", "nan", "inf", "1e999", "[]", "9" * 400, "None"])
@pytest.mark.parametrize("option", SETTINGS)
def test_a_setting_of_the_wrong_type_is_refused_by_name(monkeypatch, option, value):
    """One kind of error, with section, option and value in it."""
    monkeypatch.setenv(f"AIRFLOW__BATCH_CANCEL__{option.upper()}", value)
    with pytest.raises(ArgumentError) as raised:
        SETTINGS[option]()
    assert raised.value.argument == f"[batch_cancel] {option}"
    assert value[:100] in str(raised.value)


@pytest.mark.parametrize("value", ["x" * 257, "é" * 43], ids=["long", "long when encoded"])
def test_a_deployment_id_that_no_tag_can_hold_is_refused(monkeypatch, value):
    """Cut, it would be read as another deployment's, and no job would ever be swept."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID", value)
    with pytest.raises(ArgumentError, match=r"deployment_id"):
        settings.deployment_id()


@pytest.mark.airflow("3.2", reason="the tab is absent before 3.2")
def test_no_wrong_setting_keeps_the_api_server_from_starting(monkeypatch):
    """Airflow asks the plugin for its app while it starts; what is wrong is told to who asks for jobs."""
    from airflow_batch_cancel.ui.api import create_api

    for option in [*SETTINGS, "deployment_id"]:
        monkeypatch.setenv(f"AIRFLOW__BATCH_CANCEL__{option.upper()}", "x" * 300)
    plugin = BatchCancelPlugin()
    (app,) = plugin.fastapi_apps
    assert plugin.react_apps
    assert app["app"].routes
    with pytest.raises(ArgumentError, match="deployment_id"):
        create_api().state.jobs.run("dag", "run")


@pytest.mark.parametrize("operator", [BatchCancelOperator, BatchCancelSensor])
@pytest.mark.parametrize("given_ids", [5, ["x"], {"a": 1}, [None, JOB], b"x", object()])
def test_job_ids_of_the_wrong_type_fail_by_name(run, batch, operator, given_ids):
    """At parse time where it is a literal, else when the task runs; never a call to AWS."""
    try:
        with DAG("wrong_ids", schedule=None) as dag:
            operator(task_id="task", job_ids=given_ids)
    except ArgumentError as error:
        assert error.argument == "job_ids"
    else:
        assert run(dag).state("task") == "failed"
    assert not batch.calls


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"min_age": 5}, "min_age"),
        ({"max_jobs": "many"}, "max_jobs"),
        ({"max_jobs": True}, "max_jobs"),
        ({"job_queues": []}, "job_queues"),
        ({"job_queues": 5}, "job_queues"),
    ],
)
def test_a_sweep_refuses_arguments_of_the_wrong_type(arguments, culprit):
    """Where the DAG is parsed, in the author's words."""
    with pytest.raises(ArgumentError, match=f"^{culprit}="):
        BatchSweepOperator(task_id="sweep", **{"job_queues": "default", **arguments})
