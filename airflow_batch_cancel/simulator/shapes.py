"""A job as DescribeJobs and ListJobs show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_batch_cancel.simulator.model import SimulatedJob


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account in a Region."""

    region: str = "us-east-1"
    number: str = "123456789012"

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a Batch resource."""
        return f"arn:aws:batch:{self.region}:{self.number}:{kind}/{name}"


def job_detail(job: SimulatedJob, account: Account) -> dict[str, Any]:
    """Return botocore's shape ``JobDetail``."""
    detail = {
        **_common(job, account),
        "jobQueue": account.arn("job-queue", job.queue.name),
        "dependsOn": job.depends_on,
        "parameters": job.parameters,
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
        "tags": job.tags,
        "retryStrategy": {"attempts": job.attempts_allowed, "evaluateOnExit": []},
        "attempts": [],
        "platformCapabilities": ["EC2"],
    }
    if job.array_size is None:
        detail["container"] = {
            "image": "simulated",
            "environment": [],
            "logConfiguration": {"logDriver": "awslogs"},
        }
    if job.timeout is not None:
        detail["timeout"] = {"attemptDurationSeconds": int(job.timeout)}
    return detail


def job_summary(job: SimulatedJob, account: Account) -> dict[str, Any]:
    """Return botocore's shape ``JobSummary``: no tags, no queue, and the flags only when they are set."""
    summary = _common(job, account)
    if job.is_cancelled:
        summary["isCancelled"] = True
    if job.is_terminated:
        summary["isTerminated"] = True
    return summary


def _common(job: SimulatedJob, account: Account) -> dict[str, Any]:
    common: dict[str, Any] = {
        "jobArn": account.arn("job", job.job_id),
        "jobId": job.job_id,
        "jobName": job.name,
        "jobDefinition": account.arn("job-definition", f"{job.definition}:1"),
        "status": job.status,
        "createdAt": _milliseconds(job.created_at),
    }
    if job.status_reason:
        common["statusReason"] = job.status_reason
    if job.started_at is not None:
        common["startedAt"] = _milliseconds(job.started_at)
    if job.stopped_at is not None:
        common["stoppedAt"] = _milliseconds(job.stopped_at)
    if job.array_size is not None:
        counts = {status: count for status, count in job.shown_counts.items() if count}
        common["arrayProperties"] = {"size": job.array_size, "statusSummary": counts}
    elif job.index is not None:
        common["arrayProperties"] = {"index": job.index}
    return common


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
