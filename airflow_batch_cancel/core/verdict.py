"""Should this job still be alive? A pure function of what Airflow says about its owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import OWNER_TAGS, TAG_DEPLOYMENT, Ownership, PreviousTry


class TaskState(StrEnum):
    """
    The state of a task instance, as Airflow spells it, and three that Airflow has no word for.

    A state that Airflow adds later reads as ``UNKNOWN``, which counts as alive.
    """

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RESTARTING = "restarting"
    DEFERRED = "deferred"
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    UP_FOR_RETRY = "up_for_retry"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UPSTREAM_FAILED = "upstream_failed"
    REMOVED = "removed"
    NONE = "none"
    """It has no state: it was cleared, or is not scheduled yet."""
    GONE = "gone"
    """There is no such task instance: its run, its task or its DAG was deleted."""
    UNKNOWN = "unknown"
    """Nobody could say."""

    @classmethod
    def _missing_(cls, value: object) -> TaskState:
        return cls.NONE if value is None else cls.UNKNOWN

    @property
    def alive(self) -> bool:
        """Whether a try of the task is at work, or about to be."""
        return self in _ALIVE


class RunState(StrEnum):
    """The state of a DAG run, as Airflow spells it; one added later reads as ``UNKNOWN``."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> RunState:
        return cls.UNKNOWN


class Verdict(StrEnum):
    """What is to become of a live job."""

    ORPHAN = "ORPHAN"
    """Airflow does not want it alive any more."""
    ALIVE = "ALIVE"
    """Its owner is alive, or may take it up again."""
    YOUNG = "YOUNG"
    """It was submitted a moment ago: judged next time."""
    UNKNOWN = "UNKNOWN"
    """Nobody could say how its owner stands: it goes on."""
    NOBODYS = "NOBODYS"
    """Its owner tags are incomplete or were edited, or its name does not confirm them: it goes on."""
    FOREIGN = "FOREIGN"
    """It is of another deployment, or of no Airflow at all."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict, and why.

    :param why: the end of the sentence "because ...", for people
    """

    verdict: Verdict
    why: str


_ALIVE = frozenset(
    {
        TaskState.SCHEDULED,
        TaskState.QUEUED,
        TaskState.RUNNING,
        TaskState.RESTARTING,
        TaskState.DEFERRED,
        TaskState.UP_FOR_RESCHEDULE,
    }
)
# The next try will re-attach to a job of a task that is in one of these.
_BETWEEN_TRIES = frozenset({TaskState.UP_FOR_RETRY, TaskState.NONE})


def judge_owner(
    ownership: Ownership, state: TaskState, run_state: RunState = RunState.UNKNOWN, newer_try: bool = False
) -> Judgement:
    """
    Decide whether an owner still wants its job.

    :param state: of the task instance, whatever its try
    :param run_state: of the DAG run; only looked at for a detached job whose task has succeeded
    :param newer_try: whether a newer try of the same task instance has a live job
    """
    if newer_try:
        return Judgement(Verdict.ORPHAN, "a newer try of its task has a job")
    if state is TaskState.UNKNOWN:
        return Judgement(Verdict.UNKNOWN, "the state of its task is not known")
    if state.alive:
        return Judgement(Verdict.ALIVE, f"its task is {state}")
    if state in _BETWEEN_TRIES and ownership.previous_try is PreviousTry.REATTACH:
        return Judgement(Verdict.ALIVE, f"its task is {state}, and the next try re-attaches")
    if state is TaskState.SUCCESS and ownership.is_detached:
        return _judge_detached(run_state)
    if state is TaskState.GONE:
        return Judgement(Verdict.ORPHAN, "its task, run or DAG was deleted")
    if state is TaskState.NONE:
        return Judgement(Verdict.ORPHAN, "its task was cleared")
    return Judgement(Verdict.ORPHAN, f"its task is {state}")


def _judge_detached(run_state: RunState) -> Judgement:
    if run_state is RunState.FAILED:
        return Judgement(Verdict.ORPHAN, "its DAG run is failed")
    if run_state is RunState.UNKNOWN:
        return Judgement(Verdict.UNKNOWN, "the state of its DAG run is not known")
    return Judgement(Verdict.ALIVE, "its task has succeeded and did not wait for it")


def judge_without_airflow(job: Job, deployment: str, now: datetime, min_age: timedelta) -> Judgement | None:
    """
    Decide about a job as far as that needs no question to Airflow; None when it does.

    :param deployment: this one, not empty
    :param min_age: younger jobs are judged next time
    """
    claim = Ownership.from_tags(job.tags)
    if claim is None:
        if job.tags.keys() & {TAG_DEPLOYMENT, *OWNER_TAGS}:
            return Judgement(Verdict.NOBODYS, "its owner tags are incomplete or were edited")
        return Judgement(Verdict.FOREIGN, "it has no owner tags")
    if claim.owner.deployment != deployment:
        return Judgement(Verdict.FOREIGN, f"it is of the deployment {claim.owner.deployment!r}")
    if not claim.owner.is_confirmed_by(job.name):
        return Judgement(Verdict.NOBODYS, "its name does not end in the suffix of the owner in its tags")
    if job.created_at is None or now - job.created_at < min_age:
        return Judgement(Verdict.YOUNG, f"it is younger than {min_age}")
    if claim.owner.is_cut:
        return Judgement(Verdict.UNKNOWN, "the ids of its task are too long to be read off its tags")
    return None
