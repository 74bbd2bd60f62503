"""The hook with which an owned job is submitted, and killed when there is no time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_batch_cancel.aws.errors import AWS_ERRORS, translate
from airflow_batch_cancel.exceptions import AccessDeniedError
from airflow_batch_cancel.hooks.base import BatchBaseHook

if TYPE_CHECKING:
    from airflow_batch_cancel.hooks.owned_job import OwnedJob

_KILL_READ_TIMEOUT_SECONDS = 1.9


class BatchSubmitHook(BatchBaseHook, BatchClientHook):
    """
    The amazon provider's Batch hook, whose SubmitJob brings an owned job into being.

    :param owned_job: the job that SubmitJob is about
    """

    owned_job: OwnedJob | None = None

    @property
    def client(self) -> Any:
        """The botocore client, through which an owned job is submitted."""
        return _SubmittingClient(self, self.conn)

    def get_job_description(self, job_id: str) -> dict[str, Any]:
        """Describe a job; where the credentials are refused, with those that the connection has now."""
        try:
            return dict(super().get_job_description(job_id))
        except ClientError as raised:
            error = translate("DescribeJobs", raised)
            if not isinstance(error, AccessDeniedError):
                raise
            self.log.warning("%s; looking again with what the connection says now", error)
        self.new_conn()
        if self.owned_job is not None:
            self.owned_job.kill_client = self.kill_client()
        return dict(super().get_job_description(job_id))

    def submit_client(self) -> Any:
        """Return a client of the connection as it is now, that does not repeat calls by itself."""
        self.forget_connection()
        return self.get_client_type(config=self.config.merge(Config(retries={"total_max_attempts": 1})))

    def kill_client(self) -> Any:
        """
        Return a client of its own for the kill: short timeouts, and its credentials resolved.

        A kill interrupts whatever the main thread does, perhaps a call with the other client, or a metric
        that holds a lock: its calls are not counted.
        """
        short = Config(
            connect_timeout=1, read_timeout=_KILL_READ_TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
        )
        client = super(BatchBaseHook, self).get_client_type(config=self.config.merge(short))
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
        job_id = self._hook.owned_job.submit(self._hook.submit_client, parameters)
        return {"jobId": job_id, "jobName": parameters["jobName"]}


def kill_now(client: Any, job_id: str, reason: str, budget_seconds: float) -> str:
    """
    Terminate one job at once, as often as it takes within the budget. Raises nothing.

    :param client: from :meth:`BatchSubmitHook.kill_client`
    :param budget_seconds: Airflow kills a task five seconds after it has asked it to end
        (``escalation_delay`` in its supervisor)
    :return: ``accepted``, or what AWS Batch answered last
    """
    last_call = time.monotonic() + budget_seconds - _KILL_READ_TIMEOUT_SECONDS
    pause = 0.1
    while True:
        try:
            client.terminate_job(jobId=job_id, reason=reason)
        except AWS_ERRORS as raised:
            error = translate("TerminateJob", raised)
        else:
            return "accepted"
        if not error.retryable or time.monotonic() + pause > last_call:
            return str(error)
        time.sleep(pause)
        pause *= 2
