"""
The cluster policy that turns every stock ``BatchOperator`` into a ``CancellableBatchOperator``.

Airflow imports this module at the start of every process, through the entry point ``airflow.policy``: it
imports nothing that is not there already.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.policies import hookimpl

from airflow_batch_cancel.exceptions import TooOldError

log = logging.getLogger(__name__)

_STOCK = "airflow.providers.amazon.aws.operators.batch.BatchOperator"
_OURS = "airflow_batch_cancel.operators.batch.CancellableBatchOperator"


@hookimpl
def task_policy(task: Any) -> None:
    """
    Adopt a task where ``[batch_cancel] adopt_batch_operators`` says so.

    A subclass of ``BatchOperator`` is left alone: what it overrides could undo what keeps the job from being
    left behind. Never raises: that would keep the DAG from being imported.
    """
    try:
        _adopt(task)
    except Exception as error:
        bug = not isinstance(error, TooOldError)
        log.error("Task %s is not adopted: %s", getattr(task, "task_id", task), error, exc_info=bug)


def _adopt(task: Any) -> None:
    operator_class = task.operator_class if task.is_mapped else type(task)
    names = [f"{base.__module__}.{base.__qualname__}" for base in operator_class.__mro__]
    if _STOCK not in names or _OURS in names:
        return
    from airflow_batch_cancel.settings import adopt_batch_operators

    if not adopt_batch_operators():
        return
    if names[0] != _STOCK:
        log.warning(
            "Task %s is left alone: %s may override what protects its jobs. Derive it from %s instead",
            task.task_id,
            names[0],
            _OURS,
        )
        return
    from airflow_batch_cancel.operators.batch import CancellableBatchOperator

    if task.is_mapped:
        task.operator_class = CancellableBatchOperator
    else:
        task.__class__ = CancellableBatchOperator
