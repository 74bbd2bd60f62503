"""Answers of AWS Batch that are not as its model has them, on the wire under a real botocore client."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.aws.sweep import Sweep
from airflow_batch_cancel.core.owner import Owner, Ownership
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.core.verdict import RunState, TaskState
from airflow_batch_cancel.exceptions import BatchApiError
from airflow_batch_cancel.simulator import BatchSimulator

FOREIGN = "00000000-0000-4000-8000-000000000000"
OWNER = Owner("prod", "dag", "run", "task", -1, 1)
SHORT = Policy("why", timeout=timedelta(minutes=2))

STRANGE = (None, True, 0, -1, 10**20, 1.5, "", "x", FOREIGN, [], ["x"], [None], {}, {"x": {}})


class Garbling(BatchSimulator):
    """An AWS Batch whose answers are changed on their way: ``garble`` takes the operation and the body."""

    def garble(self, operation, body):
        return body

    def handle(self, *request):
        operation, answer = request[0], super().handle(*request)
        return replace(answer, body=self.garble(operation, copy.deepcopy(answer.body)))


@pytest.fixture
def sim():
    return Garbling()


def places(body, path=()):
    """Every place in an answer, the inner ones too."""
    for key, value in body.items() if isinstance(body, dict) else enumerate(body):
        if key != "nextToken":  # it goes back to the simulator, which is not under test
            yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def garbler(seed):
    """Change every other answer: a field dropped, added or replaced, anywhere in it."""
    chance = Random(seed)

    def garble(operation, body):
        found = list(places(body))
        if not found or chance.random() < 0.5:
            return body
        *path, last = chance.choice(found)
        holder = functools.reduce(lambda inner, key: inner[key], path, body)
        change = chance.choice(["drop", "add", "replace"])
        if change == "drop":
            del holder[last]
        elif change == "replace":
            holder[last] = chance.choice(STRANGE)
        elif isinstance(holder, dict):
            holder["futureField"] = chance.choice(STRANGE)
        return body

    return garble


class AllFailed:
    """An Airflow in which every task has failed, but those of the run ``living``."""

    def task_instances(self, owners):
        return {owner: TaskState("running" if owner.run_id == "living" else "failed") for owner in owners}

    def runs(self, runs):
        return dict.fromkeys(runs, RunState.FAILED)


def sweep(sim):
    gateway = BatchGateway(sim.client(), sim.clock, attempts=2)
    return Sweep(gateway, AllFailed(), "prod", min_age=timedelta(0), max_jobs=9).run(["default"])


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
@pytest.mark.parametrize("seed", range(60))
def test_a_stop_survives_every_answer(sim, seed, bulk):
    """A report for exactly the jobs that were asked for, whatever is answered; no other job is stopped."""
    sim.garble = garbler(seed)
    ids = [
        sim.submit(status="RUNNING"),
        sim.submit(status="RUNNABLE"),
        sim.submit(status="RUNNING", array_size=2),
    ]
    other = sim.submit(status="RUNNING")
    report = StopProcedure(BatchGateway(sim.client(bulk=bulk), sim.clock, attempts=2), ids, SHORT).run()
    assert [row.job_id for row in report.rows] == ids
    assert not sim.job(other).finished
    json.dumps(report.as_dict())
    report.table()


@pytest.mark.parametrize("seed", range(60))
def test_a_sweep_survives_every_answer(sim, seed):
    """What is stopped is an orphan; what is not, is in the report or of no concern."""
    orphan, living = (
        sim.submit(owner.job_name("job"), status="RUNNING", tags=Ownership(owner).tags())
        for owner in (OWNER, replace(OWNER, run_id="living"))
    )
    strange = sim.submit(status="RUNNING")
    sim.clock.jump(60)
    sim.garble = garbler(seed)
    report = sweep(sim)
    assert {job.job_id for job in sim.alive()} >= {living, strange}
    assert {row.job_id for row in report.rows if row.outcome} <= {orphan}
    json.dumps(report.as_dict())


def test_a_job_that_was_not_asked_for_is_none_of_the_answer(sim):
    """DescribeJobs that answers with another job's row says nothing about either."""
    sim.garble = lambda operation, body: {"jobs": [{**row, "jobId": FOREIGN} for row in body["jobs"]]}
    described = BatchGateway(sim.client(), sim.clock).describe([sim.submit()])
    assert not described.jobs


def test_a_status_of_the_future_is_a_living_job(sim):
    """It is stopped as one that has not started, and not reported as ended before AWS Batch says so."""
    job_id = sim.submit(status="RUNNING", stop_seconds=30)

    def hibernate(operation, body):
        for row in body.get("jobs", []):
            row["status"] = "HIBERNATING"
        return body

    sim.garble = hibernate
    (row,) = StopProcedure(BatchGateway(sim.client(), sim.clock), [job_id], SHORT).run().rows
    assert row.outcome is Outcome.STOPPING
    assert sim.job(job_id).finished


def test_a_list_that_never_ends_is_an_error(sim):
    """A token that comes back with itself would be followed for ever."""
    sim.garble = lambda operation, body: {**body, "nextToken": "0"}
    with pytest.raises(BatchApiError, match="ListJobs: RepeatedToken"):
        BatchGateway(sim.client(), sim.clock).list_live_job_ids("default")


@pytest.mark.bulk_calls
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            {"jobs": {"jobId": "x"}, "jobSummaryList": 5, "successful": "x"}, id="another structure"
        ),
        pytest.param([], id="no structure"),
    ],
)
def test_an_answer_that_botocore_can_not_parse_is_an_error_of_that_call(sim, body):
    """It becomes an outcome, with the operation in it, and not an exception of botocore's parser."""
    job_id = sim.submit(status="RUNNING")
    sim.garble = lambda operation, _: body
    gateway = BatchGateway(sim.client(), sim.clock, attempts=1)
    with pytest.raises(BatchApiError, match="ListJobs: UnreadableAnswer"):
        gateway.list_live_job_ids("default")
    (row,) = StopProcedure(gateway, [job_id], SHORT).run().rows
    assert row.outcome is Outcome.ERROR
    assert row.message.startswith(("DescribeJobs: ", "TerminateJob"))
