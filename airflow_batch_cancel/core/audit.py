"""The audit line: every stop that no person asked for leaves one, in a shape that can be searched for."""

from __future__ import annotations

import json
import logging
from enum import StrEnum

log = logging.getLogger("airflow_batch_cancel.audit")


class DecidedBy(StrEnum):
    """What decided that a job is to be stopped."""

    ON_KILL_WORKER = "on_kill_worker"
    """Its task was killed in a worker."""
    ON_KILL_TRIGGERER = "on_kill_triggerer"
    """Its task was killed while deferred."""
    TASK_ERROR = "task_error"
    """Its task ended with an error."""
    EARLIER_TRY = "earlier_try"
    """A later try of its task is about to submit, or has another job: it came of a lost SubmitJob answer."""
    NOTIFIER = "notifier"
    """A callback about its task or its DAG run."""
    SWEEP = "sweep"
    """Airflow no longer wants it alive."""


def audit(decided_by: DecidedBy, job_id: str, owner: str, why: str, result: str = "accepted") -> None:
    """
    Write the audit line of one stop.

    It is ``batch_cancel.stop`` and five ``key=value`` pairs, the values as JSON strings: what an id or a
    reason holds can not end the line or forge a pair.

    :param owner: as people read it
    :param result: ``asked`` before the answer is known, ``accepted``, or what AWS Batch answered instead
    """
    fields = {"job": job_id, "owner": owner, "decided_by": str(decided_by), "result": result, "why": why}
    pairs = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
    level = logging.INFO if result in ("asked", "accepted") else logging.ERROR
    log.log(level, "batch_cancel.stop %s", pairs)
