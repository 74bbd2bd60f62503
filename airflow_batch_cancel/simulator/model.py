"""What the simulated service keeps: queues, definitions, jobs and the history of their states."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

FINISHED = ("SUCCEEDED", "FAILED")
STARTED = ("STARTING", "RUNNING")
STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


class ServiceError(Exception):
    """An error answer: AWS's code, the HTTP status and a message."""

    def __init__(self, message: str, code: str = "ClientException", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class Transition(NamedTuple):
    """One change of a job's status."""

    time: float
    job_id: str
    from_status: str
    to_status: str
    cause: str


@dataclass(frozen=True, slots=True)
class Behaviour:
    """
    How a job goes through its states, in seconds.

    :param stop_seconds: from an accepted terminate until the job has ended
    :param fail_attempts: how many attempts fail before one goes well
    """

    submitted_seconds: float = 0.1
    runnable_seconds: float = 0.5
    starting_seconds: float = 0.5
    run_seconds: float = 3600.0
    exit_code: int = 0
    stop_seconds: float = 1.0
    fail_attempts: int = 0

    def with_overrides(self, overrides: dict[str, Any]) -> Behaviour:
        """Return the behaviour with what a job's ``parameters`` say of it; others do not matter here."""
        names = {spec.name for spec in fields(self)}
        known = {key: type(getattr(self, key))(value) for key, value in overrides.items() if key in names}
        return replace(self, **known)


@dataclass(slots=True)
class Queue:
    """
    A job queue.

    :param slots: how many jobs may have started at once; None for any number
    """

    name: str
    slots: int | None = None
    busy: int = 0
    waiting: deque[SimulatedJob] = field(default_factory=deque)

    @property
    def has_room(self) -> bool:
        """Whether another job may start."""
        return self.slots is None or self.busy < self.slots


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """A job, an array parent or an array child, as it really is."""

    job_id: str
    name: str
    queue: Queue
    definition: str
    behaviour: Behaviour
    created_at: float
    status: str = "SUBMITTED"
    status_reason: str = ""
    is_cancelled: bool = False
    is_terminated: bool = False
    stop_reason: str = ""
    started_at: float | None = None
    stopped_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    depends_on: list[dict[str, str]] = field(default_factory=list)
    attempts_allowed: int = 1
    attempt: int = 0
    timeout: float | None = None
    array_size: int | None = None
    children: list[SimulatedJob] = field(default_factory=list)
    parent: SimulatedJob | None = None
    index: int | None = None
    dependents: list[SimulatedJob] = field(default_factory=list)
    waits_for: set[str] = field(default_factory=set)
    holds_slot: bool = False
    phase: int = 0
    live_children: int = 0
    child_counts: dict[str, int] = field(default_factory=dict)
    shown_counts: dict[str, int] = field(default_factory=dict)
    shown_at: float | None = None

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINISHED

    @property
    def started(self) -> bool:
        """Whether the job's own container is starting or running."""
        return self.status in STARTED

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked for the job's end, with effect."""
        return self.is_cancelled or self.is_terminated
