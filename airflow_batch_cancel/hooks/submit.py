"""The hook with which an owned job is submitted, and killed when there is no time left."""

from __future__ import annotations

import time
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from botocore.config import Config

from airflow_batch_cancel.aws.errors import AWS_ERRORS, translate

if TYPE_CHECKING:
    from airflow_batch_cancel.hooks.owned_job import OwnedJob

_KILL_READ_TIMEOUT_SECONDS = 1.9


class BatchSubmitHook(BatchClientHook):
    """
    The amazon provider's Batch hook, whose SubmitJob brings an owned job into being.

    :param owned_job: the job that SubmitJob is about
    """

    owned_job: OwnedJob | None = None

    @property
    def client(self) -> Any:
        """The botocore client, through which an owned job is submitted."""
        return _SubmittingClient(self, self.conn)

    def submit_client(self) -> Any:
        """Return a client that does not repeat calls by itself."""
        return self.get_client_type(config=self.config.merge(Config(retries={"total_max_attempts": 1})))

    def kill_client(self) -> Any:
        """
        Return a client of its own for the kill: short timeouts, and its credentials resolved.

        A kill interrupts whatever the main thread does, perhaps a call with the other client.
        """
        short = Config(
            connect_timeout=1, read_timeout=_KILL_READ_TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
        )
        client = self.get_client_type(config=self.config.merge(short))
        credentials = client._request_signer._credentials
        if credentials is not None:
            credentials.get_frozen_credentials()
        return client


class _SubmittingClient:
    """A botocore client but for ``submit_job``."""

    def __init__(self, hook: BatchSubmitHook, client: Any) -> None:
        self._hook = hook
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit_job(self, **parameters: Any) -> Any:
        if self._hook.owned_job is None:
            return self._client.submit_job(**parameters)
        job_id = self._hook.owned_job.submit(self._hook.submit_client(), parameters)
        return {"jobId": job_id, "jobName": parameters["jobName"]}


def kill_now(client: Any, job_id: str, reason: str, log: Logger, budget_seconds: float) -> None:
    """
    Terminate one job at once, as often as it takes within the budget. Raises nothing.

    :param client: from :meth:`BatchSubmitHook.kill_client`
    :param budget_seconds: Airflow kills a task five seconds after it has asked it to end
        (``escalation_delay`` in its supervisor)
    """
    last_call = time.monotonic() + budget_seconds - _KILL_READ_TIMEOUT_SECONDS
    pause = 0.1
    while True:
        try:
            client.terminate_job(jobId=job_id, reason=reason)
        except AWS_ERRORS as raised:
            error = translate("TerminateJob", raised)
        else:
            log.info("Asked AWS Batch to terminate job %s: %s", job_id, reason)
            return
        if not error.retryable or time.monotonic() + pause > last_call:
            log.error("AWS Batch job %s could not be terminated: %s", job_id, error)
            return
        time.sleep(pause)
        pause *= 2
