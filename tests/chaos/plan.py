"""What a chaos campaign does, out of a seed: what is started, and what happens to it, to Airflow, to AWS."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

MODES: dict[str, dict[str, Any]] = {
    "sync": {},
    "deferrable": {"deferrable": True},
    "no_wait": {"wait_for_completion": False},
    "reattach": {"previous_try": "reattach"},
}
"""The arguments of the operator, by the mode's name."""
VARIANTS: dict[str, int] = {"plain": 1, "retry": 1, "mapped": 4}
"""How many task instances a run has, by the variant's name."""
RUNS = {
    "sync": {"plain": 6, "retry": 6},
    "deferrable": {"plain": 6, "retry": 6, "mapped": 7},
    "no_wait": {"plain": 4, "retry": 4, "mapped": 6},
    "reattach": {"plain": 2, "retry": 8},
}
"""How many runs, by mode and variant; tasks that hold a worker are the fewer ones."""
CALM, ROUGH = "calm", "rough"
"""The queues: AWS goes wrong in the second only."""
SPAN_SECONDS = 240.0

USER = {
    "mark_task_failed": 10,
    "mark_task_success": 8,
    "clear_task": 24,
    "mark_run_failed": 6,
    "mark_run_success": 4,
    "clear_run": 10,
    "delete_run": 4,
    "cancel": 12,
    "kill_runner": 12,
    "kill_supervisor": 6,
    "kill_both": 6,
    "term_supervisor": 8,
}
"""What happens to a task or a run, with how many of it there are."""
AIRFLOW = (
    "triggerer_freeze",
    "triggerer_sigkill",
    "triggerer_sigterm",
    "scheduler_sigkill",
    "triggerer_sigkill",
    "scheduler_sigterm",
    "api_server_sigkill",
)
"""What happens to Airflow's own processes, one after the other, the deaths that take workers along last."""
AWS: dict[str, dict[str, Any]] = {
    "throttle": {"kind": "throttle", "probability": 0.6, "lasts": 12},
    "server_error": {"kind": "server_error", "probability": 0.5, "lasts": 10},
    "hang": {"kind": "latency", "seconds": 12, "lasts": 8},
    "slow": {"kind": "latency", "seconds": 2, "lasts": 15},
    "lost_submit": {"kind": "drop_answer", "operation": "SubmitJob", "times": 2},
    "lost_terminate": {"kind": "drop_answer", "operation": "TerminateJob", "times": 2},
    "lost_bulk_terminate": {"kind": "drop_answer", "operation": "TerminateJobs", "times": 2},
    "bulk_errors": {"kind": "bulk_errors", "code": "ThrottlingException", "probability": 0.5, "lasts": 20},
    "lag": {"kind": "visibility_lag", "seconds": 4, "lasts": 30},
    "expired": {"kind": "deny", "code": "ExpiredTokenException", "lasts": 6},
    "rotate": {},
    "clock_jump": {},
}
"""
What AWS does wrong in the rough queue, as the simulator spells it; a jump of Batch's clock is for all, and a
rotation replaces the key in the rough queue's connection and retires the old one.
"""
AWS_EVENTS = 120


@dataclass(frozen=True)
class PlannedRun:
    """
    A run of a DAG.

    :param at: seconds after the beginning
    :param run_seconds: how long its jobs take when nobody stops them
    """

    at: float
    mode: str
    variant: str
    queue: str
    run_seconds: int

    @property
    def dag_id(self) -> str:
        """Return the DAG that is run."""
        return f"chaos__{self.mode}__{self.variant}"


@dataclass(frozen=True)
class PlannedEvent:
    """
    Something that happens.

    :param at: seconds after the beginning
    :param pick: from 0 to 1, which of the runs, tasks or processes that are there then
    """

    at: float
    kind: str
    pick: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """
    A campaign.

    :param runs: to be started
    :param lanes: by name, events that happen one after the other; lanes go on side by side
    """

    seed: int
    runs: tuple[PlannedRun, ...]
    lanes: dict[str, tuple[PlannedEvent, ...]]

    @property
    def tasks(self) -> int:
        """How many task instances the runs have."""
        return sum(VARIANTS[run.variant] for run in self.runs)

    @property
    def events(self) -> int:
        """How many things are to happen."""
        return sum(len(lane) for lane in self.lanes.values())


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed, always the same."""
    dice = random.Random(seed)
    lanes = {"user": _user(dice), "airflow": _airflow(dice), "aws": _aws(dice)}
    return Plan(seed, _runs(dice), lanes)


def _runs(dice: random.Random) -> tuple[PlannedRun, ...]:
    kinds = [
        (mode, variant)
        for mode, variants in RUNS.items()
        for variant, count in variants.items()
        for _ in range(count)
    ]
    dice.shuffle(kinds)
    step = SPAN_SECONDS * 0.7 / len(kinds)
    return tuple(
        PlannedRun(
            at=number * step,
            mode=mode,
            variant=variant,
            queue=dice.choice([CALM, ROUGH]),
            run_seconds=dice.choice([20, 60, 3600, 3600]),
        )
        for number, (mode, variant) in enumerate(kinds)
    )


def _user(dice: random.Random) -> tuple[PlannedEvent, ...]:
    kinds = [kind for kind, count in USER.items() for _ in range(count)]
    dice.shuffle(kinds)
    return _spread(dice, kinds, first=15)


def _airflow(dice: random.Random) -> tuple[PlannedEvent, ...]:
    return _spread(dice, list(AIRFLOW), first=30)


def _aws(dice: random.Random) -> tuple[PlannedEvent, ...]:
    kinds = [dice.choice(list(AWS)) for _ in range(AWS_EVENTS)]
    return _spread(dice, kinds, first=5)


def _spread(dice: random.Random, kinds: list[str], first: float) -> tuple[PlannedEvent, ...]:
    """Return events of these kinds in this order, at random times."""
    times = sorted(dice.uniform(first, SPAN_SECONDS) for _ in kinds)
    return tuple(
        PlannedEvent(at, kind, dice.random(), _details(dice, kind))
        for at, kind in zip(times, kinds, strict=True)
    )


def _details(dice: random.Random, kind: str) -> dict[str, Any]:
    if kind == "clock_jump":
        return {"seconds": dice.choice([1, 5, 20])}
    if kind in ("throttle", "server_error", "hang", "slow"):
        operation = dice.choice(["SubmitJob", "DescribeJobs", "TerminateJob", "TerminateJobs", "ListJobs"])
        return {**AWS[kind], "operation": operation, "queue": ROUGH}
    if kind == "expired":
        return {**AWS[kind], "operation": dice.choice(["SubmitJob", "DescribeJobs"]), "queue": ROUGH}
    return {**AWS[kind], "queue": ROUGH} if AWS.get(kind) else {}
