"""How the tasks of the kill matrix are set up; read by its DAGs, too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

MODES: dict[str, dict[str, Any]] = {
    "sync": {},
    "deferrable": {"deferrable": True},
    "no-wait": {"wait_for_completion": False},
    "reattach": {"previous_try": "reattach"},
}
"""The arguments of the operator, by the mode's name."""

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "delete": {},
    "pause": {},
    "retry": {"task": {"retries": 1}},
    "retries": {"task": {"retries": 5, "retry_delay": timedelta(seconds=20)}},
    "run_timeout": {"dagrun_timeout": timedelta(seconds=30)},
    "timeout": {"task": {"execution_timeout": timedelta(seconds=15)}},
    "timeout_retry": {"task": {"execution_timeout": timedelta(seconds=15), "retries": 1}},
    "timeout_in_submit": {"task": {"execution_timeout": timedelta(seconds=25)}},
    "polls": {"task": {"max_retries": 3}},
    "fail_fast": {"fail_fast": True},
    "mapped": {"mapped": True},
}
"""The DAG and its task, by the variant's name."""

_TROUBLED = (
    "submit-slow",
    "submit-slower",
    "submit-lost",
    "terminate-slow",
    "terminate-throttled",
    "terminate-failing",
    "describe-failing",
    "describe-throttled",
    "describe-denied",
    "full",
)
QUEUES = tuple(f"{name}-{mode}" for name in _TROUBLED for mode in MODES)
"""Queues of their own for the rows in which AWS misbehaves; in a full one no job starts."""
