"""The ``[batch_cancel]`` section of Airflow's configuration, read in one place."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

from airflow_batch_cancel.exceptions import ArgumentError

SECTION = "batch_cancel"
_LONGEST_KILL_SECONDS = 4.5


def deployment_id() -> str:
    """Return the name that tells this Airflow's jobs from those of another one; empty when it is not set."""
    return str(conf.get(SECTION, "deployment_id", fallback="")).strip()


def adopt_batch_operators() -> bool:
    """Return whether every stock ``BatchOperator`` is to behave as a ``CancellableBatchOperator``."""
    return bool(conf.getboolean(SECTION, "adopt_batch_operators", fallback=False))


def poll_interval_seconds() -> float:
    """Return how often, at most, one triggerer looks at the jobs of deferred tasks."""
    return _seconds("poll_interval", 5.0, 0.1, float("inf"))


def kill_budget_seconds() -> float:
    """Return how long ``on_kill`` may take in a worker; Airflow ends the process after five seconds."""
    return _seconds("kill_budget", 4.0, 1.0, _LONGEST_KILL_SECONDS)


def sweep_min_age_seconds() -> float:
    """Return how old a job must be before a sweep judges it."""
    return _seconds("sweep_min_age", 60.0, 0.0, float("inf"))


def sweep_max_jobs() -> int:
    """Return how many jobs one sweep may stop; when it would stop more, it stops none."""
    value = conf.getint(SECTION, "sweep_max_jobs", fallback=100)
    if value < 1:
        raise ArgumentError("[batch_cancel] sweep_max_jobs", value, "a whole number above 0")
    return int(value)


def _seconds(option: str, default: float, least: float, most: float) -> float:
    value = conf.getfloat(SECTION, option, fallback=default)
    if not least <= value <= most:
        expected = f"seconds from {least:g}" + (f" to {most:g}" if most < float("inf") else "")
        raise ArgumentError(f"[batch_cancel] {option}", value, expected)
    return float(value)
