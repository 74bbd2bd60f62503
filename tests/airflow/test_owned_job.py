"""The job of one try: one submit whatever is lost, earlier tries ended first, and a kill in time."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

import pytest

from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, PreviousTry
from airflow_batch_cancel.exceptions import AccessDeniedError, BatchApiError, BatchCancelError
from airflow_batch_cancel.hooks import owned_job
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.hooks.owned_job import OwnedJob, was_cancelled
from airflow_batch_cancel.hooks.submit import BatchSubmitHook

PARAMETERS = {"jobName": "x", "jobQueue": "default", "jobDefinition": "default"}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    """Four looks for a lost job, in half a second."""
    monkeypatch.setattr(owned_job, "_LOOKS_FOR_LOST_JOB", (0.1, 0.1, 0.1, 0.1))
    monkeypatch.setattr(owned_job, "backoff_seconds", lambda attempt: 0.01)


def owner(try_number):
    return Owner("tests", "dag", "run", "job", -1, try_number)


@pytest.fixture
def job_of_try(connection, metadata_db):
    """Make the job of a try of one task instance."""

    def job_of_try(try_number=1, *, previous_try=PreviousTry.CANCEL, lifetime=Lifetime.TASK, **arguments):
        ownership = Ownership(owner(try_number), lifetime, previous_try)
        kill_client = BatchSubmitHook().kill_client()
        log = logging.getLogger("airflow.task")
        return OwnedJob(ownership, BatchCancelHook(), kill_client, log, **arguments)

    return job_of_try


def submit(job, **parameters):
    return job.submit(BatchSubmitHook().submit_client, {**PARAMETERS, **parameters})


def left_behind(batch, try_number, **fields):
    tags = Ownership(owner(try_number)).tags()
    return batch.submit(owner(1).job_name("x"), **{"status": "RUNNING", "tags": tags, **fields})


def operations(batch):
    return [call.operation for call in batch.calls]


def test_a_first_try_makes_one_call(batch, job_of_try):
    """No call but the submit."""
    job_id = submit(job_of_try())
    assert operations(batch) == ["SubmitJob"]
    assert Ownership.from_tags(batch.job(job_id).tags) == Ownership(owner(1))


@pytest.mark.parametrize(
    ("given", "lifetime", "expected"),
    [
        pytest.param({}, Lifetime.TASK, 720, id="somewhat above the task's"),
        pytest.param({"timeout": {"attemptDurationSeconds": 90}}, Lifetime.TASK, 90, id="the author's own"),
        pytest.param({}, Lifetime.DETACHED, None, id="the task's limit is for the submit only"),
    ],
)
def test_a_job_has_a_limit_that_holds_with_airflow_dead(batch, job_of_try, given, lifetime, expected):
    """``execution_timeout`` is on the job too."""
    submit(job_of_try(lifetime=lifetime, execution_timeout=timedelta(minutes=10)), **given)
    timeout = batch.calls[0].params.get("timeout")
    assert timeout == (expected and {"attemptDurationSeconds": expected})


def test_a_lost_answer_makes_no_second_job(batch, job_of_try):
    """The job that came of the unanswered SubmitJob is found by its name and tags, and adopted."""
    batch.faults.visibility_lag(1)
    batch.faults.drop_answer("SubmitJob")
    job_id = submit(job_of_try())
    assert [job.job_id for job in batch.jobs()] == [job_id]
    assert batch.count("SubmitJob") == 1


def test_a_lost_answer_of_a_job_that_has_ended_meanwhile_makes_no_second_one(batch, job_of_try):
    """It ran: it must not run twice."""
    batch.faults.drop_answer("SubmitJob")
    job_id = submit(job_of_try(), parameters={"run_seconds": "0"})
    assert [job.job_id for job in batch.jobs()] == [job_id]


def test_a_submit_that_failed_is_repeated_after_a_look(batch, job_of_try):
    """500, and no job of this try: it is submitted again, once."""
    batch.faults.server_error("SubmitJob", times=1)
    submit(job_of_try())
    assert len(batch.jobs()) == 1
    assert operations(batch)[:6] == ["SubmitJob", *["ListJobs"] * 4, "SubmitJob"]


def test_a_job_that_was_invisible_for_longer_than_one_looks_is_ended(batch, job_of_try):
    """It came of an answer that was lost, and the try has submitted another one by then."""
    batch.faults.visibility_lag(3600)
    batch.faults.drop_answer("SubmitJob")

    def show_it_after_the_second_submit():
        while batch.count("SubmitJob") < 2:
            time.sleep(0.01)
        batch.faults.clear()

    shower = threading.Thread(target=show_it_after_the_second_submit, daemon=True)
    shower.start()
    job_id = submit(job_of_try())
    shower.join()
    batch.clock.jump(60)
    assert len(batch.jobs()) == 2
    assert [job.job_id for job in batch.alive()] == [job_id]


def test_a_throttled_submit_is_repeated_without_a_look(batch, job_of_try):
    """What was throttled did not happen."""
    batch.faults.throttle("SubmitJob", times=2)
    submit(job_of_try())
    assert operations(batch) == ["SubmitJob"] * 3


def test_a_submit_is_not_repeated_blindly(batch, job_of_try):
    """Where nobody can see whether there is a job, the task fails rather than make a second one."""
    batch.faults.drop_answer("SubmitJob")
    batch.faults.deny("ListJobs")
    with pytest.raises(BatchCancelError, match=r"can not be seen whether a job came of it: .*ListJobs"):
        submit(job_of_try())
    assert batch.count("SubmitJob") == 1


def test_a_submit_has_the_key_of_then(job_of_try, rotate):
    """It may have been replaced while the jobs of earlier tries ended."""
    hook = BatchSubmitHook()
    hook.get_conn()
    rotate()
    assert job_of_try().submit(hook.submit_client, PARAMETERS)


def test_a_denied_submit_names_the_permissions(batch, job_of_try):
    """Tags need one of their own."""
    batch.faults.deny("SubmitJob")
    job = job_of_try()
    with pytest.raises(AccessDeniedError, match=r"batch:SubmitJob and batch:TagResource"):
        submit(job)
    assert job.end("failed") is None
    assert operations(batch) == ["SubmitJob"]


def test_a_service_that_is_down_fails_the_submit_in_the_end(batch, job_of_try):
    """With AWS's own message."""
    batch.faults.server_error("SubmitJob")
    with pytest.raises(BatchApiError, match="ServerException"):
        submit(job_of_try())


