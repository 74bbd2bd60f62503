"""The hook with which an owned job is submitted, and killed when there is no time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from logging import Logger
from typing import Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_batch_cancel.aws.errors import translate

KILL_BUDGET_SECONDS = 4.0
"""Airflow kills a task five seconds after it has asked it to end (``escalation_delay`` in its supervisor)."""
_KILL_READ_TIMEOUT_SECONDS = 1.9


class BatchSubmitHook(BatchClientHook):
    """
    The amazon provider's Batch hook, with a say in SubmitJob's parameters and in what becomes of its answer.

    :param before_submit: is given SubmitJob's parameters, and returns those to call it with
    :param after_submit: is given the id of the job as soon as SubmitJob has answered
    """

    before_submit: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    after_submit: Callable[[str], None] | None = None

    @property
    def client(self) -> Any:
        """The botocore client, through which an owned job is submitted."""
        return _SubmittingClient(self, self.conn)

    def kill_client(self) -> Any:
        """
        Return a client of its own for the kill: short timeouts, and its credentials resolved.

        A kill interrupts whatever the main thread does, perhaps a call with the other client.
        """
        config = Config(
            connect_timeout=1, read_timeout=_KILL_READ_TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
        )
        client = self.get_client_type(config=config)
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
        if self._hook.before_submit:
            parameters = self._hook.before_submit(parameters)
        answer = self._client.submit_job(**parameters)
        if self._hook.after_submit:
            self._hook.after_submit(answer["jobId"])
        return answer


def kill_now(client: Any, job_id: str, reason: str, log: Logger) -> None:
    """
    Terminate one job at once, as often as it takes within the kill budget. Raises nothing.

    :param client: from :meth:`BatchSubmitHook.kill_client`
    """
    last_call = time.monotonic() + KILL_BUDGET_SECONDS - _KILL_READ_TIMEOUT_SECONDS
    pause = 0.1
    while True:
        try:
            client.terminate_job(jobId=job_id, reason=reason)
        except (ClientError, BotoCoreError) as raised:
            error = translate("TerminateJob", raised)
        else:
            log.info("Asked AWS Batch to terminate job %s: %s", job_id, reason)
            return
        if not error.retryable or time.monotonic() + pause > last_call:
            log.error("AWS Batch job %s could not be terminated: %s", job_id, error)
            return
        time.sleep(pause)
        pause *= 2
