"""The stop procedure against every world that hypothesis thinks of, and what must hold in each."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from itertools import cycle

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.jobs import normalise_job_ids
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.simulator import BatchSimulator

UNKNOWN = "00000000-0000-4000-8000-000000000000"
STOPS = ("CancelJob", "CancelJobs", "TerminateJob", "TerminateJobs")
TERMINATES = ("TerminateJob", "TerminateJobs")
STOP_CAUSES = ("CancelJob", "TerminateJob", "stopped while PENDING")
TIMEOUT = timedelta(minutes=3)
# Every wait of eight attempts, for a few calls one after the other.
BACKOFF_SECONDS = 600

SECONDS = st.sampled_from([0, 0.05, 0.3, 0.6, 2, 20])
BEHAVIOURS = st.fixed_dictionaries(
    {
        "run_seconds": st.sampled_from([1, 10, 9999]),
        "stop_seconds": st.sampled_from([0.1, 1, 90]),
        "runnable_seconds": st.sampled_from([0.5, 9999]),
        "exit_code": st.sampled_from([0, 1]),
        "fail_attempts": st.sampled_from([0, 1]),
        "attempts": st.sampled_from([1, 3]),
    }
)
STATUSES = st.sampled_from([None, "SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"])
# How it behaves, its state, the size of an array, which of the jobs before it needs, and whether to stop it.
JOBS = st.tuples(
    BEHAVIOURS,
    STATUSES,
    st.sampled_from([None, None, 2, 4]),
    st.lists(st.integers(0, 7), max_size=2),
    st.sampled_from(["asked for", "asked for", "not asked for", "child"]),
)
FAULTS = st.sampled_from(["throttle", "server_error", "drop_answer", "bulk_errors"])
CRASHES = st.none() | st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 3))


class Crash(BaseException):
    """The process dies here."""


class OneCallAtATime(BatchGateway):
    """A gateway without threads: the same example does the same again."""

    @staticmethod
    def _side_by_side(work, items):
        return [work(item) for item in items]


class Process:
    """One process with a client of its own, whose calls Batch's time moves between, until it dies."""

    def __init__(self, sim, bulk):
        self._sim = sim
        self._moves = cycle([0])
        self._crash = None
        client = sim.client(bulk=bulk, retries={"total_max_attempts": 1})
        client.meta.events.register_first("before-send.batch", lambda **_: self._before())
        client.meta.events.register("after-call.batch", lambda **_: self._die("after"))
        self.gateway = OneCallAtATime(client, sim.clock)

    def plan(self, moves, crash):
        """Take what is to happen around the next calls."""
        self._moves = cycle(moves or [0])
        self._crash = crash
        self._calls = 0

    def _before(self):
        self._calls += 1
        self._sim.clock.jump(next(self._moves))
        self._die("before")

    def _die(self, when):
        if self._crash == (when, self._calls):
            raise Crash


