"""Waiting in the triggerer: many tasks in few calls, and a kill that asks first."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync

from airflow_batch_cancel import states
from airflow_batch_cancel.core.owner import Owner
from airflow_batch_cancel.core.verdict import TaskState
from airflow_batch_cancel.triggers import batch as batch_triggers
from airflow_batch_cancel.triggers.batch import CancellableBatchTrigger
from airflow_batch_cancel.triggers.shared import in_thread, shared_killer

CONNECTION = {"aws_conn_id": "aws_default", "region_name": None, "verify": None, "config": None}


@pytest.fixture(autouse=True)
def quick(connection, metadata_db, monkeypatch):
    """Ten looks a second."""
    monkeypatch.setenv("AIRFLOW__BATCH_CANCEL__POLL_INTERVAL", "0.1")


def owner(task_id="job", map_index=-1, run_id="run"):
    return Owner("tests", "dag", run_id, task_id, map_index, 1)


def trigger(job_id, of=None, **arguments):
    made = CancellableBatchTrigger(
        CONNECTION, job_id, asdict(of or owner()), **{"poll_interval": 0.1, "max_attempts": 100, **arguments}
    )
    path, kwargs = made.serialize()
    assert path == "airflow_batch_cancel.triggers.batch.CancellableBatchTrigger"
    return CancellableBatchTrigger(**kwargs)


async def event_of(made):
    async for event in made.run():
        return event.payload
    return None


def events_of(*made, meanwhile=None):
    """Run triggers on one loop to their events."""

    async def all_of_them():
        waiting = [asyncio.create_task(event_of(one)) for one in made]
        if meanwhile:
            await meanwhile()
        return await asyncio.gather(*waiting)

    return asyncio.run(asyncio.wait_for(all_of_them(), 30))


def test_the_event_is_what_the_stock_operator_expects(batch):
    """Success and failure, with the job's id and the reason."""
    good, bad = batch.submit(run_seconds=5), batch.submit(status="FAILED")
    first, second = events_of(trigger(good), trigger(bad))
    assert first == {"status": "success", "job_id": good}
    assert (second["status"], second["job_id"]) == ("error", bad)
    assert "FAILED" in second["message"]


def test_tasks_wait_in_one_call_a_hundred(batch):
    """250 deferred tasks: three DescribeJobs a poll, whatever their number of looks."""
    ids = [batch.submit(status="RUNNING") for _ in range(250)]

    async def three_polls():
        while batch.count("DescribeJobs") < 9:
            await asyncio.sleep(0.02)
        for job_id in ids:
            batch.client().terminate_job(jobId=job_id, reason="enough")
        batch.clock.jump(60)

    events = events_of(*(trigger(job_id) for job_id in ids), meanwhile=three_polls)
    assert {event["status"] for event in events} == {"error"}
    polls = [call for call in batch.calls if call.operation == "DescribeJobs"]
    assert sorted({len(call.params["jobs"]) for call in polls}) == [50, 100]
    assert len(polls) % 3 == 0


def test_a_bad_id_disturbs_nobody_else(batch, monkeypatch):
    """Its task fails alone."""
    monkeypatch.setattr(batch_triggers, "MISSING_GRACE", timedelta(seconds=0.5))
    first, second = events_of(trigger(batch.submit(run_seconds=5)), trigger("not-an-id"))
    assert first["status"] == "success"
    assert "does not know this job" in second["message"]


def test_throttling_slows_the_polls_and_fails_no_task(batch, caplog):
    """Nor does an outage."""
    job_id = batch.submit(run_seconds=5)
    batch.faults.throttle("DescribeJobs", times=8)
    batch.faults.server_error("DescribeJobs", times=4)
    (event,) = events_of(trigger(job_id, max_attempts=20))
    assert event["status"] == "success"
    assert "looking again" in caplog.text


def test_a_task_gives_up_when_nobody_may_look(batch):
    """After three looks, each repeated with another client; the operator then stops the job."""
    job_id = batch.submit(status="RUNNING")
    batch.faults.deny("DescribeJobs")
    (event,) = events_of(trigger(job_id))
    assert event["status"] == "error"
    assert "AccessDenied" in event["message"]
    assert batch.count("DescribeJobs") == 6


def test_a_job_that_nobody_knows_is_an_error_after_a_while(batch, monkeypatch):
    """A young one is invisible at first."""
    monkeypatch.setattr(batch_triggers, "MISSING_GRACE", timedelta(seconds=0.5))
    (event,) = events_of(trigger("00000000-0000-0000-0000-000000000000"))
    assert "does not know this job" in event["message"]
    assert batch.count("DescribeJobs") > 2


