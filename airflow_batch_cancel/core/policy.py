"""How hard to stop a job, and how long to wait for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_batch_cancel.exceptions import ArgumentError

REASON_LENGTH = 1024
"""The longest reason, in characters (botocore's shape ``TerminateJobRequest``)."""
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How hard to stop, and how long to wait.

    :param reason: 1 to 1024 characters, kept on the job as its ``statusReason``
    :param terminate_after: ``timedelta(0)`` terminates started jobs at once; a longer one drains: jobs that
        have not started are cancelled now, started ones may finish, and what is left is terminated when the
        time is up; None never touches a started job
    :param timeout: how long to wait, after the last job was asked to stop, until it has ended
    :param poll_interval: the longest pause between two looks at the jobs; the first pauses are shorter
    :raises ArgumentError: for a value that can not work
    """

    reason: str
    terminate_after: timedelta | None = AT_ONCE
    timeout: timedelta = timedelta(minutes=10)
    poll_interval: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _checked_reason(self.reason))
        if self.terminate_after is not None:
            _check_duration("terminate_after", self.terminate_after, "a timedelta of 0 or more, or None")
        _check_duration("timeout", self.timeout, "a timedelta of 0 or more")
        _check_duration("poll_interval", self.poll_interval, "a timedelta above 0")
        if not self.poll_interval:
            raise ArgumentError("poll_interval", self.poll_interval, "a timedelta above 0")

    @classmethod
    def read(cls, reason: str, terminate_after: Any, timeout: Any, poll_interval: Any) -> Policy:
        """
        Return the policy that arguments of a DAG's author say, which templates may have rendered.

        :param terminate_after: a timedelta, seconds, a string of seconds, or None, also as a string
        :param timeout: a timedelta, seconds, or a string of seconds
        :param poll_interval: as ``timeout``
        :raises ArgumentError: for a value that can not work
        """
        after = None if _is_none(terminate_after) else _duration("terminate_after", terminate_after)
        timeout, poll_interval = _duration("timeout", timeout), _duration("poll_interval", poll_interval)
        return cls(reason, after, timeout, poll_interval)

    @property
    def terminates_at_once(self) -> bool:
        """Whether a started job is terminated without waiting."""
        return self.terminate_after == AT_ONCE

    @property
    def deadline(self) -> timedelta:
        """How long after the beginning the waiting ends."""
        return (self.terminate_after or AT_ONCE) + self.timeout


def _checked_reason(reason: object) -> str:
    expected = f"1 to {REASON_LENGTH} characters"
    if not isinstance(reason, str):
        raise ArgumentError("reason", reason, expected)
    cleaned = re.sub(r"[\x00-\x1f\x7f]+", " ", reason).strip()
    if not 1 <= len(cleaned) <= REASON_LENGTH:
        raise ArgumentError("reason", reason, f"{expected}, not {len(cleaned)}")
    return cleaned


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() == "none")


def _duration(argument: str, value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(argument, value, "a timedelta, or seconds") from None


def _check_duration(argument: str, value: object, expected: str) -> None:
    if not isinstance(value, timedelta) or value < AT_ONCE:
        raise ArgumentError(argument, value, expected)
