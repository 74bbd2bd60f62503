"""In which calls many jobs are stopped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_batch_cancel.aws.batches import stop_lanes

SIZES = st.sampled_from([1, 3, 50])


@st.composite
def graphs(draw):
    """Return ids and edges from later to earlier ones, so that there is no cycle."""
    count = draw(st.integers(0, 130))
    ids = [f"j{number}" for number in range(count)]
    edges = {}
    for number in range(1, count):
        if draw(st.integers(0, 2)) == 0:
            edges[ids[number]] = [ids[draw(st.integers(0, number - 1))]]
    return ids, edges


@given(graphs(), SIZES)
def test_every_job_is_in_one_call_and_there_are_no_more_calls_than_needed(graph, size):
    """ceil(N / 50) calls, whatever depends on what."""
    ids, edges = graph
    calls = [call for lane in stop_lanes(ids, edges, size) for call in lane]
    assert sorted(job_id for call in calls for job_id in call) == sorted(ids)
    assert len(calls) == -(-len(ids) // size)
    assert all(len(call) <= size for call in calls)


@given(graphs(), SIZES)
def test_a_dependent_comes_before_what_it_depends_on(graph, size):
    """In the same call, or in an earlier call of the same lane."""
    ids, edges = graph
    place = {
        job_id: (lane_number, call_number, position)
        for lane_number, lane in enumerate(stop_lanes(ids, edges, size))
        for call_number, call in enumerate(lane)
        for position, job_id in enumerate(call)
    }
    for job_id, upstream in edges.items():
        for up in upstream:
            assert place[job_id][0] == place[up][0]
            assert place[job_id][1:] < place[up][1:]


def test_a_chain_that_fits_is_stopped_in_one_call():
    """Other jobs fill the rest of the call."""
    ids = [f"single{number}" for number in range(70)] + ["first", "second", "third"]
    edges = {"second": ["first"], "third": ["second"]}
    lanes = stop_lanes(ids, edges)
    assert len(lanes) == 2
    assert lanes[0][0][:3] == ["third", "second", "first"]


def test_a_dependency_cycle_ends():
    """AWS Batch allows none, and nothing hangs if there is one."""
    assert sorted(stop_lanes(["a", "b"], {"a": ["b"], "b": ["a"]})[0][0]) == ["a", "b"]
