"""The stop procedure, under a real botocore client against the simulator."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta

import pytest

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.plan import Operation
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.simulator import BatchSimulator

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NEVER = {"terminate_after": None}


@pytest.fixture
def sim():
    return BatchSimulator()


@pytest.fixture(params=[pytest.param("bulk", marks=pytest.mark.bulk_calls), "single"])
def bulk(request):
    return request.param == "bulk"


def procedure(sim, ids, bulk=True, **policy):
    gateway = BatchGateway(sim.client(bulk=bulk), sim.clock)
    return StopProcedure(gateway, ids, Policy(**{"reason": "the test says so", **policy}))


def stop(sim, ids, bulk=True, **policy):
    return procedure(sim, ids, bulk, **policy).run()


def outcomes(report):
    return [row.outcome for row in report.rows]


@pytest.mark.parametrize(
    ("world", "policy", "outcome"),
    [
        pytest.param({"status": "SUBMITTED"}, {}, "CANCELLED", id="submitted"),
        pytest.param({"status": "RUNNABLE"}, {}, "CANCELLED", id="queued"),
        pytest.param({"status": "RUNNABLE"}, NEVER, "CANCELLED", id="queued, never"),
        pytest.param({"status": "STARTING"}, {}, "TERMINATED", id="starting"),
        pytest.param({"status": "RUNNING"}, {}, "TERMINATED", id="running"),
        pytest.param({"status": "RUNNING", "stop_seconds": 90}, {}, "TERMINATED", id="slow to stop"),
        pytest.param({"status": "RUNNING"}, NEVER, "LEFT_RUNNING", id="running, never"),
        pytest.param({"status": "RUNNING", "run_seconds": 5, "stop_seconds": 30}, {}, "FINISHED", id="wins"),
        pytest.param({"status": "SUCCEEDED"}, {}, "ALREADY_FINISHED", id="had succeeded"),
        pytest.param({"status": "FAILED"}, {}, "ALREADY_FINISHED", id="had failed"),
        pytest.param({"status": "RUNNING", "array_size": 4}, {}, "TERMINATED", id="array"),
        pytest.param({"status": "RUNNABLE", "array_size": 4}, {}, "CANCELLED", id="array, none started"),
        pytest.param({"status": "RUNNING", "array_size": 4}, NEVER, "LEFT_RUNNING", id="array, never"),
        pytest.param({"status": "RUNNING", "attempts": 3}, {}, "TERMINATED", id="attempts left"),
        pytest.param(
            {"status": "RUNNING", "stop_seconds": 9999},
            {"timeout": timedelta(minutes=1)},
            "STOPPING",
            id="too slow",
        ),
    ],
)
def test_the_outcome_is_what_became_of_the_job(sim, bulk, world, policy, outcome):
    """Read from DescribeJobs, whatever the stop was answered."""
    job_id = sim.submit(**world)
    report = stop(sim, [job_id], bulk, **policy)
    assert outcomes(report) == [Outcome(outcome)]
    assert report.ok is (outcome != "STOPPING")
    assert sim.job(job_id).finished is Outcome(outcome).ended


def test_the_reason_is_on_the_job(sim):
    """Whoever looks at the job later reads why it was stopped."""
    job_id = sim.submit(status="RUNNING")
    stop(sim, [job_id])
    assert sim.job(job_id).status_reason == "the test says so"


@pytest.mark.bulk_calls
def test_a_cancel_is_not_believed_because_it_was_answered(sim):
    """A job that starts under the cancel is terminated when the time is up, not reported as cancelled."""
    job_id = sim.submit(status="RUNNABLE")
    stopping = procedure(sim, [job_id], terminate_after=timedelta(seconds=20))
    stopping.look_and_plan()
    sim.clock.jump(0)
    assert stopping.progress[job_id].action.operation is Operation.CANCEL
    starts = sim._engine.jobs[job_id]
    sim._engine.put(starts, "RUNNING")
    stopping._act()
    report = stopping.run()
    assert outcomes(report) == [Outcome.TERMINATED]
    assert sim.count("TerminateJobs") == 1


def test_a_cancel_that_came_too_late_is_repeated_when_the_job_is_queued_again(sim):
    """CancelJob of a started job does nothing; its next attempt must not start for that."""
    job_id = sim.submit(status="RUNNABLE", attempts=3, fail_attempts=2, run_seconds=10, runnable_seconds=60)
    stopping = procedure(sim, [job_id], terminate_after=timedelta(minutes=5))
    stopping.look_and_plan()
    sim._engine.put(sim._engine.jobs[job_id], "RUNNING")
    stopping._act()
    assert stopping.run().ok
    assert sim.job(job_id).attempt == 1


def test_a_drain_lets_started_jobs_finish(sim):
    """What finishes in time is not touched; what does not is terminated."""
    quick = sim.submit(status="RUNNING", run_seconds=30)
    slow = sim.submit(status="RUNNING")
    queued = sim.submit(status="RUNNABLE")
    report = stop(sim, [quick, slow, queued], terminate_after=timedelta(minutes=1))
    assert sim.job(quick).status == "SUCCEEDED"
    assert outcomes(report) == [Outcome.FINISHED, Outcome.TERMINATED, Outcome.CANCELLED]


def test_an_attempt_that_goes_back_to_the_queue_is_cancelled_in_a_drain(sim):
    """Batch's own retry must not begin a new attempt of a job that is being drained."""
    sim.add_queue("slow")
    job_id = sim.submit(status="RUNNING", attempts=3, fail_attempts=2, run_seconds=10, runnable_seconds=60)
    report = stop(sim, [job_id], terminate_after=timedelta(minutes=5))
    assert sim.job(job_id).attempt == 1
    assert report.ok


