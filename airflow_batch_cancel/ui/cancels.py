"""Cancels that the API server carries out while nobody waits for an answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.owner import Run
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.database import mark_failed
from airflow_batch_cancel.ui.run_jobs import RunJob

log = logging.getLogger(__name__)

AUDIT_EVENT = "batch_jobs.cancel"
"""The event of the audit log's rows."""
MOST_AT_ONCE = 100
_KEPT_SECONDS = 3600
_ROWS_IN_AUDIT = 100


@dataclass(slots=True)
class Cancel:
    """
    One cancel.

    :param user: who asked for it
    :param chosen: the jobs by id
    :param procedures: one for each connection and Region
    :param failed_tasks: the task instances that were marked failed, so that their jobs do not come back
    :param state: ``RUNNING``, ``OVER``, ``INTERRUPTED`` by the end of the API server, or ``BROKEN`` by an error
    """

    run: Run
    user: str
    chosen: Mapping[str, RunJob]
    procedures: list[StopProcedure]
    cancel_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    failed_tasks: set[tuple[str, int]] = field(default_factory=set)
    state: str = "RUNNING"
    error: str = ""
    ended: float = 0.0

    def step(self) -> bool:
        """Make a step of each procedure that is not over, and return whether all are."""
        over = all([not one.unsettled or one.step() for one in self.procedures])
        self._fail_tasks()
        return over

    def _fail_tasks(self) -> None:
        """Mark the tasks failed that would submit again, once AWS Batch has accepted the stop of their jobs."""
        accepted = {
            job_id for one in self.procedures for job_id, progress in one.progress.items() if progress.asked
        }
        due = {
            (row.instance.task_id, row.instance.map_index)
            for job_id, row in self.chosen.items()
            if row.is_retried and job_id == row.job_id and job_id in accepted
        } - self.failed_tasks
        if not due:
            return
        self.failed_tasks |= due
        try:
            with create_session() as session:
                mark_failed(session, self.run, due)
        except Exception as error:  # the jobs are to be stopped whatever becomes of their tasks
            log.exception("Cancel %s: tasks can not be marked failed", self.cancel_id)
            self.error = f"tasks can not be marked failed, and may submit other jobs: {error}"

    def as_dict(self) -> dict[str, Any]:
        """Return what the page shows: totals while it runs, each job's outcome when it is over."""
        report = merge([one.report() for one in self.procedures]).as_dict()
        if self.state == "RUNNING":
            del report["jobs"], report["totals"], report["ok"]
        settled = sum(len(one.progress) - len(one.unsettled) for one in self.procedures)
        answer = {"cancel_id": self.cancel_id, "state": self.state, "user": self.user, "error": self.error}
        return {**answer, "settled": settled, "total": len(self.chosen), **report}

    def audit_row(self) -> Log:
        """Return the row for Airflow's audit log: who, why, and what became of it."""
        answer = self.as_dict()
        rows = answer.pop("jobs")
        after = self.procedures[0].policy.terminate_after if self.procedures else timedelta(0)
        answer["terminate_after"] = None if after is None else after.total_seconds()
        answer["jobs"] = {row["job_id"]: row["outcome"] for row in rows[:_ROWS_IN_AUDIT]}
        report = merge([one.report() for one in self.procedures])
        answer["failed_tasks"] = sorted(self.failed_tasks)[:_ROWS_IN_AUDIT]
        answer["not_stopped"] = [row.describe() for row in report.failed[:_ROWS_IN_AUDIT]]
        of = {(row.instance.task_id, row.instance.map_index) for row in self.chosen.values()}
        task = dict(zip(("task_id", "map_index"), next(iter(of)), strict=True)) if len(of) == 1 else {}
        return Log(
            event=AUDIT_EVENT,
            owner=self.user,
            owner_display_name=self.user,
            extra=json.dumps(answer),
            dag_id=self.run.dag_id,
            run_id=self.run.run_id,
            **task,
        )


class Cancels:
    """The cancels of this API server, as tasks of its event loop: a long drain holds no thread."""

    def __init__(self) -> None:
        self._cancels: dict[str, Cancel] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def full(self) -> bool:
        """Whether as many cancels run as may run at once."""
        return len(self._tasks) >= MOST_AT_ONCE

    def start(self, cancel: Cancel) -> None:
        """Begin to carry a cancel out."""
        self._forget_old()
        self._cancels[cancel.cancel_id] = cancel
        task = asyncio.create_task(self._carry_out(cancel))
        self._tasks[cancel.cancel_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(cancel.cancel_id, None))

    def find(self, cancel_id: str, run: Run) -> Cancel | None:
        """Return a cancel of a run that this server began within the last hour."""
        found = self._cancels.get(cancel_id)
        return found if found and found.run == run else None

    async def stop(self) -> None:
        """End what still runs, as the API server ends: what AWS was asked for goes on, the rest is not asked."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, cancel: Cancel) -> None:
        log.info(
            "Cancel %s of %d jobs of %s in %s, asked for by %s",
            cancel.cancel_id,
            len(cancel.chosen),
            cancel.run.run_id,
            cancel.run.dag_id,
            cancel.user,
        )
        try:
            while not await asyncio.to_thread(cancel.step):
                await asyncio.sleep(min(one.pause for one in cancel.procedures if one.unsettled))
            cancel.state = "OVER"
        except asyncio.CancelledError:
            cancel.state, cancel.error = (
                "INTERRUPTED",
                "the API server was stopped before the cancel was over",
            )
            raise
        except Exception as error:
            cancel.state, cancel.error = "BROKEN", f"{type(error).__name__}: {error}"
            log.exception("Cancel %s is broken", cancel.cancel_id)
        finally:
            cancel.ended = time.monotonic()
            await asyncio.shield(asyncio.to_thread(_write, cancel))

    def _forget_old(self) -> None:
        now = time.monotonic()
        for one in list(self._cancels.values()):
            if one.state != "RUNNING" and now - one.ended > _KEPT_SECONDS:
                del self._cancels[one.cancel_id]


def audit_log_of(session: Session, run: Run) -> list[dict[str, Any]]:
    """Return what the audit log says of the cancels of a run, on whichever API server, the newest first."""
    query = select(Log.extra).where(
        Log.event == AUDIT_EVENT, Log.dag_id == run.dag_id, Log.run_id == run.run_id
    )
    return [json.loads(extra or "{}") for extra in session.scalars(query.order_by(Log.id.desc()))]


def merge(reports: list[CancelReport]) -> CancelReport:
    """Return several reports as one."""
    if not reports:
        return CancelReport(reason="")
    rows = tuple(row for report in reports for row in report.rows)
    first = reports[0]
    return CancelReport(first.reason, rows, first.dry_run, first.waited, max(r.seconds for r in reports))


def _write(cancel: Cancel) -> None:
    with create_session() as session:
        session.add(cancel.audit_row())
    log.info("Cancel %s: %s", cancel.cancel_id, merge([one.report() for one in cancel.procedures]).summary())
