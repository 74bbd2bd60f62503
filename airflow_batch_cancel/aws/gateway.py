"""The AWS Batch gateway: describe, list, cancel and terminate, in as few calls as the API allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_batch_cancel.aws.batches import IDS_PER_DESCRIBE, IDS_PER_STOP, Lane, chunks, stop_lanes
from airflow_batch_cancel.aws.clock import Clock, SystemClock
from airflow_batch_cancel.aws.errors import AWS_ERRORS, api_error, translate
from airflow_batch_cancel.aws.pace import Pace, backoff_seconds
from airflow_batch_cancel.core.jobs import LIVE_STATUSES, Job
from airflow_batch_cancel.core.plan import Operation
from airflow_batch_cancel.exceptions import AccessDeniedError, BatchApiError, ThrottledError

log = logging.getLogger(__name__)

PARALLEL_CALLS = 10
"""As many as botocore keeps connections open for by default (``max_pool_connections``)."""
ATTEMPTS = 8
"""How often a call is made that AWS throttles or fails to serve."""
LONGEST_TRY_SECONDS = 60
"""After how long no further attempt is made: eight attempts that hang would take half an hour."""

Answer = TypeVar("Answer")
Item = TypeVar("Item")

StopAnswers = dict[str, BatchApiError | None]
"""For each job id None, when AWS Batch accepted the stop, or the error."""
Tell = Callable[[Sequence[str], StopAnswers | None], object]
"""Is called with the ids of a stop and None before AWS Batch is asked, and with the answers when it was."""


@dataclass(slots=True)
class Described:
    """
    What DescribeJobs says of some jobs.

    :param jobs: the jobs that it shows; others are unknown, too young or too old
    :param errors: the error for each id that could not be asked for
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    errors: dict[str, BatchApiError] = field(default_factory=dict)

    def add(self, more: Described) -> None:
        """Take in what DescribeJobs says of other jobs."""
        self.jobs.update(more.jobs)
        self.errors.update(more.errors)


