"""The owner on the job: tags and name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import (
    OWNER_TAGS,
    Lifetime,
    Owner,
    Ownership,
    PreviousTry,
    Run,
    add_owner_tags,
    decode_tag_value,
    encode_tag_value,
    is_cut,
)
from airflow_batch_cancel.exceptions import ArgumentError

OWNER = Owner("prod", "my dag", "manual__2026-11-23T10:00:00+00:00", "task.é", 3, 2)
ALLOWED = re.compile(r"[A-Za-z0-9 +\-=._:/@]{0,256}")


@given(st.text(max_size=80))
def test_a_tag_value_comes_back_as_it_was(value):
    """Encoding is reversible, in the characters and length that AWS allows."""
    encoded = encode_tag_value(value)
    assert ALLOWED.fullmatch(encoded)
    if not is_cut(encoded):
        assert decode_tag_value(encoded) == value


@given(st.text(min_size=257, max_size=600), st.text(min_size=257, max_size=600))
def test_long_tag_values_still_differ(one, other):
    """A value that is cut keeps a digest of the whole, so different ids stay different."""
    assert ALLOWED.fullmatch(encode_tag_value(one))
    assert (encode_tag_value(one) == encode_tag_value(other)) is (one == other)


@pytest.mark.parametrize(
    "ownership",
    [
        Ownership(OWNER),
        Ownership(replace(OWNER, deployment="", map_index=-1), Lifetime.DETACHED),
        Ownership(OWNER, previous_try=PreviousTry.REATTACH),
    ],
)
def test_ownership_is_read_back_from_the_tags(ownership):
    """What is written on the job says all there is to know about its owner."""
    assert Ownership.from_tags(ownership.tags()) == ownership


@pytest.mark.parametrize("tag", OWNER_TAGS)
def test_a_job_without_every_owner_tag_is_nobodys(tag):
    """A missing or edited tag leaves no owner, so nothing automatic touches the job."""
    tags = Ownership(OWNER).tags()
    assert Ownership.from_tags({**tags, tag: "=zz"}) is None
    del tags[tag]
    assert Ownership.from_tags(tags) is None


def test_all_tries_share_a_name_suffix_and_nothing_else_does():
    """One ListJobs by name finds the jobs of a task instance, whatever the try."""
    name = OWNER.job_name("x" * 200)
    assert len(name) == 128
    assert name == replace(OWNER, try_number=9).job_name("x" * 200)
    assert name != replace(OWNER, map_index=4).job_name("x" * 200)
    assert re.fullmatch(r"job-[0-9a-f]{10}", OWNER.job_name("job"))


@pytest.mark.parametrize(
    "owner",
    [
        OWNER,
        replace(OWNER, run_id="manual é +00:00"),
        replace(OWNER, dag_id="é" * 250),
        replace(OWNER, map_index=-1),
    ],
    ids=["plain", "odd characters", "cut", "not mapped"],
)
def test_a_name_confirms_the_tags_of_its_owner_and_no_others(owner):
    """Also those that had to be cut; a job that was given the tags of another owner is nobody's."""
    job = Job("id", owner.job_name("job"), tags=Ownership(owner).tags())
    assert Ownership.of(job) == Ownership.from_tags(job.tags)
    assert Ownership.of(job) is not None
    assert Ownership.of(replace(job, tags=Ownership(replace(owner, task_id="another")).tags())) is None
    assert Ownership.of(replace(job, name="job")) is None


def test_a_run_owns_the_jobs_of_its_tasks_only():
    """A run of another deployment with the same ids is another run."""
    run = Run("prod", OWNER.dag_id, OWNER.run_id)
    assert run.owns(OWNER)
    assert not run.owns(replace(OWNER, deployment="staging"))
    assert not run.owns(replace(OWNER, run_id="other"))


def test_the_authors_own_tags_are_kept():
    """Owner tags come beside the author's, never instead."""
    tags = add_owner_tags({"team": "a"}, Ownership(OWNER))
    assert tags["team"] == "a"
    assert set(OWNER_TAGS) < set(tags)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        pytest.param({f"t{n}": "" for n in range(45)}, "at most 43 tags", id="too many"),
        pytest.param({"airflow_dag_id": "x"}, "airflow_dag_id", id="ours"),
    ],
)
def test_tags_that_can_not_be_added_are_refused(tags, said):
    """The error says which, and how many there is room for."""
    with pytest.raises(ArgumentError, match=said):
        add_owner_tags(tags, Ownership(OWNER))
