"""In which calls to stop many jobs: fifty ids each, dependents before what they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

IDS_PER_STOP = 50
"""The most ids that CancelJobs and TerminateJobs take (botocore's shape ``TerminateJobsRequest``)."""
IDS_PER_DESCRIBE = 100
"""The most ids that DescribeJobs takes (botocore's shape ``DescribeJobsRequest``)."""

Lane = list[list[str]]
"""Calls that must be made one after the other; different lanes may run side by side."""


def chunks(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    """Divide ``ids`` into runs of at most ``size``."""
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def stop_lanes(
    ids: Iterable[str], depends_on: Mapping[str, Sequence[str]], size: int = IDS_PER_STOP
) -> list[Lane]:
    """
    Divide the jobs to stop into calls.

    A job that is stopped before its dependents lets them go on when it succeeds first, so dependents come
    first: in the same call where the whole chain fits into one, else in an earlier call of the same lane.
    There are never more calls than ``ceil(len(ids) / size)``.

    :param depends_on: for a job id the ids that it depends on; others than ``ids`` do not matter
    :param size: ids in a call; 1 where the client has no bulk calls
    """
    groups = _dependency_groups(list(ids), depends_on)
    calls = _first_fit(groups, size)
    if calls is None or len(calls) > -(-sum(map(len, groups)) // size):
        return _contiguous(groups, size)
    return [[call] for call in calls]


def _dependency_groups(ids: list[str], depends_on: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the connected jobs together, dependents first, the largest group first."""
    mine = set(ids)
    edges = {job_id: [up for up in depends_on.get(job_id, ()) if up in mine] for job_id in ids}
    root = {job_id: job_id for job_id in ids}

    def find(job_id: str) -> str:
        while root[job_id] != job_id:
            root[job_id] = root[root[job_id]]
            job_id = root[job_id]
        return job_id

    for job_id, upstream in edges.items():
        for up in upstream:
            root[find(job_id)] = find(up)
    groups: dict[str, list[str]] = {}
    for job_id in ids:
        groups.setdefault(find(job_id), []).append(job_id)
    ordered = [_dependents_first(group, edges) if len(group) > 1 else group for group in groups.values()]
    return sorted(ordered, key=len, reverse=True)


def _dependents_first(group: list[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Order one group so that a job comes after every job that depends on it (Kahn's algorithm)."""
    dependents = dict.fromkeys(group, 0)
    for job_id in group:
        for up in edges[job_id]:
            dependents[up] += 1
    ready = [job_id for job_id in group if not dependents[job_id]]
    for job_id in ready:
        for up in edges[job_id]:
            dependents[up] -= 1
            if not dependents[up]:
                ready.append(up)
    return ready + [job_id for job_id in group if job_id not in set(ready)]


def _first_fit(groups: list[list[str]], size: int) -> list[list[str]] | None:
    """Fill calls with whole groups, largest first; None when a group is too long for a call."""
    if groups and len(groups[0]) > size:
        return None
    calls: list[list[str]] = []
    open_calls: list[list[str]] = []
    for group in groups:
        call = next((call for call in open_calls if len(call) + len(group) <= size), None)
        if call is None:
            call = []
            calls.append(call)
            open_calls.append(call)
        call.extend(group)
        if len(call) == size:
            open_calls.remove(call)
    return calls


def _contiguous(groups: list[list[str]], size: int) -> list[Lane]:
    """Fill every call to the brim; calls that share a group follow each other in one lane."""
    ids = [job_id for group in groups for job_id in group]
    group_of = {job_id: number for number, group in enumerate(groups) for job_id in group}
    lanes: list[Lane] = []
    for start in range(0, len(ids), size):
        call = ids[start : start + size]
        if start and group_of[ids[start - 1]] == group_of[call[0]]:
            lanes[-1].append(call)
        else:
            lanes.append([call])
    return lanes