def test_started_children_are_spared_and_the_others_cancelled(sim):
    """``terminate_after=None`` on an array with children in every state."""
    sim.add_queue("narrow", slots=2)
    array = sim.submit(array_size=6, queue="narrow")
    sim.clock.jump(10)
    report = stop(sim, [array], **NEVER)
    assert outcomes(report) == [Outcome.LEFT_RUNNING]
    assert Counter(child.status for child in sim.job(array).children) == {"FAILED": 4, "RUNNING": 2}


@pytest.mark.parametrize(("policy", "alive"), [({}, 0), (NEVER, 2)], ids=["at once", "never"])
def test_a_lagging_summary_of_an_array_misleads_nobody(bulk, policy, alive):
    """It says that no child has started while two run: those are terminated, or spared, all the same."""
    sim = BatchSimulator(summary_lag=3600)
    sim.add_queue("narrow", slots=2)
    array = sim.submit(array_size=4, queue="narrow")
    sim.clock.jump(0.2)
    sim.client().describe_jobs(jobs=[array])
    sim.clock.jump(10)
    report = stop(sim, [array], bulk, timeout=timedelta(seconds=30), **policy)
    assert report.ok is not bool(alive)
    assert sum(child.status == "RUNNING" for child in sim.job(array).children) == alive


def test_a_child_is_stopped_as_a_child(sim):
    """Array scope never widens."""
    array = sim.submit(array_size=3, status="RUNNING")
    report = stop(sim, [f"{array}:1"])
    assert outcomes(report) == [Outcome.TERMINATED]
    assert [child.status for child in sim.job(array).children] == ["RUNNING", "FAILED", "RUNNING"]


@pytest.mark.bulk_calls
def test_a_chain_is_stopped_together(sim):
    """Dependents go first, in the same call, so none is let go when its dependency ends."""
    first = sim.submit(status="RUNNING")
    second = sim.submit(depends_on=[first])
    third = sim.submit(depends_on=[second])
    sim.clock.jump(1)
    report = stop(sim, [first, second, third])
    assert outcomes(report) == [Outcome.TERMINATED, Outcome.CANCELLED, Outcome.CANCELLED]
    (call,) = [call for call in sim.calls if call.operation == "TerminateJobs"]
    assert call.params["jobs"] == [third, second, first]
    assert all(sim.job(job_id).is_terminated for job_id in (first, second, third))


