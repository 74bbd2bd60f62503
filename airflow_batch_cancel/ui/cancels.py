"""Cancels that the API server carries out while nobody waits for an answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.utils.session import create_session

from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.owner import Run
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.database import mark_failed
from airflow_batch_cancel.observability import count_outcomes
from airflow_batch_cancel.ui import audit
from airflow_batch_cancel.ui.run_jobs import RunJob

log = logging.getLogger(__name__)

MOST_AT_ONCE = 100
_LOOK_SECONDS = 0.5
_SIGN_OF_LIFE_SECONDS = 15
_TASKS_IN_RECORD = 50


@dataclass(slots=True)
class Cancel:
    """
    One cancel.

    :param user: who asked for it
    :param chosen: the jobs by id
    :param procedures: one for each connection and Region
    :param failed_tasks: the task instances that were marked failed, so that their jobs do not come back
    :param state: ``RUNNING``, ``OVER``, ``INTERRUPTED`` by the end of the API server, ``BROKEN`` by an error
    """

    run: Run
    user: str
    chosen: Mapping[str, RunJob]
    procedures: list[StopProcedure]
    cancel_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    failed_tasks: frozenset[tuple[str, int]] = frozenset()
    state: str = "RUNNING"
    error: str = ""

    def step(self) -> bool:
        """Make a step of each procedure that is not over, and return whether all are."""
        steps = [not one.unsettled or one.step() for one in self.procedures]
        self._fail_tasks()
        return all(steps)

    @property
    def settled(self) -> int:
        """How many jobs there is nothing to wait for any more."""
        return sum(len(one.progress) - len(one.unsettled) for one in self.procedures)

    @property
    def instance(self) -> tuple[str, int] | None:
        """The task instance, when all the jobs are of the same one."""
        of = {(row.instance.task_id, row.instance.map_index) for row in self.chosen.values()}
        return of.pop() if len(of) == 1 else None

    def report(self) -> CancelReport:
        """Return what has become of all the jobs so far."""
        return merge([one.report() for one in self.procedures])

    def record(self) -> dict[str, Any]:
        """Return who, why and how far; each job's outcome when it is over."""
        policy = self.procedures[0].policy if self.procedures else None
        after = policy.terminate_after if policy else None
        record = {
            "cancel_id": self.cancel_id,
            "state": self.state,
            "user": self.user,
            "reason": policy.reason if policy else "",
            "terminate_after": after.total_seconds() if after is not None else None,
            "settled": self.settled,
            "total": len(self.chosen),
            "failed_tasks": sorted(self.failed_tasks)[:_TASKS_IN_RECORD],
            "error": self.error[:1000],
        }
        return record if self.state == "RUNNING" else {**record, **audit.outcomes(self.report())}

    def _fail_tasks(self) -> None:
        """Mark the tasks failed that would submit again, once AWS Batch has accepted to stop their jobs."""
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


class Cancels:
    """
    The cancels that this process carries out, as tasks of its event loop: a long drain holds no thread.

    How far they are is read from the audit log, by whichever process is asked.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        """Whether as many cancels run as may run at once."""
        return len(self._tasks) >= MOST_AT_ONCE

    async def start(self, cancel: Cancel) -> None:
        """Begin to carry a cancel out, once it is on record."""
        row_id = await asyncio.to_thread(audit.begin, cancel.run, cancel.record(), cancel.instance)
        task = asyncio.create_task(_carry_out(cancel, row_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what still runs, as the API server ends: what AWS was asked for goes on, no more is asked."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def merge(reports: list[CancelReport]) -> CancelReport:
    """Return several reports as one."""
    if not reports:
        return CancelReport(reason="")
    rows = tuple(row for report in reports for row in report.rows)
    first = reports[0]
    return CancelReport(first.reason, rows, first.dry_run, first.waited, max(r.seconds for r in reports))


async def _carry_out(cancel: Cancel, row_id: int) -> None:
    log.info(
        "Cancel %s of %d jobs of %s, by %s", cancel.cancel_id, len(cancel.chosen), cancel.run, cancel.user
    )
    ended = asyncio.Event()
    telling = asyncio.create_task(_tell(cancel, row_id, ended))
    try:
        while not await asyncio.to_thread(cancel.step):
            await asyncio.sleep(min(one.pause for one in cancel.procedures if one.unsettled))
        cancel.state = "OVER"
    except asyncio.CancelledError:
        cancel.state, cancel.error = "INTERRUPTED", "the API server was stopped before the cancel was over"
        raise
    except Exception as error:
        cancel.state, cancel.error = "BROKEN", f"{type(error).__name__}: {error}"
        log.exception("Cancel %s is broken", cancel.cancel_id)
    finally:
        ended.set()
        await telling
        report = cancel.report()
        count_outcomes(report)
        log.info("Cancel %s: %s", cancel.cancel_id, report.summary())


async def _tell(cancel: Cancel, row_id: int, ended: asyncio.Event) -> None:
    """Keep the record up to date: when something has changed, now and then as a sign of life, at the end."""
    told, at = (cancel.settled, cancel.error), time.monotonic()
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _LOOK_SECONDS)
        now = (cancel.settled, cancel.error)
        if ended.is_set() or now != told or time.monotonic() - at > _SIGN_OF_LIFE_SECONDS:
            await asyncio.to_thread(_write, cancel, row_id)
            told, at = now, time.monotonic()


def _write(cancel: Cancel, row_id: int) -> None:
    try:
        audit.update(row_id, cancel.record())
    except Exception:  # the jobs are to be stopped even when the database is away
        log.exception("Cancel %s: its record can not be written", cancel.cancel_id)
