"""What is no id, no owner and no reason: refused by name, or nobody's."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_batch_cancel.core.jobs import Job, JobStatus, normalise_job_ids, parent_id
from airflow_batch_cancel.core.owner import (
    OWNER_TAGS,
    TAG_DEPLOYMENT,
    TAG_VALUE_LENGTH,
    Owner,
    Ownership,
    add_owner_tags,
    encode_tag_value,
    is_cut,
)
from airflow_batch_cancel.core.plan import Action, plan
from airflow_batch_cancel.core.policy import REASON_LENGTH, Policy
from airflow_batch_cancel.core.verdict import RunState, TaskState, Verdict, judge_owner, judge_without_airflow
from airflow_batch_cancel.exceptions import ArgumentError, JobIdError

JOB = "11111111-1111-4111-8111-111111111111"
ID = re.compile(r"[0-9a-f-]{36}([:#][0-9]{1,5})?")
OWNER = Owner("prod", "dag", "manual__2026-11-23T10:00:00+00:00", "task", -1, 1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=9)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
almost_ids = st.text("0123456789abcdefABCDEF-:#,[]'\" \n٣１", max_size=50) | st.builds(
    lambda before, after: f"{before}{JOB}{after}", st.text(max_size=3), st.text(max_size=3)
)


@given(anything | almost_ids | st.lists(almost_ids | anything, max_size=4))
@example(f"{JOB}:٣")
@example([f"{JOB}\n", f"{JOB}\x00"])
def test_ids_are_ids_or_refused(given_ids):
    """Whatever is given, only job ids come out, and what is none is named in the error."""
    try:
        ids = normalise_job_ids(given_ids)
    except JobIdError as error:
        assert error.refused
        assert str(error).startswith("job_ids=")
    except ArgumentError as error:
        assert error.argument == "job_ids"
    else:
        assert all(ID.fullmatch(job_id) and parent_id(job_id) in str(given_ids).lower() for job_id in ids)


def test_a_huge_list_of_garbage_makes_a_short_message():
    """An error that fills the log helps nobody."""
    with pytest.raises(JobIdError) as raised:
        normalise_job_ids(["x" * 1_000_000] * 3)
    assert len(str(raised.value)) < 600


@given(st.dictionaries(st.sampled_from([*OWNER_TAGS, TAG_DEPLOYMENT]) | st.text(max_size=9), st.text()))
def test_no_tags_but_complete_ones_make_an_owner(tags):
    """Random tags are nobody's, and say so without an exception."""
    ownership = Ownership.from_tags(tags)
    assert ownership is None or set(OWNER_TAGS) <= set(tags)


