"""The ``[batch_cancel]`` section of Airflow's configuration, read in one place."""

from __future__ import annotations

from airflow_batch_cancel.compat import AirflowConfigException, conf
from airflow_batch_cancel.core.owner import TAG_VALUE_LENGTH, encode_tag_value, is_cut
from airflow_batch_cancel.exceptions import ArgumentError

SECTION = "batch_cancel"
_LONGEST_KILL_SECONDS = 4.5
_LONGEST_SECONDS = 30 * 24 * 3600.0
_MOST_JOBS = 1_000_000


def deployment_id() -> str:
    """Return the name that tells this Airflow's jobs from those of another one; empty when it is not set."""
    name = str(conf.get(SECTION, "deployment_id", fallback="")).strip()
    if is_cut(encode_tag_value(name)):
        raise _refused("deployment_id", f"a name that fits into a tag, {TAG_VALUE_LENGTH} characters")
    return name


def adopt_batch_operators() -> bool:
    """Return whether every stock ``BatchOperator`` is to behave as a ``CancellableBatchOperator``."""
    try:
        return bool(conf.getboolean(SECTION, "adopt_batch_operators", fallback=False))
    except AirflowConfigException:
        raise _refused("adopt_batch_operators", "True or False") from None


def poll_interval_seconds() -> float:
    """Return how often, at most, one triggerer looks at the jobs of deferred tasks."""
    return _seconds("poll_interval", 5.0, 0.1, _LONGEST_SECONDS)


def kill_budget_seconds() -> float:
    """Return how long ``on_kill`` may take in a worker; Airflow ends the process after five seconds."""
    return _seconds("kill_budget", 4.0, 1.0, _LONGEST_KILL_SECONDS)


def sweep_min_age_seconds() -> float:
    """Return how old a job must be before a sweep judges it."""
    return _seconds("sweep_min_age", 60.0, 0.0, _LONGEST_SECONDS)


def sweep_max_jobs() -> int:
    """Return how many jobs one sweep may stop; when it would stop more, it stops none."""
    return int(_number("sweep_max_jobs", 100, int, 1, _MOST_JOBS, "a whole number"))


def _seconds(option: str, default: float, least: float, most: float) -> float:
    return _number(option, default, float, least, most, "seconds")


def _number(
    option: str, default: float, kind: type[int] | type[float], least: float, most: float, what: str
) -> float:
    try:
        value = kind(conf.get(SECTION, option, fallback=default))
    except ValueError:
        value = kind(-1)
    if not least <= value <= most:
        raise _refused(option, f"{what} from {least:g} to {most:g}")
    return value


def _refused(option: str, expected: str) -> ArgumentError:
    return ArgumentError(f"[{SECTION}] {option}", conf.get(SECTION, option), expected)