def test_a_later_try_ends_the_jobs_of_earlier_ones_before_it_submits(batch, job_of_try):
    """Its own task instance's only; the look costs one ListJobs and one DescribeJobs."""
    earlier = [left_behind(batch, number) for number in (1, 2)]
    untagged = batch.submit(owner(1).job_name("x"), status="RUNNING")
    job_id = submit(job_of_try(3))
    assert [batch.job(id_).status for id_ in earlier] == ["FAILED", "FAILED"]
    assert batch.job(earlier[0]).stopped_at <= batch.job(job_id).created_at
    assert "try 3 is tried again" in batch.job(earlier[0]).status_reason
    assert {job.job_id for job in batch.alive()} == {job_id, untagged}
    assert operations(batch)[:3] == ["ListJobs", "DescribeJobs", "DescribeJobs"]


def test_without_the_suffix_nobody_looks_for_earlier_tries(batch, job_of_try):
    """A name of the author's alone may be that of thousands of jobs."""
    left_behind(batch, 1)
    submit(job_of_try(2, name_suffix=False))
    assert operations(batch) == ["SubmitJob"]


def test_a_missing_permission_to_look_does_not_keep_a_try_from_submitting(batch, job_of_try, caplog):
    """The log says which protection is off, and which permission is missing."""
    batch.faults.deny("ListJobs")
    assert submit(job_of_try(2))
    assert "Jobs of earlier tries, if any, run on beside this one" in caplog.text
    assert "Grant batch:ListJobs" in caplog.text


def test_a_superseded_try_submits_nothing(batch, job_of_try):
    """A process that Airflow gave up, and that comes back, must not double its successor's job."""
    left_behind(batch, 3)
    with pytest.raises(BatchCancelError, match="try 3 is newer than this try"):
        submit(job_of_try(2))
    assert batch.count("SubmitJob") == 0


def test_reattach_waits_for_the_job_of_the_try_before(batch, job_of_try):
    """The newest living one; any older is ended, and nothing is submitted."""
    older, newer = left_behind(batch, 1), left_behind(batch, 2)
    batch.clock.jump(1)
    assert submit(job_of_try(3, previous_try=PreviousTry.REATTACH)) == newer
    assert batch.job(older).status == "FAILED"
    assert batch.count("SubmitJob") == 0


def test_reattach_submits_when_no_job_is_left_or_somebody_has_stopped_it(batch, job_of_try):
    """A finished job is not looked at, and one that was told to stop is of no use."""
    left_behind(batch, 1, status="SUCCEEDED")
    job_id = submit(job_of_try(2, previous_try=PreviousTry.REATTACH))
    assert [job.job_id for job in batch.alive()] == [job_id]
    assert Ownership.from_tags(batch.job(job_id).tags).previous_try is PreviousTry.REATTACH


