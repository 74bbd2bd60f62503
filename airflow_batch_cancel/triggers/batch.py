"""Waiting in the triggerer: for jobs to end, and for a cancel to take effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_batch_cancel.aws.stop import MISSING_GRACE, StopProcedure
from airflow_batch_cancel.compat import triggers_are_told_of_kills
from airflow_batch_cancel.core.jobs import JobStatus
from airflow_batch_cancel.core.owner import Owner, PreviousTry
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import NOT_FOUND_MESSAGE, observe
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.triggers.shared import Kill, Look, in_thread, shared_describer, shared_killer

_ERRORS_IN_A_ROW = 3
"""After how many looks with an error a task gives up."""


class BatchTrigger(BaseTrigger):
    """
    What the triggers here share: the arguments of the hook.

    The gateway is a blocking one, and runs in threads.

    :param connection: the keyword arguments of :class:`~airflow_batch_cancel.hooks.batch.BatchCancelHook`
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        super().__init__()
        self.connection = dict(connection)

    @cached_property
    def hook(self) -> BatchCancelHook:
        """The hook, made when first needed, in a thread: it looks the connection up."""
        return BatchCancelHook(**self.connection)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"connection": self.connection, **self.arguments()}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments besides the connection."""
        raise NotImplementedError


class BatchCancelTrigger(BatchTrigger):
    """
    Carry on a stop that the worker has begun, until it is over; the event holds the report.

    :param procedure: what :meth:`StopProcedure.as_dict` gave
    :param reason: the policy's
    :param terminate_after: the policy's, in seconds
    :param timeout: the policy's, in seconds
    :param poll_interval: the policy's, in seconds
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        procedure: Mapping[str, Any],
        reason: str,
        terminate_after: float | None,
        timeout: float,
        poll_interval: float,
    ) -> None:
        super().__init__(connection)
        self.procedure = procedure
        self.reason = reason
        self.terminate_after = terminate_after
        self.timeout = timeout
        self.poll_interval = poll_interval

    @classmethod
    def carry_on(cls, procedure: StopProcedure, connection: Mapping[str, Any]) -> BatchCancelTrigger:
        """Return the trigger that takes over a procedure."""
        policy = procedure.policy
        after = policy.terminate_after
        return cls(
            connection=connection,
            procedure=procedure.as_dict(),
            reason=policy.reason,
            terminate_after=None if after is None else after.total_seconds(),
            timeout=policy.timeout.total_seconds(),
            poll_interval=policy.poll_interval.total_seconds(),
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments besides the connection."""
        names = ("procedure", "reason", "terminate_after", "timeout", "poll_interval")
        return {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Step until the stop is over."""
        procedure = await in_thread(self._procedure)
        while not await in_thread(procedure.step):
            await asyncio.sleep(procedure.pause)
        yield TriggerEvent({"status": "success", "report": procedure.report().as_dict()})

    def _procedure(self) -> StopProcedure:
        after = self.terminate_after
        policy = Policy(
            reason=self.reason,
            terminate_after=None if after is None else timedelta(seconds=after),
            timeout=timedelta(seconds=self.timeout),
            poll_interval=timedelta(seconds=self.poll_interval),
        )
        return StopProcedure.from_dict(self.hook.gateway, policy, self.procedure)


class BatchJobsEndedTrigger(BatchTrigger):
    """
    Wait until all of some jobs have ended. Only looks.

    :param job_ids: normalised ids
    :param poll_interval: seconds between two looks
    :param missing_deadline: when a job that can not be found becomes an error, in seconds since the epoch
    """

    def __init__(
        self, connection: Mapping[str, Any], job_ids: list[str], poll_interval: float, missing_deadline: float
    ) -> None:
        super().__init__(connection)
        self.job_ids = job_ids
        self.poll_interval = poll_interval
        self.missing_deadline = missing_deadline

    def arguments(self) -> dict[str, Any]:
        """Return the arguments besides the connection."""
        return {name: getattr(self, name) for name in ("job_ids", "poll_interval", "missing_deadline")}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until every job has ended, or one can not be found."""
        describer = shared_describer(self.connection, self.poll_interval)
        while True:
            looks = await asyncio.gather(*(describer.look(job_id) for job_id in self.job_ids))
            seen = dict(zip(self.job_ids, looks, strict=True))
            jobs = {job_id: look.job for job_id, look in seen.items() if look.job}
            errors = {job_id: look.error for job_id, look in seen.items() if look.error}
            report = observe(self.job_ids, jobs, errors)
            if report.over(time.time() >= self.missing_deadline):
                yield TriggerEvent({"status": "success", "report": report.as_dict()})
                return
            self.log.info("%s; looking again in %s s", report.summary(), self.poll_interval)


class CancellableBatchTrigger(BatchTrigger):
    """
    Wait for the job of a deferred task, and stop it when the task is killed.

    :param job_id: the job
    :param owner: the fields of its :class:`~airflow_batch_cancel.core.owner.Owner`
    :param poll_interval: seconds between two looks
    :param max_attempts: how many looks at a living job the task waits
    :param cancel_on_kill: False leaves the job alone when the task is killed
    :param previous_try: what the next try does with the job, see ``CancellableBatchOperator``
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        job_id: str,
        owner: Mapping[str, Any],
        poll_interval: float,
        max_attempts: int,
        cancel_on_kill: bool = True,
        previous_try: str = PreviousTry.CANCEL,
    ) -> None:
        super().__init__(connection)
        self.job_id = job_id
        self.owner = dict(owner)
        self.poll_interval = poll_interval
        self.max_attempts = max_attempts
        self.cancel_on_kill = cancel_on_kill
        self.previous_try = previous_try

    def arguments(self) -> dict[str, Any]:
        """Return the arguments besides the connection."""
        names = ("job_id", "owner", "poll_interval", "max_attempts", "cancel_on_kill", "previous_try")
        return {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the job has ended; the event is what ``BatchOperator.execute_complete`` expects."""
        if self.cancel_on_kill:
            shared_killer(self.connection).get_ready(Owner(**self.owner))
        try:
            error = await self._wait()
        except asyncio.CancelledError:
            if not triggers_are_told_of_kills():
                await self.on_kill()
            raise
        status = {"status": "error", "message": error} if error else {"status": "success"}
        yield TriggerEvent({**status, "job_id": self.job_id})

    async def on_kill(self) -> None:
        """
        Stop the job, unless the task turns out to be alive.

        Airflow cancels this after about a second (it repeats the cancel that led here), and calls it for a
        trigger that was handed to another triggerer, too: the stop goes on without it, and asks first.
        """
        if not self.cancel_on_kill:
            self.log.info(
                "The task is killed; cancel_on_kill=False leaves AWS Batch job %s alone", self.job_id
            )
            return
        self.log.info("The task is killed while deferred: its AWS Batch job %s is stopped", self.job_id)
        kill = Kill(self.job_id, Owner(**self.owner), PreviousTry(self.previous_try))
        await shared_killer(self.connection).stop(kill)

    async def _wait(self) -> str:
        """Return what is wrong with the end of the job; nothing, when it has succeeded."""
        describer = shared_describer(self.connection, self.poll_interval)
        patience = _Patience(self.max_attempts)
        while True:
            look = await describer.look(self.job_id)
            if look.error is not None:
                self.log.warning("%s", look.error)
            if look.job is not None and look.job.status is JobStatus.SUCCEEDED:
                return ""
            if problem := patience.ends(look, time.monotonic()):
                return problem


@dataclass(slots=True)
class _Patience:
    """
    How long to go on looking at a job.

    :param looks_left: at a living job
    :param errors: in a row
    :param missing_since: when the job was first not found
    """

    looks_left: int
    errors: int = 0
    missing_since: float | None = None

    def ends(self, look: Look, now: float) -> str:
        """Return why there is nothing more to wait for; nothing, to go on."""
        self.errors = self.errors + 1 if look.error else 0
        if look.error:
            return str(look.error) if self.errors == _ERRORS_IN_A_ROW else ""
        if look.job is None:
            self.missing_since = self.missing_since or now
            return NOT_FOUND_MESSAGE if now - self.missing_since > MISSING_GRACE.total_seconds() else ""
        if look.job.finished:
            return f"the job is {look.job.status}: {look.job.status_reason or 'no reason given'}"
        self.looks_left -= 1
        if self.looks_left > 0:
            return ""
        return f"the job is {look.job.status} still, after as many looks as max_retries allows"