def test_a_pending_job_is_reported_with_what_it_waits_for(sim):
    """Its dependency is not ours to stop, and the stop is not a success."""
    other = sim.submit(status="RUNNING")
    mine = sim.submit(depends_on=[other])
    sim.clock.jump(1)
    report = stop(sim, [mine], timeout=timedelta(minutes=1))
    (row,) = report.rows
    assert row.outcome is Outcome.WAITING_ON_DEPENDENCIES
    assert row.waiting_on == (other,)
    assert not report.ok
    assert sim.job(other).status == "RUNNING"


def test_an_unknown_job_is_not_found(sim, bulk):
    """Bulk calls count it as stopped; the report does not."""
    report = stop(sim, [UNKNOWN], bulk)
    assert outcomes(report) == [Outcome.NOT_FOUND]
    assert not report.ok


def test_a_job_that_is_not_visible_yet_is_stopped(bulk):
    """DescribeJobs omits a job right after its submit, which is not the same as not found."""
    sim = BatchSimulator(visibility_lag=8)
    job_id = sim.submit()
    report = stop(sim, [job_id], bulk)
    assert outcomes(report)[0].ended
    assert sim.job(job_id).finished


def test_nothing_to_do_is_a_report_without_rows(sim):
    """And costs no call."""
    report = stop(sim, [])
    assert report.ok
    assert (report.rows, sim.calls) == ((), [])


@pytest.mark.parametrize("operation", ["DescribeJobs", "TerminateJob"])
def test_denied_is_an_outcome_of_its_own(sim, bulk, operation):
    """A missing permission is never a success, and says what it is about."""
    job_id = sim.submit(status="RUNNING")
    named = f"{operation}s" if bulk and operation == "TerminateJob" else operation
    sim.faults.deny(named)
    report = stop(sim, [job_id], bulk)
    assert outcomes(report) == [Outcome.DENIED]
    assert operation in report.rows[0].message
    assert not report.ok


def test_a_job_is_terminated_even_when_nobody_may_look(sim):
    """Without DescribeJobs the stop is still asked for; its effect is not claimed."""
    job_id = sim.submit(status="RUNNING")
    sim.faults.deny("DescribeJobs")
    report = stop(sim, [job_id])
    sim.clock.jump(5)
    assert sim.job(job_id).status == "FAILED"
    assert "TerminateJob was accepted" in report.rows[0].message


def test_one_denied_job_does_not_disturb_the_others(sim, bulk):
    """Job by job: one DENIED, the others stopped."""
    ids = [sim.submit(status="RUNNING") for _ in range(5)]
    sim.faults.deny("TerminateJob", [ids[2]])
    report = stop(sim, ids, bulk)
    assert Counter(outcomes(report)) == {Outcome.TERMINATED: 4, Outcome.DENIED: 1}
    assert sim.job(ids[2]).status == "RUNNING"
    assert [row.job_id for row in report.failed] == [ids[2]]


@pytest.mark.bulk_calls
def test_errors_inside_a_bulk_200_are_repeated(sim):
    """Per-job throttling is invisible to botocore's retries."""
    ids = [sim.submit(status="RUNNING") for _ in range(120)]
    sim.faults.bulk_errors("ThrottlingException", probability=0.5)
    report = stop(sim, ids)
    assert set(outcomes(report)) == {Outcome.TERMINATED}


@pytest.mark.bulk_calls
def test_errors_inside_a_bulk_200_are_repeated_without_waiting_for_the_effect(sim):
    """One step is enough: the ids that were throttled are asked for again."""
    ids = [sim.submit(status="RUNNING") for _ in range(3)]
    sim.faults.bulk_errors("ThrottlingException", times=2)
    stopping = procedure(sim, ids)
    stopping.step()
    assert stopping.report(waited=False).ok
    assert all(sim.job(job_id).is_terminated for job_id in ids)


def test_a_call_is_made_again_beyond_botocores_own_retries(sim):
    """botocore gives up after three."""
    sim.submit("a", status="RUNNING")
    sim.faults.throttle("ListJobs", times=7)
    assert len(BatchGateway(sim.client(), sim.clock).list_job_ids_by_name("default", "a")) == 1