def test_a_kill_before_the_submit_submits_nothing(batch, job_of_try):
    """The mark is looked at before SubmitJob, and no TerminateJob goes out with an id of None."""
    job = job_of_try()
    job.kill("was killed")
    with pytest.raises(BatchCancelError, match="before it submitted"):
        submit(job)
    assert batch.calls == []


def test_a_kill_while_submit_job_is_under_way_terminates_what_comes_of_it(batch, job_of_try):
    """As soon as there is an id; and the task does not go on to wait for it."""

    class Client:
        def submit_job(self, **parameters):
            job.kill("was killed")
            return BatchSubmitHook().submit_client().submit_job(**parameters)

    job = job_of_try()
    with pytest.raises(BatchCancelError, match="killed while it submitted"):
        job.submit(Client, PARAMETERS)
    assert operations(batch) == ["SubmitJob", "TerminateJob"]


def test_a_kill_terminates_the_job(batch, job_of_try):
    """One call, with a reason that names the task."""
    job = job_of_try()
    submit(job)
    batch.reset_calls()
    job.kill("was killed")
    assert operations(batch) == ["TerminateJob"]
    assert batch.calls[0].params["reason"] == "Airflow task dag/run/job try 1 was killed"


def test_a_kill_is_repeated_when_aws_throttles_and_gives_up_in_time(batch, job_of_try):
    """Never over its budget, and never an exception."""
    job = job_of_try(kill_budget_seconds=3)
    job.job_id = batch.submit(status="RUNNING")
    batch.faults.throttle("TerminateJob", times=3)
    job.kill("was killed")
    assert batch.job(job.job_id).is_terminated
    batch.faults.throttle("TerminateJob")
    began = time.monotonic()
    job.kill("was killed")
    assert time.monotonic() - began < 3.5


def test_a_kill_hangs_no_longer_than_its_budget(batch, job_of_try):
    """A service that does not answer is given up after the client's short timeouts."""
    batch.faults.latency(10, "TerminateJob")
    job = job_of_try()
    job.job_id = batch.submit(status="RUNNING")
    began = time.monotonic()
    job.kill("was killed")
    assert time.monotonic() - began < 4.2


def test_a_denied_kill_raises_nothing(batch, job_of_try):
    """What it raises would surface in whatever line the signal has interrupted."""
    job = job_of_try()
    job.job_id = batch.submit(status="RUNNING")
    batch.faults.deny("TerminateJob")
    job.kill("was killed")
    assert batch.count("TerminateJob") == 1


def test_a_kill_that_leaves_the_job_alone_does_so_to_the_end(batch, job_of_try):
    """Nor does an error that comes of the dying process stop it."""
    job = job_of_try(cancel_on_kill=False)
    submit(job)
    job.kill("was killed")
    job.end("failed with SystemExit")
    assert operations(batch) == ["SubmitJob"]


def test_the_end_of_a_task_stops_its_job(batch, job_of_try):
    """And says nothing of how it ended, since it has not."""
    job = job_of_try()
    submit(job)
    assert job.end("failed with ValueError") is None
    batch.clock.jump(60)
    assert "failed with ValueError" in batch.job(job.job_id).status_reason


def test_the_end_of_a_task_tells_a_job_that_somebody_cancelled(batch, job_of_try):
    """From one that failed by itself."""
    cancelled, failed = job_of_try(), job_of_try()
    cancelled.job_id, failed.job_id = batch.submit(status="RUNNING"), batch.submit(status="FAILED")
    batch.client().terminate_job(jobId=cancelled.job_id, reason="by Ann")
    batch.clock.jump(60)
    assert was_cancelled(cancelled.end("failed"))
    assert not was_cancelled(failed.end("failed"))
    assert cancelled.end("failed").status_reason == "by Ann"


def test_an_interrupted_submit_is_looked_for_at_the_end(batch, job_of_try, monkeypatch):
    """The task timed out inside SubmitJob: whatever came of it goes with the task."""

    class Interrupted(BaseException):
        """As AirflowTaskTimeout, which is no Exception."""

    class Client:
        def submit_job(self, **parameters):
            BatchSubmitHook().submit_client().submit_job(**parameters)
            raise Interrupted

    job = job_of_try()
    with pytest.raises(Interrupted):
        job.submit(Client, PARAMETERS)
    job.end("failed with AirflowTaskTimeout")
    batch.clock.jump(60)
    assert len(batch.jobs()) == 1
    assert not batch.alive()


def test_the_end_of_a_task_stops_its_job_when_nobody_may_look_at_it(batch, job_of_try):
    """A denied DescribeJobs costs the certainty, not the stop."""
    job = job_of_try()
    submit(job)
    batch.faults.deny("DescribeJobs")
    job.end("failed")
    batch.clock.jump(60)
    assert not batch.alive()
