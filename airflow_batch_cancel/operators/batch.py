"""The operators: one cancels the Batch jobs of a DAG run, one takes its job with it when it dies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.amazon.aws.triggers.batch import BatchJobTrigger
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_batch_cancel.compat import AirflowFailException, AirflowTaskTimeout, conf
from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, PreviousTry, add_owner_tags
from airflow_batch_cancel.core.policy import AT_ONCE, Policy
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.exceptions import ArgumentError, JobsNotStoppedError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.hooks.owned_job import OwnedJob, was_cancelled
from airflow_batch_cancel.hooks.submit import BatchSubmitHook
from airflow_batch_cancel.observability import count_outcomes
from airflow_batch_cancel.selection import SELECTION_FIELDS, JobSelectionMixin, is_template
from airflow_batch_cancel.settings import deployment_id, kill_budget_seconds
from airflow_batch_cancel.triggers.batch import BatchCancelTrigger, CancellableBatchTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger

_LINKS_LOGGED = 20


class BatchCancelOperator(JobSelectionMixin, AwsBaseOperator[BatchCancelHook]):
    """
    Cancel AWS Batch jobs: given ones, or those of a DAG run, and make sure that they have ended.

    Jobs of the stock :class:`~airflow.providers.amazon.aws.operators.batch.BatchOperator` are found by the
    XCom ``batch_job_details`` that it pushes when it submits. Made to be a teardown::

        cancel = BatchCancelOperator(task_id="cancel").as_teardown(setups=submit)

    The task fails when a job is not stopped, and its log says which and why.

    :param job_ids: ids or ARNs (a list, a string of them, or an XCom of either), instead of a DAG run
    :param dag_id: the DAG of the run; this task's own by default
    :param run_id: the run; this task's own by default, required with another ``dag_id``
    :param task_ids: only the jobs of these tasks
    :param job_queues: look in these queues too, for jobs that carry the run's owner tags; that finds the jobs
        of earlier tries, which XComs no longer tell
    :param reason: 1 to 1024 characters, kept on the job; by default it names the DAG, run, task and try
    :param terminate_after: ``timedelta(0)`` terminates started jobs at once, a longer one lets them finish
        for that long, None never touches them. Durations may be seconds too, also in a template
    :param timeout: how long to wait, after the last job was asked to stop, until it has ended
    :param poll_interval: the longest pause between two looks
    :param dry_run: only report the plan
    :param wait_for_completion: False asks AWS Batch and does not wait for the effect
    :param fail_if_none: fail when there is no job to cancel
    :param deferrable: wait in the triggerer
    :return: the report (XCom), see :meth:`~airflow_batch_cancel.core.report.CancelReport.as_dict`
    """

    aws_hook_class = BatchCancelHook
    template_fields: Sequence[str] = aws_template_fields(
        *SELECTION_FIELDS,
        "reason",
        "terminate_after",
        "timeout",
        "poll_interval",
    )
    ui_color = "#f3d9d0"

    def __init__(
        self,
        *,
        job_ids: Any = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        task_ids: Sequence[str] | str | None = None,
        job_queues: Sequence[str] | str | None = None,
        reason: str | None = None,
        terminate_after: timedelta | float | str | None = AT_ONCE,
        timeout: timedelta | float | str = timedelta(minutes=10),
        poll_interval: timedelta | float | str = timedelta(seconds=5),
        dry_run: bool = False,
        wait_for_completion: bool = True,
        fail_if_none: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.set_selection(job_ids, dag_id, run_id, task_ids, job_queues)
        self.reason = reason
        self.terminate_after = terminate_after
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.plan_only = dry_run
        self.wait_for_completion = wait_for_completion
        self.fail_if_none = fail_if_none
        self.deferrable = deferrable
        if not any(is_template(value) for value in (reason, terminate_after, timeout, poll_interval)):
            self._policy("checked at parse" if reason is None else reason)

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the jobs, and return the report."""
        policy = self._policy(
            f"Cancelled by Airflow task {_owner(context)}" if self.reason is None else self.reason
        )
        procedure = self.hook.procedure(self.select_job_ids(context, self.hook), policy)
        if not procedure.progress:
            return self._nothing_to_cancel(policy)
        self.log.info("%d jobs to cancel; reason: %s", len(procedure.progress), policy.reason)
        if self.plan_only:
            procedure.look_and_plan()
            return self._finish(procedure.report(dry_run=True))
        if not self.wait_for_completion:
            procedure.step()
            return self._finish(procedure.report(waited=False))
        if self.deferrable and not procedure.step():
            self.defer(
                trigger=BatchCancelTrigger.carry_on(procedure, self._hook_parameters),
                method_name="execute_complete",
            )
        return self._finish(procedure.run())

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Read the report that the trigger brings."""
        return self._finish(CancelReport.from_dict(event["report"]))

    def _policy(self, reason: str) -> Policy:
        return Policy.read(reason, self.terminate_after, self.timeout, self.poll_interval)

    def _nothing_to_cancel(self, policy: Policy) -> dict[str, Any]:
        chosen = {name: getattr(self, name) for name in SELECTION_FIELDS}
        given = {name: value for name, value in chosen.items() if value is not None} or "this DAG run"
        if self.fail_if_none:
            raise AirflowFailException(f"There are no jobs to cancel ({given}), and fail_if_none is set")
        self.log.info("There are no jobs to cancel (%s)", given)
        return CancelReport(policy.reason, dry_run=self.plan_only).as_dict()

    def _finish(self, report: CancelReport) -> dict[str, Any]:
        """Log the report for people, and fail when it is not as asked for."""
        self.log.info("%s\n%s", report.summary(), report.table())
        count_outcomes(report)
        for row in report.rows[:_LINKS_LOGGED]:
            self.log.info("%s in the console: %s", row.job_id, self._console_link(row.job_id))
        if not report.ok:
            raise AirflowFailException(str(JobsNotStoppedError(report)))
        return report.as_dict()

    def _console_link(self, job_id: str) -> str:
        return BatchJobDetailsLink.format_str.format(
            aws_domain=BatchJobDetailsLink.get_aws_domain(self.hook.conn_partition),
            region_name=self.hook.conn_region_name,
            job_id=job_id,
        )


_ANY_OWNERSHIP = Ownership(Owner("any", "any", "any", "any", -1, 1))


class CancellableBatchOperator(BatchOperator):
    """
    Run an AWS Batch job that belongs to its task: tagged with it, and stopped with it.

    Takes the arguments of :class:`~airflow.providers.amazon.aws.operators.batch.BatchOperator`, and those
    below. Every way out of the task stops the job unless it has finished. Where ``execution_timeout`` is set
    and ``submit_job_timeout`` is not, the job gets a limit of its own somewhat above it.

    :param cancel_on_kill: terminate the job when the task is killed; False leaves it to the next try and to
        the sweep
    :param previous_try: what this try does with a job that an earlier one has left: ``"cancel"`` ends it
        before it submits; ``"reattach"`` waits for it instead of submitting. With ``"reattach"`` a kill in
        the worker leaves the job alone, since it may be the worker only that goes away
    :param retry_cancelled: whether a task whose job somebody has cancelled is retried
    :param name_suffix: add to the job's name ten hex digits, by which the jobs of all tries of a task
        instance can be listed, and which confirm the tags; without it nobody looks for jobs of earlier
        tries, and the sweep passes over the job
    :raises ArgumentError: at parse, for tags that can not work and an unknown ``previous_try``
    """

    # Defaults of the class, too: the cluster policy adopts operators whose __init__ was another one.
    aws_hook_class = BatchSubmitHook
    cancel_on_kill: bool = True
    previous_try: str = PreviousTry.CANCEL
    retry_cancelled: bool = False
    name_suffix: bool = True
    _owned_job: OwnedJob | None = None
    _killed = False

    def __init__(
        self,
        *,
        cancel_on_kill: bool = True,
        previous_try: str = PreviousTry.CANCEL,
        retry_cancelled: bool = False,
        name_suffix: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if previous_try not in list(PreviousTry):
            raise ArgumentError("previous_try", previous_try, "cancel or reattach")
        self.cancel_on_kill = cancel_on_kill
        self.previous_try = previous_try
        self.retry_cancelled = retry_cancelled
        self.name_suffix = name_suffix
        add_owner_tags(self.tags if isinstance(self.tags, dict) else {}, _ANY_OWNERSHIP)

    def execute(self, context: Context) -> str | None:
        """Submit the job and see it through."""
        self._own_the_job(context)
        with self._taking_the_job_along():
            return super().execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Take over from the triggerer.

        Airflow resumes a task whose deferral timed out or whose trigger failed with the method ``__fail__``
        and without an event, and calls no kill hook: this is where its job is stopped.
        """
        self._own_the_job(context)
        with self._taking_the_job_along(resumed=context):
            return super().resume_execution(next_method, next_kwargs, context)

    def defer(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
        timeout: timedelta | None = None,
    ) -> NoReturn:
        """Defer with a trigger that takes the job along, in place of the stock operator's."""
        if isinstance(trigger, BatchJobTrigger):
            trigger = self._trigger()
        super().defer(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=timeout)

    def on_kill(self) -> None:
        """
        Terminate the job; verification is left to whatever runs later.

        It runs in a signal handler with five seconds to live, and must not ask Airflow for anything: the
        client and its credentials were made before the submit.
        """
        self._killed = True
        if self._owned_job is None:
            self.log.info("The task is killed before it has submitted an AWS Batch job")
            return
        self._owned_job.job_id = self._owned_job.job_id or self.job_id
        self._owned_job.kill("was killed")

    @property
    def _connection(self) -> dict[str, Any]:
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "config": self.botocore_config,
        }

    @property
    def _lifetime(self) -> Lifetime:
        return Lifetime.TASK if self.wait_for_completion or self.deferrable else Lifetime.DETACHED

    def _own_the_job(self, context: Context) -> None:
        """Make ready what a submit and a kill need."""
        self.job_id = None
        previous_try = PreviousTry(self.previous_try)
        self.hook.owned_job = self._owned_job = OwnedJob(
            Ownership(_owner(context), self._lifetime, previous_try),
            BatchCancelHook(**self._connection),
            self.hook.kill_client(),
            self.log,
            execution_timeout=self.execution_timeout,
            name_suffix=self.name_suffix,
            cancel_on_kill=self.cancel_on_kill and previous_try is PreviousTry.CANCEL,
            kill_budget_seconds=kill_budget_seconds(),
            killed=self._killed,
        )

    def _trigger(self) -> CancellableBatchTrigger:
        assert self._owned_job is not None
        return CancellableBatchTrigger(
            connection=self._connection,
            job_id=self.job_id,
            owner=asdict(self._owned_job.owner),
            poll_interval=self.poll_interval,
            max_attempts=self.max_retries,
            cancel_on_kill=self.cancel_on_kill,
            previous_try=str(self.previous_try),
        )

    @contextmanager
    def _taking_the_job_along(self, resumed: Context | None = None) -> Iterator[None]:
        """
        Stop the job when the task ends with an error, and let a cancelled job end the task for good.

        :param resumed: the context, where another process has submitted the job
        """
        try:
            yield
        except (Exception, AirflowTaskTimeout) as error:
            assert self._owned_job is not None
            job = self._owned_job
            job.job_id = job.job_id or self.job_id or (self._deferred_job_id(resumed) if resumed else None)
            seen = job.end(f"failed with {type(error).__name__}")
            if seen is None or not was_cancelled(seen) or self._killed:
                raise
            message = f"AWS Batch job {seen.job_id} was cancelled: {seen.status_reason or 'no reason given'}"
            if self.retry_cancelled:
                self.log.error("%s", message)
                raise
            raise AirflowFailException(message) from error

    def _deferred_job_id(self, context: Context) -> str | None:
        """Return the job that this try has submitted: by the XCom of its link, or else by its name."""
        assert self._owned_job is not None
        ti = context["ti"]
        map_indexes = [-1 if ti.map_index is None else ti.map_index]
        try:
            details = ti.xcom_pull(task_ids=ti.task_id, key=BatchJobDetailsLink.key, map_indexes=map_indexes)
            if job_id := next((value["job_id"] for value in details if value), None):
                return str(job_id)
            return self._owned_job.find(self.job_queue, self.job_name)
        except Exception:
            self.log.exception("The AWS Batch job of this try could not be looked up; the sweep will find it")
            return None


def _owner(context: Context) -> Owner:
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return Owner(deployment_id(), ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number)
