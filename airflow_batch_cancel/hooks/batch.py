"""The hook through which everything in this package reaches AWS Batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from airflow_batch_cancel.aws.gateway import ATTEMPTS, BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.compat import check_versions
from airflow_batch_cancel.core.jobs import Job, normalise_job_ids
from airflow_batch_cancel.core.owner import Owner, Ownership, Run
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.hooks.base import BatchBaseHook
from airflow_batch_cancel.observability import count_outcomes, span

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

check_versions()

_PATIENCE = Config(connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 1})


class BatchCancelHook(BatchBaseHook):
    """
    Cancel AWS Batch jobs, and find those of an owner.

    It needs no operator around it: use it from a ``@task``.

    :param aws_conn_id: The Airflow connection used for AWS credentials; the arguments are those of
        :class:`~airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook`
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "batch"
        super().__init__(*args, **kwargs)

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """
        Get the Airflow connection.

        The base hook takes a connection that does not exist for an empty one, and would then act with
        whatever credentials the machine has. That is wanted for the default name only.

        :raises ArgumentError: when the connection that was asked for does not exist
        """
        wrapper: AwsConnectionWrapper = super().conn_config
        if self.aws_conn_id not in (None, "", self.default_conn_name) and not wrapper:
            raise ArgumentError(
                "aws_conn_id", self.aws_conn_id, "the id of an Airflow connection that exists"
            )
        return wrapper

    @property
    def config(self) -> Config:
        """
        The botocore configuration: a call that hangs is given up after 20 s, where botocore waits for 60, and
        is repeated by the gateway, at its pace. What the connection or the caller configures goes first.
        """
        return _PATIENCE.merge(super().config)

    @cached_property
    def gateway(self) -> BatchGateway:
        """The gateway over this hook's client."""
        return self.make_gateway()

    def make_gateway(self, attempts: int = ATTEMPTS) -> BatchGateway:
        """Return a gateway that goes on with the connection's new credentials where its own are refused."""
        return BatchGateway(self.get_conn(), attempts=attempts, renew=self.new_conn)

    def cancel_jobs(
        self, job_ids: str | Iterable[str], policy: Policy, *, dry_run: bool = False, wait: bool = True
    ) -> CancelReport:
        """
        Stop jobs and say what became of each.

        It does not raise because a job is not stopped: look at the report's ``ok`` and ``failed``.

        :param job_ids: ids, ARNs, or a string of them; none is a report without rows
        :param policy: how hard to stop, and how long to wait for it
        :param dry_run: only look and report the plan
        :param wait: False asks and looks no further; an accepted stop is then reported as STOPPING
        :raises ArgumentError: for ids that are none, or of another Region
        """
        procedure = self.procedure(job_ids, policy)
        if dry_run:
            procedure.look_and_plan()
            return procedure.report(dry_run=True)
        with span("cancel", jobs=len(procedure.progress)):
            procedure.run() if wait else procedure.step()
        report = procedure.report(waited=wait)
        count_outcomes(report)
        return report

    def procedure(self, job_ids: str | Iterable[str], policy: Policy) -> StopProcedure:
        """Return the stop of these jobs as a procedure, for a caller that paces it itself."""
        return StopProcedure(self.gateway, normalise_job_ids(job_ids, self.conn_region_name), policy)

    def describe_jobs(self, job_ids: str | Iterable[str]) -> list[Job]:
        """
        Describe any number of jobs, 100 a call; jobs that AWS Batch does not know are left out.

        :raises BatchApiError: when some of them could not be asked for
        """
        described = self.gateway.describe(normalise_job_ids(job_ids, self.conn_region_name))
        for error in described.errors.values():
            raise error
        return list(described.jobs.values())

    def find_jobs(
        self,
        of: Owner | Run,
        job_queues: Sequence[str],
        *,
        job_name: str | None = None,
        finished_too: bool = False,
    ) -> list[tuple[Job, Ownership]]:
        """
        Find the live jobs that belong to a task instance (all its tries) or a DAG run, by their owner tags.

        Tags are believed where the name confirms them (see :meth:`Ownership.of`), or is the one asked for.

        :param of: a task instance, its try number does not matter, or a run
        :param job_queues: names or ARNs of the queues to look in
        :param job_name: the full name of the jobs, suffix included: makes it one ListJobs a queue, not five
        :param finished_too: with a ``job_name``, the finished jobs that AWS Batch still knows as well
        :raises BatchApiError: when a queue can not be listed, or a job not described
        """
        job_ids: dict[str, None] = {}
        for queue in job_queues:
            found = (
                self.gateway.list_job_ids_by_name(queue, job_name, finished_too=finished_too)
                if job_name
                else self.gateway.list_live_job_ids(queue)
            )
            job_ids.update(dict.fromkeys(found))
        jobs = self.describe_jobs(list(job_ids))
        claims = ((job, Ownership.from_tags(job.tags) if job_name else Ownership.of(job)) for job in jobs)
        return [
            (job, claim)
            for job, claim in claims
            if claim and of.owns(claim.owner) and (finished_too or not job.finished)
        ]