class StopMachine(RuleBasedStateMachine):
    """Jobs of every kind, Batch's own doings, faults, and a procedure that dies between any two calls."""

    @initialize(
        bulk=st.booleans(),
        after=st.sampled_from([timedelta(0), timedelta(seconds=30), None]),
        visibility_lag=st.sampled_from([0, 3]),
        summary_lag=st.sampled_from([0, 5]),
        slots=st.sampled_from([1, 2, None]),
        jobs=st.lists(JOBS, min_size=1, max_size=8),
        age=SECONDS.filter(bool),
        unknown=st.booleans(),
    )
    def somebody_asks_for_a_stop(self, bulk, after, visibility_lag, summary_lag, slots, jobs, age, unknown):
        """A Batch with a graph of jobs, a policy, and the ids of some of them, perhaps of one that is not."""
        self.sim = BatchSimulator(visibility_lag=visibility_lag, summary_lag=summary_lag)
        self.sim.add_queue("queue", slots=slots)
        self.policy = Policy("the model says so", after, TIMEOUT, timedelta(seconds=15))
        asked = self._submit(jobs) + [UNKNOWN] * unknown
        self.sim.clock.jump(age)
        self.asked = normalise_job_ids(asked)
        self.bulk, self.over, self.disturbed, self.steps = bulk, False, False, 0
        self.process = Process(self.sim, bulk)
        self.stopping = StopProcedure(self.process.gateway, self.asked, self.policy)

    def _submit(self, jobs):
        """Submit a graph, and return which of it is to be stopped."""
        ids, asked = [], []
        for behaviour, status, size, needs, choice in jobs:
            upstream = {ids[number % len(ids)] for number in needs if ids}
            ids.append(
                self.sim.submit(
                    queue="queue",
                    status=None if upstream else status,
                    array_size=size,
                    depends_on=upstream,
                    **behaviour,
                )
            )
            if choice == "child" and size:
                asked.append(f"{ids[-1]}:1")
            elif choice != "not asked for":
                asked.append(ids[-1])
        return asked

    @precondition(lambda self: len(self.sim.jobs()) < 10)
    @rule(behaviour=BEHAVIOURS)
    def somebody_submits(self, behaviour):
        """A job that is none of ours."""
        self.sim.submit(queue="queue", **behaviour)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        """Batch goes on by itself."""
        self.sim.clock.jump(seconds)

    @precondition(lambda self: len(self.sim.faults.rules) < 3)
    @rule(kind=FAULTS, times=st.integers(1, 3), operation=st.sampled_from([*STOPS, "DescribeJobs"]))
    def something_goes_wrong(self, kind, times, operation):
        """Between us and AWS, a few times."""
        named = {"code": "ThrottlingException"} if kind == "bulk_errors" else {"operation": operation}
        self.disturbed = True
        self.sim.faults.add(kind, times=times, **named)

    @precondition(lambda self: not self.over)
    @rule(moves=st.lists(SECONDS, max_size=4), crash=CRASHES)
    def step(self, moves, crash):
        """One step, with Batch's doings before each of its calls, to its end or to a crash."""
        saved = json.dumps(self.stopping.as_dict())
        self.process.plan(moves, crash)
        calls_before, open_jobs = len(self.sim.calls), len(self.stopping.unsettled)
        try:
            self.over = not self.stopping.unsettled or self.stopping.step()
        except Crash:
            self.disturbed = True
            self.process = Process(self.sim, self.bulk)
            self.stopping = StopProcedure.from_dict(self.process.gateway, self.policy, json.loads(saved))
        self.steps += 1
        if not self.disturbed:
            self._check_budget(len(self.sim.calls) - calls_before, open_jobs)
        self.sim.clock.sleep(0 if self.over else self.stopping.pause)

    @invariant()
    def array_scope_never_widens(self):
        """No call names a job that nobody asked to stop, and none but those and their children is stopped."""
        assert {job_id for call in self._stops() for job_id in named(call)} <= set(self.asked)
        for job in self.sim._engine.jobs.values():
            if job.stopping and job.children and job.job_id not in self.asked:
                assert any(child.job_id in self.asked for child in job.children)
            elif job.stopping:
                assert {job.job_id, job.job_id.split(":")[0]} & set(self.asked)

    @invariant()
    def no_started_job_is_touched_when_the_policy_says_never(self):
        """Neither by a terminate, nor by a stop that reaches it once it has started."""
        if self.policy.terminate_after is not None:
            return
        assert not [call for call in self._stops() if call.operation in TERMINATES]
        assert not [
            change
            for change in self.sim.history
            if change.cause in STOP_CAUSES and change.from_status in ("STARTING", "RUNNING")
        ]

    def teardown(self):
        """It always ends, and what it then says is so."""
        began, pauses = self.stopping.began, self.policy.deadline / self.policy.poll_interval
        while not self.over:
            self.step([], None)
            assert self.steps < 2 * pauses + 100
        waited = timedelta(seconds=self.sim.clock.now() - began)
        assert waited < self.policy.deadline + timedelta(seconds=BACKOFF_SECONDS) + timedelta(hours=1)
        report = self.stopping.report()
        assert [row.job_id for row in report.rows] == self.asked
        for row in report.rows:
            hypothesis.event(f"outcome {row.outcome}")
            hypothesis.note(row.describe())
            check_row(self.sim, row, self._stops())
        self.array_scope_never_widens()
        self.no_started_job_is_touched_when_the_policy_says_never()

    def _stops(self):
        return [call for call in self.sim.calls if call.operation in STOPS]

    def _check_budget(self, calls, open_jobs):
        """A step looks once and asks once a job; the last one also looks at what is waited for."""
        stops = 2 * math.ceil(open_jobs / 50) if self.process.gateway.has_bulk_calls else open_jobs
        assert calls <= 2 * math.ceil(open_jobs / 100) + stops
        # A child that its array had not spawned yet is asked again: the first time Batch did not know it.
        terminated = [
            job_id for call in self._stops() if call.operation in TERMINATES for job_id in named(call)
        ]
        assert all(terminated.count(job_id) == 1 for job_id in terminated if ":" not in job_id)


def named(call):
    """Return the ids that a call is about."""
    return call.params.get("jobs") or [call.params["jobId"]]


def check_row(sim, row, stops):
    """Compare one row of a report with what became of the job."""
    if row.outcome is Outcome.NOT_FOUND:
        assert row.job_id not in sim._engine.jobs or sim.job(row.job_id).index is not None
        return
    if row.outcome is Outcome.STOPPING and not row.status:
        return
    job = sim.job(row.job_id)
    family = [job, *job.children]
    # Batch shows no flag on some array parents, so that it was asked is as much as anybody can know.
    asked = any(answered(call, row.job_id) for call in stops)
    stopped = any(one.stopping for one in family) or (asked and job.array_size is not None)
    ran = any(one.started_at is not None for one in family)
    if row.outcome.ended:
        assert job.status == row.status
        assert job.finished
    if row.outcome is Outcome.CANCELLED:
        assert stopped
        assert job.started_at is None
        assert not any(child.status == "SUCCEEDED" for child in job.children)
    elif row.outcome is Outcome.TERMINATED:
        assert stopped
        assert ran or any(change.to_status == "STARTING" for change in history_of(sim, family))
    elif row.outcome is Outcome.FINISHED:
        assert job.status == "SUCCEEDED" or not job.stopping
    elif row.outcome is Outcome.ALREADY_FINISHED:
        first = min((call.at for call in stops if answered(call, row.job_id)), default=math.inf)
        assert not job.stopping or job.stopped_at <= first
    elif row.outcome is Outcome.LEFT_RUNNING:
        assert ran or any(change.to_status == "STARTING" for change in history_of(sim, family))
    elif row.outcome is Outcome.WAITING_ON_DEPENDENCIES:
        assert job.stopping
        assert not any(sim.job(up).finished for up in row.waiting_on)
    else:
        assert row.outcome is Outcome.STOPPING
        assert stopped or any(one.started for one in family)


def answered(call, job_id):
    """Whether a stop call named this job and was served."""
    return call.status_code == 200 and job_id in named(call)


def history_of(sim, family):
    """Return what happened to a job and its children."""
    ids = {one.job_id for one in family}
    return [change for change in sim.history if change.job_id in ids]


StopMachine.TestCase.settings = hypothesis.settings(
    max_examples=250,
    stateful_step_count=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
)
TestStopProcedure = StopMachine.TestCase
pytestmark = pytest.mark.timeout(600)
