"""AWS Batch jobs as this package sees them: their ids, states and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_batch_cancel.exceptions import ArgumentError, JobIdError

_JOB_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}([:#]\d{1,5})?", re.IGNORECASE | re.ASCII
)
_ARN = re.compile(r"arn:aws[\w-]*:batch:(?P<region>[\w-]+):\d{12}:(?P<kind>[\w-]+)/(?P<id>\S+)", re.ASCII)


class JobStatus(StrEnum):
    """
    The status of a job, as botocore's shape ``JobStatus`` spells it.

    A status that AWS adds later reads as ``UNKNOWN``, which counts as live and not started.
    """

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> JobStatus:
        return cls.UNKNOWN

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED)

    @property
    def started(self) -> bool:
        """Whether the job's container is starting or running."""
        return self in (JobStatus.STARTING, JobStatus.RUNNING)


LIVE_STATUSES = (
    JobStatus.SUBMITTED,
    JobStatus.PENDING,
    JobStatus.RUNNABLE,
    JobStatus.STARTING,
    JobStatus.RUNNING,
)
"""The statuses of a job that has not finished, in the order in which a job goes through them."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    One job out of a DescribeJobs answer (botocore's shape ``JobDetail``).

    Every field but the id may be missing from AWS's answer: it omits ``startedAt`` of a job that has not
    started although the model requires it, and the two flags unless they are set. One that is not of its type
    counts as missing.
    """

    job_id: str
    name: str = ""
    status: JobStatus = JobStatus.UNKNOWN
    status_reason: str = ""
    is_cancelled: bool = False
    is_terminated: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    queue: str = ""
    depends_on: tuple[str, ...] = ()
    array_size: int | None = None
    array_summary: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Job:
        """
        Read a DescribeJobs row.

        :param description: one element of ``jobs``; only ``jobId`` is required
        """
        array = _field(description, "arrayProperties", Mapping, {})
        edges = (edge for edge in _field(description, "dependsOn", list, []) if isinstance(edge, Mapping))
        depends_on = (_field(edge, "jobId", str, "") for edge in edges)
        return cls(
            job_id=description["jobId"],
            name=_field(description, "jobName", str, ""),
            status=JobStatus(_field(description, "status", str, "UNKNOWN")),
            status_reason=_field(description, "statusReason", str, ""),
            is_cancelled=_field(description, "isCancelled", bool, False),
            is_terminated=_field(description, "isTerminated", bool, False),
            created_at=_instant(description, "createdAt"),
            started_at=_instant(description, "startedAt"),
            stopped_at=_instant(description, "stoppedAt"),
            queue=_field(description, "jobQueue", str, ""),
            depends_on=tuple(job_id for job_id in depends_on if job_id),
            array_size=_field(array, "size", int, None),
            array_summary=_values_of(int, _field(array, "statusSummary", Mapping, {})),
            tags=_values_of(str, _field(description, "tags", Mapping, {})),
        )

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self.status.finished

    @property
    def is_array_parent(self) -> bool:
        """Whether the job is the parent of an array: its own status never says RUNNING."""
        return self.array_size is not None

    @property
    def started(self) -> bool:
        """Whether the job has started and not ended; an array parent has when any child has."""
        return self.status.started or (not self.finished and self._children("STARTING", "RUNNING") > 0)

    @property
    def has_unstarted_children(self) -> bool:
        """Whether an array parent still has children that a cancel would drop."""
        if not self.is_array_parent or self.finished:
            return False
        return self._children("STARTING", "RUNNING", "SUCCEEDED", "FAILED") < (self.array_size or 0)

    @property
    def stop_requested(self) -> bool:
        """Whether AWS Batch has accepted a cancel or terminate of this job, from whomever."""
        return self.is_cancelled or self.is_terminated

    def _children(self, *statuses: str) -> int:
        return sum(self.array_summary.get(status, 0) for status in statuses)


def _field(row: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = row.get(name)
    return value if isinstance(value, kind) else default


def _values_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, kind)}


def _instant(row: Mapping[str, Any], name: str) -> datetime | None:
    """Read a time; AWS Batch counts in milliseconds since the epoch."""
    milliseconds = _field(row, name, int, 0)
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
    except (OSError, OverflowError, ValueError):
        return None


def normalise_job_ids(job_ids: str | Iterable[str], region_name: str | None = None) -> list[str]:
    """
    Turn what a caller gave as job ids into the ids to act on, in the order given.

    ARNs become ids, repetitions go, and so does a child (``id:3``, ``id#3``) whose parent is given too:
    stopping the parent stops it. A string may hold several ids, divided by commas or white space.

    :param job_ids: ids, ARNs or one string of them
    :param region_name: the Region of the client; an ARN of another Region is refused
    :raises JobIdError: for everything that is no job id, all of them in one error
    :raises ArgumentError: when ``job_ids`` is neither a string nor an iterable of strings
    """
    given = _split(job_ids)
    refused = [value for value in given if not _is_job_id(value, region_name)]
    if refused:
        raise JobIdError(refused, _expected(refused, region_name))
    ids = list(dict.fromkeys(_ARN.sub(r"\g<id>", value.strip()).lower() for value in given))
    known = set(ids)
    return [job_id for job_id in ids if parent_id(job_id) == job_id or parent_id(job_id) not in known]


def parent_id(job_id: str) -> str:
    """Return the id of the array or multi-node parent of ``job_id``, or the id itself."""
    return re.split("[:#]", job_id, maxsplit=1)[0]


def _split(job_ids: str | Iterable[str]) -> Sequence[str]:
    if isinstance(job_ids, str):
        return [word for word in re.split(r"[\s,\[\]'\"]+", job_ids) if word]
    if isinstance(job_ids, Iterable) and not isinstance(job_ids, (bytes, Mapping)):
        return list(job_ids)
    raise ArgumentError("job_ids", job_ids, "a job id, or an iterable of job ids")


def _is_job_id(value: object, region_name: str | None) -> bool:
    if not isinstance(value, str):
        return False
    arn = _ARN.fullmatch(value.strip())
    if arn is None:
        return _JOB_ID.fullmatch(value.strip()) is not None
    right_region = region_name is None or arn["region"] == region_name
    return arn["kind"] == "job" and right_region and _JOB_ID.fullmatch(arn["id"]) is not None


def _expected(refused: Sequence[object], region_name: str | None) -> str:
    text = "AWS Batch job ids (1d828f65-7a4d-42e8-996d-3b900ed59dc4, with :3 for an array child) or ARNs"
    arns = [match for value in refused if isinstance(value, str) and (match := _ARN.fullmatch(value.strip()))]
    if any(arn["kind"] == "service-job" for arn in arns):
        return f"{text} of jobs; a service job is stopped with TerminateServiceJob"
    if any(arn["region"] != region_name for arn in arns):
        return f"{text} of the connection's Region {region_name}"
    return text
