"""
Every error that this package raises on purpose.

::

    BatchCancelError
    ├── ArgumentError (also ValueError)      an argument that can not work, named with its value
    │   └── JobIdError                       job ids that are not Batch job ids
    ├── BatchApiError                        what AWS answered instead of the thing asked for
    │   ├── ThrottledError                   too many calls; repeating is right
    │   ├── ServiceUnavailableError          5xx, no connection, no answer; repeating is right
    │   └── AccessDeniedError                a permission is missing; repeating is useless
    ├── JobsNotStoppedError                  a report in which some job is not stopped
    ├── DeploymentIdMissingError             a sweep without ``[batch_cancel] deployment_id``
    └── TooOldError (also ImportError)       Airflow or its amazon provider lacks what a feature is made of
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_batch_cancel.core.report import CancelReport


class BatchCancelError(Exception):
    """The root of this package's errors."""


class ArgumentError(BatchCancelError, ValueError):
    """
    An argument that can not work.

    :param argument: the name of the argument, as the caller wrote it
    :param value: what was given
    :param expected: what would be right, as the end of the sentence "expected ..."
    """

    def __init__(self, argument: str, value: object, expected: str) -> None:
        self.argument = argument
        self.value = value
        self.expected = expected
        shown = repr(value)
        if len(shown) > 200:
            shown = f"{shown[:200]}... ({len(shown)} characters)"
        super().__init__(f"{argument}={shown}: expected {expected}")


class JobIdError(ArgumentError):
    """
    Some job ids are not AWS Batch job ids of this Region.

    :param refused: the ids as they were given, at least one
    :param expected: what would be right
    """

    def __init__(self, refused: Sequence[object], expected: str) -> None:
        self.refused = tuple(refused)
        super().__init__("job_ids", list(refused), expected)


class BatchApiError(BatchCancelError):
    """
    AWS answered an operation with an error.

    :param operation: the API operation, for example ``TerminateJobs``
    :param code: AWS's error code, or the name of botocore's exception when no answer came
    :param message: AWS's message
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        self.operation = operation
        self.code = code
        self.message = message
        super().__init__(f"{operation}: {code}: {message}")

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return isinstance(self, (ThrottledError, ServiceUnavailableError))


class ThrottledError(BatchApiError):
    """AWS Batch takes a limited number of calls a second for an account and Region."""


class ServiceUnavailableError(BatchApiError):
    """The service failed or did not answer; what was asked may or may not have happened."""


class AccessDeniedError(BatchApiError):
    """The credentials may not do this, or are not valid."""


class JobsNotStoppedError(BatchCancelError):
    """
    A cancel ended and some jobs are not stopped.

    :param report: the whole report, also of the jobs that are stopped
    """

    def __init__(self, report: CancelReport) -> None:
        self.report = report
        lines = "\n".join(f"  {row.describe()}" for row in report.failed)
        super().__init__(f"{len(report.failed)} of {len(report.rows)} jobs not stopped:\n{lines}")


class DeploymentIdMissingError(BatchCancelError):
    """A sweep needs to know which jobs are of this deployment."""

    def __init__(self) -> None:
        super().__init__(
            "[batch_cancel] deployment_id is not set: a sweep can not tell this deployment's jobs from those "
            "of another one in the same AWS account. Set it (AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID) to a name "
            "that no other Airflow on this account uses, on every scheduler, worker and triggerer."
        )


class TooOldError(BatchCancelError, ImportError):
    """
    A version of something is older than this package can work with.

    :param distribution: what is too old, as pip calls it
    :param found: its version
    :param at_least: the first version that would do
    """

    def __init__(self, distribution: str, found: str, at_least: str) -> None:
        self.distribution = distribution
        self.found = found
        self.at_least = at_least
        super().__init__(f"airflow-batch-cancel needs {distribution} {at_least} or newer; this is {found}.")
