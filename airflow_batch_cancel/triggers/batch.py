"""Waiting in the triggerer: for jobs to end, and for a cancel to take effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import CancelReport, observe
from airflow_batch_cancel.hooks.batch import BatchCancelHook


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
        procedure = await asyncio.to_thread(self._procedure)
        while not await asyncio.to_thread(procedure.step):
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
        while True:
            report = await asyncio.to_thread(self._look)
            if report.over(time.time() >= self.missing_deadline):
                yield TriggerEvent({"status": "success", "report": report.as_dict()})
                return
            self.log.info("%s; looking again in %s s", report.summary(), self.poll_interval)
            await asyncio.sleep(self.poll_interval)

    def _look(self) -> CancelReport:
        described = self.hook.gateway.describe(self.job_ids)
        return observe(self.job_ids, described.jobs, described.errors)