def test_calls_that_hang_are_given_up(sim):
    """Each of them takes as long as the client waits; a stop does not go on for half an hour for that."""
    job_id = sim.submit(status="RUNNING")
    sim.faults.latency(40, "DescribeJobs")
    sim.faults.server_error("DescribeJobs")
    began = sim.clock.now()
    report = stop(sim, [job_id], timeout=timedelta(seconds=30))
    assert sim.job(job_id).is_terminated
    assert outcomes(report) == [Outcome.STOPPING]
    assert sim.clock.now() - began < 500


def test_three_in_ten_calls_throttled_and_every_job_is_stopped(sim, bulk):
    """Backoff beyond botocore's own retries loses no job."""
    ids = [sim.submit(status="RUNNING") for _ in range(300)]
    sim.faults.throttle(probability=0.3)
    report = stop(sim, ids, bulk)
    assert set(outcomes(report)) == {Outcome.TERMINATED}
    assert not sim.alive()


def test_server_errors_and_lost_answers_are_repeated(sim, bulk):
    """A stop may be repeated, so one whose answer was lost is."""
    ids = [sim.submit(status="RUNNING") for _ in range(10)]
    sim.faults.server_error(times=3)
    sim.faults.drop_answer("TerminateJobs" if bulk else "TerminateJob", times=3)
    assert set(outcomes(stop(sim, ids, bulk))) == {Outcome.TERMINATED}


@pytest.mark.bulk_calls
def test_a_service_that_stays_down_is_an_error_and_ends(sim):
    """It never takes for ever, and never says stopped."""
    job_id = sim.submit(status="RUNNING")
    sim.faults.server_error("TerminateJobs")
    report = stop(sim, [job_id], timeout=timedelta(minutes=2))
    assert outcomes(report) == [Outcome.ERROR]
    assert "ServerException" in report.rows[0].message


@pytest.mark.parametrize("count", [1, 100, 1_000, 10_000])
def test_the_calls_stay_within_the_budget(sim, bulk, count):
    """Bulk: ceil(N/50) + 2 ceil(N/100); single: N + 2 ceil(N/100)."""
    ids = [sim.submit(status="RUNNING" if n % 2 else "RUNNABLE", stop_seconds=0.1) for n in range(count)]
    report = stop(sim, ids, bulk)
    assert report.ok
    assert not sim.alive()
    stops = math.ceil(count / 50) if bulk else count
    assert len(sim.calls) <= stops + 2 * math.ceil(count / 100)


def test_a_dry_run_only_looks(sim):
    """The plan says what would be done and why; no job is touched."""
    sim.add_queue("blocked", slots=0)
    queued = sim.submit(status="RUNNABLE", queue="blocked")
    ids = [sim.submit(status="RUNNING"), queued, sim.submit(status="SUCCEEDED")]
    stopping = procedure(sim, ids)
    stopping.look_and_plan()
    report = stopping.report(dry_run=True)
    assert [row.action for row in report.rows] == ["TERMINATE", "CANCEL", "NOTHING"]
    assert {call.operation for call in sim.calls} == {"DescribeJobs"}
    assert report.ok


@pytest.mark.bulk_calls
def test_another_process_goes_on_where_one_was(sim):
    """The little that is kept tells TERMINATED from ALREADY_FINISHED."""
    ids = [sim.submit(status="RUNNING", stop_seconds=60), sim.submit(status="SUCCEEDED")]
    first = procedure(sim, ids)
    assert not first.step()
    kept = first.as_dict()
    sim.clock.jump(90)
    second = StopProcedure.from_dict(BatchGateway(sim.client(), sim.clock), first.policy, kept)
    assert outcomes(second.run()) == [Outcome.TERMINATED, Outcome.ALREADY_FINISHED]
    assert sim.count("TerminateJobs") == 1


def test_what_a_process_stopped_that_then_died_is_not_called_finished_before(sim):
    """It died between the terminate and the note of it; its successor reads that from the job."""
    job_id, over = sim.submit(status="RUNNING", stop_seconds=5), sim.submit(status="SUCCEEDED")
    sim.clock.jump(1)
    died = procedure(sim, [job_id, over])
    kept = died.as_dict()
    died.step()
    sim.clock.jump(30)
    gateway = BatchGateway(sim.client(), sim.clock)
    report = StopProcedure.from_dict(gateway, died.policy, kept).run()
    assert outcomes(report) == [Outcome.TERMINATED, Outcome.ALREADY_FINISHED]


