"""What the credentials may do, asked of AWS Batch without any effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.core.permissions import PERMISSIONS, Permission
from airflow_batch_cancel.exceptions import AccessDeniedError, BatchApiError

_NO_PERMISSION = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_ATTEMPTS = 2
_REASON = "airflow batch-cancel check, of a job that does not exist"


class Result(StrEnum):
    """What a check has shown."""

    OK = "OK"
    """It is there, and works."""
    MISSING = "MISSING"
    """It is not there, and something does not work without it."""
    ABSENT = "ABSENT"
    """It is not there, and everything works without it."""
    UNKNOWN = "UNKNOWN"
    """That can not be seen without an effect, or nobody answered."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of one check.

    :param check: what was looked at
    :param note: what it is for, and what was seen, for people
    """

    check: str
    result: Result
    note: str


def preflight(gateway: BatchGateway, job_queues: Sequence[str]) -> Iterator[Finding]:
    """
    Find out whether AWS Batch answers, what it permits, and which calls the client has.

    Stops are asked for a job id made up here, which AWS Batch takes without an effect where they are
    permitted (botocore's shape ``TerminateJobs``: an id that is not found counts as successful). Nothing is
    submitted, so the permissions for that stay unknown.

    :param job_queues: names or ARNs of queues to list
    """
    job_id = str(uuid4())
    described = _error(gateway, "DescribeJobs", jobs=[job_id])
    connection = _connection(described)
    yield connection
    for permission in PERMISSIONS:
        yield _permission(gateway, permission, job_id, described, connection.result)
    if connection.result is Result.OK:
        yield from (_queue(gateway, queue) for queue in job_queues)
    yield _bulk_calls(gateway)


def _error(gateway: BatchGateway, operation: str, **parameters: Any) -> BatchApiError | None:
    try:
        gateway.call(operation, attempts=_ATTEMPTS, **parameters)
    except BatchApiError as error:
        return error
    return None


def _is_refused(error: BatchApiError | None) -> bool:
    """Whether the permission is missing, rather than the credentials invalid."""
    return isinstance(error, AccessDeniedError) and error.code in _NO_PERMISSION


def _connection(error: BatchApiError | None) -> Finding:
    if error is None or _is_refused(error) or not (error.retryable or isinstance(error, AccessDeniedError)):
        return Finding("connection", Result.OK, "AWS Batch answers")
    return Finding("connection", Result.MISSING, str(error))


def _permission(
    gateway: BatchGateway,
    permission: Permission,
    job_id: str,
    described: BatchApiError | None,
    connection: Result,
) -> Finding:
    operation = permission.operations[0]
    if operation == "SubmitJob":
        note = f"{permission.protects}. It can not be seen without submitting a job"
        return Finding(permission.action, Result.UNKNOWN, note)
    if operation == "DescribeJobs" or connection is not Result.OK:
        return _from_answer(permission, described)
    about: dict[str, Any] = (
        {"jobQueue": job_id} if operation == "ListJobs" else {"jobId": job_id, "reason": _REASON}
    )
    return _from_answer(permission, _error(gateway, operation, **about))


def _from_answer(permission: Permission, error: BatchApiError | None) -> Finding:
    """Read the answer: AWS looks at the permission first, so that an id is unknown says that it is there."""
    result = Result.OK
    if _is_refused(error):
        result = Result.MISSING
    elif error is not None and (error.retryable or isinstance(error, AccessDeniedError)):
        result = Result.UNKNOWN
    note = permission.protects if result is Result.OK else f"{permission.protects}. {error}"
    return Finding(permission.action, result, note)


def _queue(gateway: BatchGateway, queue: str) -> Finding:
    error = _error(gateway, "ListJobs", jobQueue=queue, maxResults=1)
    result, note = (Result.OK, "can be listed") if error is None else (Result.MISSING, str(error))
    return Finding(f"job queue {queue}", result, note)


def _bulk_calls(gateway: BatchGateway) -> Finding:
    if gateway.has_bulk_calls:
        return Finding("bulk calls", Result.OK, "up to 50 jobs are stopped in one call")
    note = "jobs are stopped one a call, in parallel; botocore has TerminateJobs from 1.43.93 on"
    return Finding("bulk calls", Result.ABSENT, note)
