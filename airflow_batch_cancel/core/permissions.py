"""What AWS has to permit, and what for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """
    One IAM action.

    :param action: as IAM spells it
    :param operations: the API operations that need it
    :param protects: what does not work without it
    """

    action: str
    operations: tuple[str, ...]
    protects: str


PERMISSIONS = (
    Permission("batch:DescribeJobs", ("DescribeJobs",), "everything: an outcome is read from nothing else"),
    Permission(
        "batch:TerminateJob", ("TerminateJob", "TerminateJobs"), "stopping any job, and the kill of a task"
    ),
    Permission("batch:CancelJob", ("CancelJob", "CancelJobs"), "a terminate_after other than zero"),
    Permission(
        "batch:ListJobs",
        ("ListJobs",),
        "the sweep, job_queues, the jobs of earlier tries, lost answers of SubmitJob",
    ),
    Permission("batch:SubmitJob", ("SubmitJob",), "CancellableBatchOperator"),
    Permission("batch:TagResource", ("SubmitJob",), "CancellableBatchOperator: the owner tags of its job"),
)
"""All that this package asks of AWS Batch. ``SubmitJob`` needs two of them, since the job has tags."""