def test_an_array_that_failed_before_it_could_be_seen_was_not_stopped(sim):
    """A stop of a finished job is accepted too, and stopped nothing."""
    sim = BatchSimulator(visibility_lag=3)
    array = sim.submit(array_size=2, status="FAILED")
    sim.clock.jump(1)
    assert outcomes(stop(sim, [array])) == [Outcome.ALREADY_FINISHED]


@pytest.mark.bulk_calls
def test_a_job_whose_dependency_failed_under_a_throttled_stop_ended_by_itself(sim):
    """Nobody's cancel reached it, so it is not called cancelled."""
    upstream = sim.submit(status="RUNNING", run_seconds=20, exit_code=1)
    job_id = sim.submit(depends_on=[upstream])
    sim.clock.jump(1)
    sim.faults.throttle("TerminateJobs")
    assert outcomes(stop(sim, [job_id])) == [Outcome.FINISHED]


def test_a_drained_array_whose_children_fail_by_themselves_is_not_called_terminated(sim):
    """All its children had started, so nothing was asked of AWS Batch."""
    array = sim.submit(array_size=2, status="RUNNING", run_seconds=20, exit_code=1)
    report = stop(sim, [array], terminate_after=timedelta(minutes=1))
    assert outcomes(report) == [Outcome.FINISHED]


def test_an_array_with_children_that_succeeded_is_not_called_cancelled(sim):
    """They ran to their end before anybody looked; its other children had not started."""
    sim.add_queue("blocked", slots=0)
    array = sim.submit(array_size=4, status="RUNNABLE", queue="blocked")
    sim._engine.put(sim._engine.jobs[f"{array}:0"], "SUCCEEDED")
    assert outcomes(stop(sim, [array])) == [Outcome.TERMINATED]


def test_the_next_process_asks_again_for_what_was_asked_before_it_showed(sim):
    """A stop of a job that AWS Batch did not know yet may have done nothing."""
    job_id = sim.submit(status="RUNNING")
    kept = {"began": sim.clock.now(), "jobs": [[job_id, "TerminateJob", False, False]]}
    gateway = BatchGateway(sim.client(), sim.clock)
    report = StopProcedure.from_dict(gateway, Policy("the test says so"), kept).run()
    assert outcomes(report) == [Outcome.TERMINATED]


def test_jobs_are_found_by_their_exact_name(sim):
    """The filter is case-insensitive and shows finished jobs; the gateway is exact."""
    gateway = BatchGateway(sim.client(), sim.clock)
    wanted = sim.submit("job-a", status="RUNNING")
    sim.submit("JOB-A", status="RUNNING")
    sim.submit("job-a", status="SUCCEEDED")
    sim.submit("job-ab", status="RUNNING")
    assert gateway.list_job_ids_by_name("default", "job-a") == [wanted]
    assert len(sim.calls) == 1


def test_live_jobs_of_a_queue_are_listed_in_five_calls_for_a_thousand(sim):
    """One status a call; array parents through their own status."""
    ids = {sim.submit(status="RUNNING") for _ in range(1000)}
    ids.add(sim.submit(array_size=2, status="RUNNING"))
    sim.submit(status="SUCCEEDED")
    assert set(BatchGateway(sim.client(), sim.clock).list_live_job_ids("default")) == ids
    assert sim.count("ListJobs") == 5


def test_lists_are_read_to_their_last_page(sim):
    """1,000 rows a page by status, 100 by name."""
    ids = {sim.submit("same", status="RUNNING") for _ in range(1100)}
    gateway = BatchGateway(sim.client(), sim.clock)
    assert set(gateway.list_live_job_ids("default")) == ids
    assert sim.count("ListJobs") == 6
    assert set(gateway.list_job_ids_by_name("default", "same")) == ids


def test_a_service_with_a_rate_limit_loses_no_job(sim, bulk):
    """The pace adapts to what AWS takes."""
    ids = [sim.submit(status="RUNNING") for _ in range(500)]
    sim.faults.rate_limit(per_second=20, burst=20)
    report = stop(sim, ids, bulk)
    assert set(outcomes(report)) == {Outcome.TERMINATED}
    assert not sim.alive()