class BatchGateway:
    """
    One Region of AWS Batch, through one botocore client. Safe to use from several threads.

    :param client: a boto3 ``batch`` client, best one that repeats no calls by itself. Where it has no
        ``terminate_jobs`` (botocore before 1.43.93) the single calls are made, in parallel
    :param clock: where the time comes from
    :param attempts: how often to make a call that AWS throttles or fails to serve
    :param renew: makes another client, for what this one is refused: its credentials may have been replaced
        since it was made. It is called in the thread of whoever calls the gateway
    """

    def __init__(
        self,
        client: Any,
        clock: Clock | None = None,
        attempts: int = ATTEMPTS,
        renew: Callable[[], Any] | None = None,
    ) -> None:
        self.client = client
        self.clock = clock or SystemClock()
        self.has_bulk_calls = hasattr(client, "terminate_jobs")
        self._attempts = attempts
        self._renew = renew
        self._pace = Pace(self.clock)

    def describe(self, job_ids: Sequence[str]) -> Described:
        """
        Describe any number of jobs, 100 ids a call.

        An error concerns the ids of its call only; a call that AWS refuses for an id in it is divided until
        the error is that id's alone. A row for a job that was not asked for is passed over.
        """
        described = self._describe(job_ids)
        denied = _denied(described.errors)
        if denied and self._is_renewed_for(described.errors[denied[0]]):
            for job_id in denied:
                del described.errors[job_id]
            described.add(self._describe(denied))
        return described

    def _describe(self, job_ids: Sequence[str]) -> Described:
        described = Described()
        for part in self._side_by_side(self._describe_chunk, chunks(job_ids, IDS_PER_DESCRIBE)):
            described.add(part)
        return described

    def _describe_chunk(self, ids: Sequence[str]) -> Described:
        try:
            answer = self.call("DescribeJobs", jobs=list(ids))
        except BatchApiError as error:
            if len(ids) == 1 or error.retryable or isinstance(error, AccessDeniedError):
                return Described(errors=dict.fromkeys(ids, error))
        else:
            rows = (row for row in _rows(answer, "jobs") if row.get("jobId") in ids)
            return Described({row["jobId"]: Job.from_description(row) for row in rows})
        middle = len(ids) // 2
        first, second = self._describe_chunk(ids[:middle]), self._describe_chunk(ids[middle:])
        return Described({**first.jobs, **second.jobs}, {**first.errors, **second.errors})

    def list_live_job_ids(self, job_queue: str) -> list[str]:
        """
        List the jobs of a queue that have not finished; array parents, not their children.

        ListJobs takes one status a call, so this is five lists, and a job that moves on between two of them
        could be missed: they are made in the order of a job's life, and what is listed twice is one job.

        :param job_queue: name or ARN
        :raises BatchApiError: when the queue can not be listed
        """
        found: dict[str, None] = {}
        for status in LIVE_STATUSES:
            rows = self._list(jobQueue=job_queue, jobStatus=status.value, maxResults=1000)
            found.update(dict.fromkeys(row["jobId"] for row in rows))
        return list(found)

    def list_job_ids_by_name(self, job_queue: str, job_name: str, *, finished_too: bool = False) -> list[str]:
        """
        List the jobs of a queue with exactly this name that have not finished; one call for up to 100.

        The JOB_NAME filter is case-insensitive and ignores the status (botocore's shape ``ListJobsRequest``),
        so both are looked at here.

        :raises BatchApiError: when the queue can not be listed
        """
        name_is = [{"name": "JOB_NAME", "values": [job_name]}]
        rows = self._list(jobQueue=job_queue, filters=name_is, maxResults=100)
        return [
            row["jobId"]
            for row in rows
            if row.get("jobName") == job_name
            and (finished_too or row.get("status") not in ("SUCCEEDED", "FAILED"))
        ]

    def stop(
        self,
        operation: Operation,
        job_ids: Sequence[str],
        reason: str,
        depends_on: Mapping[str, Sequence[str]] | None = None,
        tell: Tell = lambda ids, answers: None,
    ) -> StopAnswers:
        """
        Ask AWS Batch to cancel or terminate jobs, 50 ids a call where the client can.

        That the answer for a job is no error says that AWS Batch took the request (it also takes ids that do
        not exist), not that the job has stopped.

        :param depends_on: for a job id the ids that it depends on; dependents are stopped first
        :param tell: hears of every call, for a caller that may be interrupted; from several threads
        """
        answers = self._stop(operation, job_ids, reason, depends_on or {}, tell)
        denied = _denied(answers)
        if denied and self._is_renewed_for(answers[denied[0]]):
            answers |= self._stop(operation, denied, reason, depends_on or {}, tell)
        return answers

    def _stop(
        self,
        operation: Operation,
        job_ids: Sequence[str],
        reason: str,
        depends_on: Mapping[str, Sequence[str]],
        tell: Tell,
    ) -> StopAnswers:
        lanes = stop_lanes(job_ids, depends_on, IDS_PER_STOP if self.has_bulk_calls else 1)
        answers: StopAnswers = {}
        for part in self._side_by_side(lambda lane: self._stop_lane(operation, lane, reason, tell), lanes):
            answers.update(part)
        return answers

    def call(self, operation: str, attempts: int | None = None, **parameters: Any) -> dict[str, Any]:
        """
        Make one API call, again where that may help.

        :param operation: as AWS spells it, ``DescribeJobs``
        :param attempts: how often to try at most
        :raises BatchApiError: what AWS answered in the end
        """
        method = getattr(self.client, _METHODS[operation])
        attempts = attempts or self._attempts
        last_try = self.clock.now() + LONGEST_TRY_SECONDS
        for attempt in range(1, attempts + 1):
            self._pace.wait_for_turn()
            try:
                answer: dict[str, Any] = method(**parameters)
            except AWS_ERRORS as raised:
                error = translate(operation, raised)
                self._note(error)
                if not error.retryable or attempt == attempts or self.clock.now() > last_try:
                    raise error from raised
                self._back_off(attempt, error)
            else:
                self._pace.succeeded()
                return answer
        raise AssertionError("unreachable")

    def _list(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        while True:
            answer = self._list_page(parameters)
            yield from (row for row in _rows(answer, "jobSummaryList") if isinstance(row.get("jobId"), str))
            token = answer.get("nextToken")
            if not token:
                return
            if token == parameters.get("nextToken"):
                raise BatchApiError("ListJobs", "RepeatedToken", "the list goes on where it has begun")
            parameters["nextToken"] = token

    def _list_page(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.call("ListJobs", **parameters)
        except AccessDeniedError as error:
            if not self._is_renewed_for(error):
                raise
            return self.call("ListJobs", **parameters)

    def _is_renewed_for(self, error: BatchApiError | None) -> bool:
        """Make another client for what this one was denied; whether there is one."""
        if self._renew is None:
            return False
        log.info("%s; asking again with the credentials of now", error)
        try:
            self.client = self._renew()
        except Exception as failure:
            log.warning("There are no other credentials to be had: %s", failure)
            return False
        return True

    def _stop_lane(self, operation: Operation, lane: Lane, reason: str, tell: Tell) -> StopAnswers:
        answers: StopAnswers = {}
        for ids in lane:
            tell(ids, None)
            if self.has_bulk_calls:
                part = self._stop_in_bulk(operation, ids, reason)
            else:
                part = {ids[0]: self._stop_one(operation, ids[0], reason)}
            tell(ids, part)
            answers.update(part)
        return answers

    def _stop_one(self, operation: Operation, job_id: str, reason: str) -> BatchApiError | None:
        try:
            self.call(operation.value, jobId=job_id, reason=reason)
        except BatchApiError as error:
            return error
        return None

    def _stop_in_bulk(self, operation: Operation, ids: list[str], reason: str) -> StopAnswers:
        """Stop up to 50 jobs; the ids that the answer calls throttled or failed are asked for again."""
        answers: StopAnswers = {}
        left = ids
        for attempt in range(1, self._attempts + 1):
            answers.update(self._bulk_answers(operation, left, reason))
            left = [job_id for job_id in left if (error := answers[job_id]) is not None and error.retryable]
            if not left or attempt == self._attempts:
                break
            error = answers[left[0]]
            assert error is not None
            self._note(error)
            self._back_off(attempt, error)
        return answers

    def _bulk_answers(self, operation: Operation, ids: list[str], reason: str) -> StopAnswers:
        try:
            answer = self.call(f"{operation.value}s", attempts=1, jobs=ids, reason=reason)
        except BatchApiError as error:
            return dict.fromkeys(ids, error)
        silent = api_error(operation, "MissingFromAnswer", "the answer does not mention the job")
        answers: StopAnswers = dict.fromkeys(ids, silent)
        successful = answer.get("successful") or ()
        answers.update(dict.fromkeys(job_id for job_id in ids if job_id in successful))
        for row in _rows(answer, "errors"):
            if row.get("job") in ids:
                code, message = str(row.get("code", "Unknown")), str(row.get("message", ""))
                answers[row["job"]] = api_error(operation, code, message)
        return answers

    def _note(self, error: BatchApiError) -> None:
        if isinstance(error, ThrottledError):
            self._pace.throttled()

    def _back_off(self, attempt: int, error: BatchApiError) -> None:
        seconds = backoff_seconds(attempt)
        log.info("%s; trying again in %.1f s (%d of %d)", error, seconds, attempt, self._attempts)
        self.clock.sleep(seconds)

    @staticmethod
    def _side_by_side(work: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        if len(items) <= 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(min(PARALLEL_CALLS, len(items)), thread_name_prefix="batch-cancel") as pool:
            return list(pool.map(work, items))


def _denied(answers: Mapping[str, BatchApiError | None]) -> list[str]:
    return [job_id for job_id, error in answers.items() if isinstance(error, AccessDeniedError)]


def _rows(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the structures of a list in an answer; none where it is missing."""
    return [row for row in answer.get(name) or () if isinstance(row, dict)]


_METHODS = {
    "CancelJob": "cancel_job",
    "CancelJobs": "cancel_jobs",
    "DescribeJobs": "describe_jobs",
    "ListJobs": "list_jobs",
    "TerminateJob": "terminate_job",
    "TerminateJobs": "terminate_jobs",
}
