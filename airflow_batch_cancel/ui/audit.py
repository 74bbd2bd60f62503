"""Cancels in Airflow's audit log: a row each, which one process keeps up to date and all can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_batch_cancel.core.owner import Run
from airflow_batch_cancel.core.report import CancelReport, JobOutcome

ENDED = "batch_jobs.cancel"
"""The event of a cancel that is over: what the audit log is for."""
UNDER_WAY = "batch_jobs.cancel_under_way"
"""The event of the same row until then."""
SILENCE = timedelta(seconds=60)
"""After so long without a word, the process that carried a cancel out is taken for dead."""
_JOBS_LENGTH = 30_000
"""MySQL keeps 64 kB in the column."""


def begin(run: Run, record: Mapping[str, Any], instance: tuple[str, int] | None) -> int:
    """
    Write the row of a cancel that is to begin, and return its id.

    :param record: who, why, and how far it is
    :param instance: the task instance, when all the jobs are of the same one
    """
    task_id, map_index = instance or (None, None)
    row = Log(event=UNDER_WAY, owner=record["user"], owner_display_name=record["user"])
    row.dag_id, row.run_id, row.task_id, row.map_index = run.dag_id, run.run_id, task_id, map_index
    row.extra = json.dumps(record)
    with create_session() as session:
        session.add(row)
        session.flush()
        return row.id


def update(row_id: int, record: Mapping[str, Any]) -> None:
    """Write how far a cancel is now; the row becomes one of the audit log's when it is over."""
    with create_session() as session:
        row = session.get(Log, row_id)
        if row is None:
            raise LookupError(f"the row {row_id} of the audit log was removed")
        row.event = UNDER_WAY if record["state"] == "RUNNING" else ENDED
        row.dttm = datetime.now(UTC)
        row.extra = json.dumps(record)


def cancels_of(session: Session, run: Run) -> list[dict[str, Any]]:
    """Return the cancels of a run, whichever API server carries them out, the newest first."""
    query = select(Log.event, Log.dttm, Log.extra).where(
        Log.event.in_((ENDED, UNDER_WAY)), Log.dag_id == run.dag_id, Log.run_id == run.run_id
    )
    return [_read(*row) for row in session.execute(query.order_by(Log.id.desc()))]


def outcomes(report: CancelReport) -> dict[str, Any]:
    """Return a report for a record: the jobs that are not stopped first, and as many as there is room for."""
    failed = {row.job_id for row in report.failed}
    room = _JOBS_LENGTH
    jobs = []
    for row in sorted(report.rows, key=lambda row: row.job_id not in failed):
        written = _row(row, report.reason)
        room -= len(json.dumps(written)) + 2
        if room < 0:
            break
        jobs.append(written)
    return {
        "ok": report.ok,
        "seconds": round(report.seconds, 3),
        "totals": report.totals,
        "jobs": jobs,
        "jobs_left_out": len(report.rows) - len(jobs),
    }


def _row(row: JobOutcome, reason: str) -> dict[str, str]:
    why = row.message or (row.status_reason if row.status_reason != reason else "")
    return {
        "job_id": row.job_id,
        "job_name": row.job_name,
        "outcome": str(row.outcome or ""),
        "message": why[:1000],
    }


def _read(event: str, dttm: datetime | None, extra: str | None) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(extra or "{}")
    if event == UNDER_WAY and dttm is not None and datetime.now(UTC) - dttm > SILENCE:
        error = f"nothing was heard for {SILENCE.seconds} s of the API server that carried it out"
        record.update(state="INTERRUPTED", ok=False, error=error)
    return record