@pytest.mark.parametrize("tag", ["airflow_map_index", "airflow_try_number"])
@pytest.mark.parametrize("value", ["１", " 1", "+1", "1_0", "01", "1.0", "", "9" * 30, "-2"])
def test_a_number_that_this_package_would_not_write_is_nobodys(tag, value):
    """``int()`` reads more than was ever written: such a tag was edited."""
    assert Ownership.from_tags({**Ownership(OWNER).tags(), tag: value}) is None


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=250))
@example("manual__2026-11-23T10:00:00+00:00")
@example("~/..%2F#?&=+:@ \t\x00\u202e🙂")
def test_a_run_id_of_any_characters_owns_its_jobs_and_no_others(run_id):
    """Every character that a run id may have comes back from the tags, or the job is judged by nobody."""
    owner = replace(OWNER, run_id=run_id)
    found = Ownership.from_tags(Ownership(owner).tags())
    assert found
    assert found.owner == owner or found.owner.is_cut


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        pytest.param("x" * TAG_VALUE_LENGTH, False, id="at the limit"),
        pytest.param("x" * (TAG_VALUE_LENGTH + 1), True, id="one over"),
        pytest.param("é" * (TAG_VALUE_LENGTH // 6), False, id="encoded, below"),
        pytest.param("é" * (TAG_VALUE_LENGTH // 6 + 1), True, id="encoded, over"),
        pytest.param("=-" + "0" * 32, False, id="looks cut"),
        pytest.param("x" * (TAG_VALUE_LENGTH - 34) + "=-" + "0" * 32, True, id="looks cut, over"),
    ],
)
def test_a_tag_value_at_the_limit(value, cut):
    """256 characters are written as they are; more are cut, and no other job is taken for this one's."""
    encoded = encode_tag_value(value)
    assert len(encoded) <= TAG_VALUE_LENGTH
    assert is_cut(encoded) is cut
    found = Ownership.from_tags(Ownership(replace(OWNER, run_id=value)).tags())
    assert found
    assert (found.owner.run_id == value) is not cut


def test_a_job_whose_ids_are_cut_is_never_an_orphan():
    """Airflow can not be asked for an id that nobody can read; the sweep says so and lets the job go on."""
    owner = replace(OWNER, run_id="x" * 300)
    tags = Ownership(owner).tags()
    job = Job(JOB, owner.job_name("job"), tags=tags, created_at=NOW - timedelta(days=1))
    judgement = judge_without_airflow(job, "prod", NOW, timedelta(0))
    assert judgement
    assert judgement.verdict is Verdict.UNKNOWN


@given(st.dictionaries(st.text(min_size=1, max_size=128), st.text(max_size=256), max_size=60))
def test_an_authors_tags_are_kept_or_refused(tags):
    """Never dropped, and never more than AWS takes."""
    try:
        together = add_owner_tags(tags, Ownership(OWNER))
    except ArgumentError as error:
        assert error.argument == "tags"
    else:
        assert tags.items() <= together.items()
        assert len(together) <= 50


@given(anything | st.text())
@example("\x1b[31mred\x1b[0m \r\n🙂")
@example("🙂" * REASON_LENGTH)
@example("x" * (REASON_LENGTH + 1))
@example(" \t\n\x00")
def test_a_reason_is_fit_to_be_sent_or_refused(reason):
    """Control characters become blanks, the length is AWS's, and anything else is an error by name."""
    try:
        policy = Policy(reason)
    except ArgumentError as error:
        assert error.argument == "reason"
    else:
        assert 1 <= len(policy.reason) <= REASON_LENGTH
        assert not re.search(r"[\x00-\x1f\x7f]", policy.reason)
        policy.reason.encode()


@given(st.sampled_from(["terminate_after", "timeout", "poll_interval"]), anything)
def test_a_duration_of_the_wrong_type_is_refused(argument, value):
    """By name, where the policy is made."""
    if argument == "terminate_after" and value is None:
        return
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        Policy("why", **{argument: value})


@given(st.text())
def test_a_state_of_the_future_stops_nothing(state):
    """What Airflow or AWS Batch may call a state one day is never the end of a job."""
    if state not in set(TaskState):
        assert judge_owner(Ownership(OWNER), TaskState(state)).verdict is Verdict.UNKNOWN
    if state not in set(RunState):
        assert RunState(state) is RunState.UNKNOWN
    if state not in set(JobStatus):
        job = Job.from_description({"jobId": JOB, "status": state})
        assert not job.finished
        assert plan(job, Policy("why")).action is Action.CANCEL


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "jobName",
                "status",
                "statusReason",
                "isCancelled",
                "isTerminated",
                "createdAt",
                "startedAt",
                "stoppedAt",
                "jobQueue",
                "dependsOn",
                "arrayProperties",
                "tags",
            ]
        )
        | st.text(max_size=9),
        anything
        | st.just({"size": "many", "statusSummary": {"RUNNING": "x"}})
        | st.just({"airflow_dag_id": 1}),
    )
)
def test_a_description_of_any_shape_is_read(description):
    """A field that is not of its type reads as missing, and the rest of the procedure goes on with it."""
    job = Job.from_description({**description, "jobId": JOB})
    plan(job, Policy("why"))
    plan(job, Policy("why", terminate_after=None))
    judge_without_airflow(job, "prod", NOW, timedelta(0))
    assert isinstance(job.name + job.status_reason + job.queue + "".join(job.depends_on), str)
