"""The operations of the service: what a request says, and what it is answered."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_batch_cancel.simulator.engine import Engine
from airflow_batch_cancel.simulator.faults import Faults
from airflow_batch_cancel.simulator.model import Behaviour, Queue, ServiceError, SimulatedJob
from airflow_batch_cancel.simulator.shapes import Account, job_detail, job_summary

Json = dict[str, Any]

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}([:#]\d+)?")
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TAG = re.compile(r"[\w +\-=.:/@]*")
_REASON_LENGTH = 1024
_IDS_PER_DESCRIBE = 100
_IDS_PER_STOP = 50


class Operations:
    """
    One account's AWS Batch in one Region.

    Sources: botocore's service model of Batch (limits are in its documentation, not in its shapes) and the
    AWS Batch API reference.
    """

    def __init__(
        self,
        engine: Engine,
        faults: Faults,
        account: Account,
        seed: int,
        visibility_lag: float,
        retention: float | None,
        summary_lag: float,
    ) -> None:
        self.engine = engine
        self.queues: dict[str, Queue] = {"default": Queue("default")}
        self.definitions: dict[str, Behaviour] = {"default": Behaviour()}
        self.visibility_lag = visibility_lag
        self.retention = retention
        self.summary_lag = summary_lag
        self._faults = faults
        self._account = account
        self._random = random.Random(seed)
        self.by_name: dict[str, Callable[[Json], Json]] = {
            "SubmitJob": self.submit_job,
            "DescribeJobs": self.describe_jobs,
            "ListJobs": self.list_jobs,
            "CancelJob": lambda request: self._stop_one(request, self.engine.cancel),
            "TerminateJob": lambda request: self._stop_one(request, self.engine.terminate),
            "CancelJobs": lambda request: self._stop_many(request, "CancelJobs", self.engine.cancel),
            "TerminateJobs": lambda request: self._stop_many(request, "TerminateJobs", self.engine.terminate),
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
            "RegisterJobDefinition": self.register_job_definition,
            "DescribeJobDefinitions": self.describe_job_definitions,
            "CreateJobQueue": self.create_job_queue,
            "DescribeJobQueues": self.describe_job_queues,
        }

    def submit_job(self, request: Json) -> Json:
        """Take in a job."""
        name = request.get("jobName", "")
        if not _JOB_NAME.fullmatch(name):
            raise ServiceError(f"Job name should match valid pattern: {name!r}")
        array_size = (request.get("arrayProperties") or {}).get("size")
        job = SimulatedJob(
            job_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            name=name,
            queue=self._queue(request.get("jobQueue", "")),
            definition=_last(request.get("jobDefinition", "")).split(":")[0],
            behaviour=self._behaviour(request),
            created_at=self.engine.now,
            tags=_checked_tags(request.get("tags") or {}),
            parameters=dict(request.get("parameters") or {}),
            depends_on=self._checked_dependencies(request.get("dependsOn") or []),
            attempts_allowed=(request.get("retryStrategy") or {}).get("attempts") or 1,
            timeout=_checked_timeout(request.get("timeout")),
            array_size=_checked_array_size(array_size),
        )
        self.engine.add(job)
        return {"jobArn": self._account.arn("job", job.job_id), "jobName": name, "jobId": job.job_id}

    def describe_jobs(self, request: Json) -> Json:
        """Describe up to 100 jobs; what is unknown, too young or too old is left out without a word."""
        ids = request.get("jobs") or []
        if len(ids) > _IDS_PER_DESCRIBE:
            raise ServiceError(f"Maximum number of jobs supported is {_IDS_PER_DESCRIBE}")
        lag = self._lag("DescribeJobs")
        found = (self.engine.jobs.get(job_id) for job_id in dict.fromkeys(ids))
        return {"jobs": [job_detail(job, self._account) for job in found if job and self._visible(job, lag)]}

    def list_jobs(self, request: Json) -> Json:
        """List jobs of one queue or array: one status, RUNNING by default, or one filter."""
        filters = request.get("filters") or []
        jobs = self._selected(request)
        if filters:
            jobs = self._filtered(jobs, filters)
        else:
            status = request.get("jobStatus") or "RUNNING"
            jobs = (job for job in jobs if job.status == status)
        lag = self._lag("ListJobs")
        visible = [job for job in jobs if self._visible(job, lag)]
        newest_first = sorted(visible, key=lambda job: (-job.created_at, job.index or 0))
        start = int(request.get("nextToken") or 0)
        limit = 100 if filters else 1000
        end = start + min(request.get("maxResults") or limit, limit)
        answer: Json = {
            "jobSummaryList": [job_summary(job, self._account) for job in newest_first[start:end]]
        }
        if end < len(newest_first):
            answer["nextToken"] = str(end)
        return answer

    def tag_resource(self, request: Json) -> Json:
        """Add tags to a job; a child has none."""
        job = self._job_of_arn(request["resourceArn"])
        job.tags = _checked_tags({**job.tags, **(request.get("tags") or {})})
        return {}

    def untag_resource(self, request: Json) -> Json:
        """Take tags off a job."""
        job = self._job_of_arn(request["resourceArn"])
        job.tags = {key: value for key, value in job.tags.items() if key not in request.get("tagKeys", ())}
        return {}

    def list_tags_for_resource(self, request: Json) -> Json:
        """Return a job's tags."""
        return {"tags": dict(self._job_of_arn(request["resourceArn"]).tags)}

    def register_job_definition(self, request: Json) -> Json:
        """Register a job definition; its ``parameters`` say how its jobs behave."""
        name = request["jobDefinitionName"]
        self.definitions[name] = Behaviour().with_overrides(request.get("parameters") or {})
        arn = self._account.arn("job-definition", f"{name}:1")
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": 1}

    def describe_job_definitions(self, request: Json) -> Json:
        """Describe the job definitions, each of which has one revision."""
        wanted = request.get("jobDefinitionName")
        definitions = [
            {
                "jobDefinitionName": name,
                "jobDefinitionArn": self._account.arn("job-definition", f"{name}:1"),
                "revision": 1,
                "status": "ACTIVE",
                "type": "container",
            }
            for name in self.definitions
            if wanted in (None, name)
        ]
        return {"jobDefinitions": definitions}

    def create_job_queue(self, request: Json) -> Json:
        """Create a queue in which any number of jobs may run."""
        name = request["jobQueueName"]
        self.queues[name] = Queue(name)
        return {"jobQueueName": name, "jobQueueArn": self._account.arn("job-queue", name)}

    def describe_job_queues(self, request: Json) -> Json:
        """Describe the queues."""
        names = [_last(name) for name in request.get("jobQueues") or self.queues]
        queues = [
            {
                "jobQueueName": name,
                "jobQueueArn": self._account.arn("job-queue", name),
                "state": "ENABLED",
                "status": "VALID",
                "priority": 1,
                "computeEnvironmentOrder": [],
            }
            for name in names
            if name in self.queues
        ]
        return {"jobQueues": queues}

    def _stop_one(self, request: Json, stop: Callable[[SimulatedJob, str], None]) -> Json:
        job_id, reason = request.get("jobId"), _checked_reason(request)
        if not job_id:
            raise ServiceError("jobId must not be empty")
        job = self.engine.jobs.get(job_id)
        if job is not None:
            stop(job, reason)
        return {}

    def _stop_many(self, request: Json, operation: str, stop: Callable[[SimulatedJob, str], None]) -> Json:
        ids, reason = request.get("jobs") or [], _checked_reason(request)
        if not 1 <= len(ids) <= _IDS_PER_STOP:
            raise ServiceError(f"jobs must have 1 to {_IDS_PER_STOP} members")
        answer: Json = {"successful": [], "errors": []}
        for job_id in ids:
            code = self._faults.bulk_error(operation, job_id)
            if not _JOB_ID.fullmatch(job_id):
                code = "ValidationException"
            if code is not None:
                answer["errors"].append({"job": job_id, "code": code, "message": f"{operation}: {code}"})
                continue
            answer["successful"].append(job_id)
            job = self.engine.jobs.get(job_id)
            if job is not None:
                stop(job, reason)
        return answer

    def _lag(self, operation: str) -> float:
        return max(self.visibility_lag, self._faults.lag_seconds(operation))

    def _visible(self, job: SimulatedJob, lag: float) -> bool:
        now = self.engine.now
        if job.shown_at is None or now >= job.shown_at + self.summary_lag:
            job.shown_at, job.shown_counts = now, dict(job.child_counts)
        if now < job.created_at + lag:
            return False
        return self.retention is None or job.stopped_at is None or now < job.stopped_at + self.retention

    def _selected(self, request: Json) -> Iterable[SimulatedJob]:
        given = [key for key in ("jobQueue", "arrayJobId", "multiNodeJobId") if request.get(key)]
        if len(given) != 1:
            raise ServiceError("Exactly one of jobQueue, arrayJobId, multiNodeJobId must be given")
        if given == ["jobQueue"]:
            queue = self._queue(request["jobQueue"])
            return [job for job in self.engine.jobs.values() if job.queue is queue and job.parent is None]
        parent = self.engine.jobs.get(request[given[0]])
        return parent.children if parent else []

    def _filtered(self, jobs: Iterable[SimulatedJob], filters: list[Json]) -> Iterable[SimulatedJob]:
        if len(filters) > 1:
            raise ServiceError("Only one filter key-value pair can be specified")
        name, values = filters[0].get("name"), filters[0].get("values") or []
        if len(values) != 1:
            raise ServiceError("Filter cannot take more than one value")
        value = values[0]
        if name == "JOB_NAME":
            return [job for job in jobs if _matches(job.name.lower(), value.lower())]
        if name == "JOB_DEFINITION":
            return [job for job in jobs if _matches(job.definition, value)]
        if name == "AFTER_CREATED_AT":
            return [job for job in jobs if job.created_at * 1000 > int(value)]
        if name == "BEFORE_CREATED_AT":
            return [job for job in jobs if job.created_at * 1000 < int(value)]
        raise ServiceError(f"Filter name is invalid: {name}")

    def _queue(self, name: str) -> Queue:
        queue = self.queues.get(_last(name))
        if queue is None:
            raise ServiceError(f"JobQueue {name} does not exist.")
        return queue

    def _behaviour(self, request: Json) -> Behaviour:
        name = _last(request.get("jobDefinition", "")).split(":")[0]
        if name not in self.definitions:
            raise ServiceError(f"JobDefinition {name} does not exist.")
        return self.definitions[name].with_overrides(request.get("parameters") or {})

    def _checked_dependencies(self, edges: list[dict[str, str]]) -> list[dict[str, str]]:
        if len(edges) > 20:
            raise ServiceError("A job can have at most 20 dependencies")
        for edge in edges:
            if edge.get("type") != "SEQUENTIAL" and edge.get("jobId") not in self.engine.jobs:
                raise ServiceError(f"Job {edge.get('jobId')} does not exist")
        return [dict(edge) for edge in edges]

    def _job_of_arn(self, arn: str) -> SimulatedJob:
        job = self.engine.jobs.get(_last(arn))
        if job is None or job.parent is not None:
            raise ServiceError(f"No such resource: {arn}")
        return job


def _last(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", maxsplit=1)[-1]


def _matches(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _checked_reason(request: Json) -> str:
    reason = request.get("reason") or ""
    if not 1 <= len(reason) <= _REASON_LENGTH:
        raise ServiceError(f"reason must have 1 to {_REASON_LENGTH} characters")
    return str(reason)


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > 50:
        raise ServiceError("A resource can have at most 50 tags")
    for key, value in tags.items():
        if not (1 <= len(key) <= 128 and len(value) <= 256 and _TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise ServiceError(f"Tag is invalid: {key!r}={value!r}")
    return dict(tags)


def _checked_timeout(timeout: Json | None) -> float | None:
    seconds = (timeout or {}).get("attemptDurationSeconds")
    if seconds is not None and seconds < 60:
        raise ServiceError("attemptDurationSeconds must be at least 60")
    return None if seconds is None else float(seconds)


def _checked_array_size(size: int | None) -> int | None:
    if size is not None and not 2 <= size <= 10_000:
        raise ServiceError("Array size must be between 2 and 10000")
    return size