def test_max_retries_bounds_the_looks(batch):
    """As with the stock operator."""
    (event,) = events_of(trigger(batch.submit(status="RUNNING"), max_attempts=3))
    assert "as many looks as max_retries allows" in event["message"]
    assert batch.count("DescribeJobs") == 3


@pytest.fixture
def airflow_says(monkeypatch):
    """What Airflow says of tasks; the questions are counted."""
    answers = {"run": {}}
    asked = []

    def get_task_states(dag_id, map_index, task_ids, run_ids):
        asked.append((dag_id, map_index, task_ids, run_ids))
        return {"run": answers["run"]}

    monkeypatch.setattr(states.RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
    answers["asked"] = asked
    return answers


def kill(*made):
    async def all_of_them():
        await asyncio.gather(*(one.on_kill() for one in made))

    asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("state", "previous_try", "stopped"),
    [
        pytest.param("failed", "cancel", True, id="marked failed"),
        pytest.param("success", "cancel", True, id="marked success"),
        pytest.param(None, "cancel", True, id="cleared"),
        pytest.param("running", "cancel", True, id="cleared, and the next try runs"),
        pytest.param("gone", "cancel", True, id="deleted"),
        pytest.param("deferred", "cancel", False, id="handed to another triggerer"),
        pytest.param("a new state", "cancel", False, id="nobody knows"),
        pytest.param(None, "reattach", False, id="cleared, and the next try will re-attach"),
        pytest.param("up_for_retry", "reattach", False, id="the next try will re-attach"),
        pytest.param("failed", "reattach", True, id="no next try will re-attach"),
    ],
)
def test_a_kill_stops_the_job_unless_somebody_waits_for_it(batch, airflow_says, state, previous_try, stopped):
    """What Airflow says of the task decides."""
    if state != "gone":
        airflow_says["run"]["job"] = state
    job_id = batch.submit(status="RUNNING")
    kill(trigger(job_id, previous_try=previous_try))
    assert batch.job(job_id).is_terminated is stopped
    if stopped:
        reason = batch.calls[-1].params["reason"]
        shown = state or "none"
        assert reason == f"Airflow task dag/run/job try 1 was killed while deferred, and is {shown} now"


def killed_in_the_middle(made, before=lambda: None):
    """Let a trigger run for a while, and kill it."""

    async def run_and_kill():
        running = asyncio.create_task(event_of(made))
        await asyncio.sleep(0.1)
        await shared_killer(made.connection)._readiness
        before()
        running.cancel()
        await made.on_kill()

    asyncio.run(run_and_kill())


def test_a_kill_has_its_client_ready(batch, airflow_says, monkeypatch):
    """It is made when the first trigger begins; here there would be no connection to make one with."""
    airflow_says["run"]["job"] = "failed"
    job_id = batch.submit(status="RUNNING")
    killed_in_the_middle(
        trigger(job_id),
        lambda: monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://x:y@?region_name=nowhere"),
    )
    assert batch.job(job_id).is_terminated


def test_a_kill_is_not_the_first_question_to_airflow(batch, airflow_says):
    """That one takes a triggerer seconds, so the first trigger asks it; here it is asked before the kill."""
    airflow_says["run"]["job"] = "failed"
    asked = []
    made = trigger(batch.submit(status="RUNNING"))
    killed_in_the_middle(made, lambda: asked.extend(airflow_says["asked"]))
    assert len(asked) == 1
    assert batch.job(made.job_id).is_terminated


def test_a_task_goes_on_when_its_key_is_replaced(batch, rotate):
    """Within the same look, so it costs none of its patience."""
    job_id = batch.submit(run_seconds=3600)

    async def rotated():
        for number in range(1, 5):
            while batch.count("DescribeJobs") < 3 * number:
                await asyncio.sleep(0.02)
            rotate()
        while batch.count("DescribeJobs") < 15:
            await asyncio.sleep(0.02)
        batch.clock.jump(3600)

    (event,) = events_of(trigger(job_id), meanwhile=rotated)
    assert event["status"] == "success"
    refused = [call for call in batch.calls if call.error_code == "UnrecognizedClientException"]
    assert len(refused) == 4


def test_a_kill_whose_key_is_replaced_takes_the_new_one(batch, airflow_says, rotate):
    """Credentials may have been replaced since the first trigger began."""
    airflow_says["run"]["job"] = "failed"
    job_id = batch.submit(status="RUNNING")
    killed_in_the_middle(trigger(job_id), rotate)
    assert batch.job(job_id).is_terminated


@pytest.mark.bulk_calls
def test_tasks_killed_together_are_asked_for_and_stopped_together(batch, airflow_says):
    """120 mapped instances and 80 tasks: two questions, and four TerminateJobs for 200 jobs."""
    owners = [owner("mapped", index) for index in range(120)] + [owner(f"t{n}") for n in range(80)]
    for one in owners:
        key = one.task_id if one.map_index < 0 else f"{one.task_id}_{one.map_index}"
        airflow_says["run"][key] = "failed"
    ids = [batch.submit(status="RUNNING") for _ in owners]
    kill(*(trigger(job_id, one) for job_id, one in zip(ids, owners, strict=True)))
    assert all(batch.job(job_id).is_terminated for job_id in ids)
    assert len(airflow_says["asked"]) == 1 + 2
    assert batch.count("TerminateJobs") == 4
    assert len(batch.calls) == 4


def test_a_mapped_instance_is_not_taken_for_a_task_of_the_same_name(batch, airflow_says):
    """``get_task_states`` calls them alike."""

    asked = airflow_says["asked"]
    kill(trigger(batch.submit(), owner("job", 1)), trigger(batch.submit(), owner("job_1")))
    assert sorted(asked, key=str) == [("dag", -1, ["job_1"], ["run"]), ("dag", None, ["job"], ["run"])]


@pytest.mark.bulk_calls
@pytest.mark.parametrize("seconds", [0, 0.2], ids=["before the call", "in the call"])
def test_a_kill_goes_on_when_airflow_cancels_it(batch, airflow_says, seconds):
    """Airflow repeats the cancel after a second, inside on_kill; the stop outlives that."""
    airflow_says["run"]["job"] = "failed"
    batch.faults.latency(0.5, "TerminateJobs")
    job_id = batch.submit(status="RUNNING")

    async def cancelled():
        killing = asyncio.create_task(trigger(job_id).on_kill())
        await asyncio.sleep(seconds)
        killing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killing
        for _ in range(100):
            if batch.job(job_id).is_terminated:
                return
            await asyncio.sleep(0.05)

    asyncio.run(cancelled())
    assert batch.job(job_id).is_terminated


def test_a_kill_while_airflow_can_not_be_asked_spares_the_job(batch, monkeypatch):
    """The sweep decides, when Airflow is back."""

    def no_answer(**_):
        raise ConnectionError("the API server is down")

    monkeypatch.setattr(states.RuntimeTaskInstance, "get_task_states", staticmethod(no_answer))
    job_id = batch.submit(status="RUNNING")
    kill(trigger(job_id))
    assert not batch.job(job_id).is_terminated
    assert states.AirflowStates().task_instances([owner()]) == {owner(): TaskState.UNKNOWN}


def test_cancel_on_kill_can_be_turned_off(batch):
    """Nobody is asked, and nothing stopped."""
    kill(trigger(batch.submit(status="RUNNING"), cancel_on_kill=False))
    assert batch.calls == []


def test_before_airflow_3_3_a_cancelled_trigger_asks_and_stops(batch, airflow_says, monkeypatch):
    """There is no hook for a kill then; a triggerer that shuts down finds the task still deferred."""
    monkeypatch.delattr(batch_triggers.BaseTrigger, "on_kill", raising=False)
    killed, handed_on = batch.submit(status="RUNNING"), batch.submit(status="RUNNING")
    airflow_says["run"] |= {"killed": "failed", "handed_on": "deferred"}

    async def cancelled():
        made = [trigger(killed, owner("killed")), trigger(handed_on, owner("handed_on"))]
        tasks = [asyncio.create_task(event_of(one)) for one in made]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(cancelled())
    assert batch.job(killed).is_terminated
    assert not batch.job(handed_on).is_terminated


def test_a_thread_asks_airflow_on_the_event_loop_of_the_triggerer():
    """Before Airflow 3.2 the Task SDK bridges by ``async_to_sync``; another loop would mix up answers."""

    async def loop_asked():
        async def here():
            return asyncio.get_running_loop()

        return await in_thread(lambda: async_to_sync(here)()) is asyncio.get_running_loop()

    assert asyncio.run(loop_asked())
