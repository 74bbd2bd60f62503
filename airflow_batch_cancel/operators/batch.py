"""The operators: one cancels the Batch jobs of a DAG run, one takes its job with it when it dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowFailException, conf
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
from botocore.exceptions import BotoCoreError

from airflow_batch_cancel.core.owner import Lifetime, Owner, Ownership, add_owner_tags
from airflow_batch_cancel.core.policy import AT_ONCE, REASON_LENGTH, Policy
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.exceptions import (
    AccessDeniedError,
    ArgumentError,
    BatchCancelError,
    JobsNotStoppedError,
)
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.hooks.submit import BatchSubmitHook, kill_now
from airflow_batch_cancel.selection import SELECTION_FIELDS, JobSelectionMixin
from airflow_batch_cancel.settings import deployment_id
from airflow_batch_cancel.triggers.batch import BatchCancelTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

_LINKS_LOGGED = 20
_EARLIER_TRIES_WAIT = timedelta(minutes=5)


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
        if not any(_is_template(value) for value in (reason, terminate_after, timeout, poll_interval)):
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
        timeout = _duration("timeout", self.timeout)
        poll_interval = _duration("poll_interval", self.poll_interval)
        if timeout is None or poll_interval is None:
            name = "timeout" if timeout is None else "poll_interval"
            raise ArgumentError(name, None, "a timedelta, or seconds")
        terminate_after = _duration("terminate_after", self.terminate_after)
        return Policy(reason, terminate_after, timeout, poll_interval)

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

    Takes the arguments of :class:`~airflow.providers.amazon.aws.operators.batch.BatchOperator`, and:

    :param cancel_on_kill: terminate the job when the task is killed in its worker
    :param name_suffix: add to the job's name ten hex digits, by which the jobs of all tries of a task
        instance can be listed
    """

    aws_hook_class = BatchSubmitHook
    cancel_on_kill: bool = True
    name_suffix: bool = True
    _kill_client: Any = None
    _owner: Owner | None = None
    _killed = False

    def __init__(self, *, cancel_on_kill: bool = True, name_suffix: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_on_kill = cancel_on_kill
        self.name_suffix = name_suffix
        add_owner_tags(self.tags if isinstance(self.tags, dict) else {}, _ANY_OWNERSHIP)

    def execute(self, context: Context) -> str | None:
        """Submit the job and see it through; an error on the way stops it."""
        try:
            return super().execute(context)
        except Exception as error:
            self._stop_after(error)
            raise

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Take over from the triggerer; an error on the way stops the job."""
        self._prepare(context)
        try:
            return super().execute_complete(context, event)
        except Exception as error:
            self._stop_after(error)
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after a deferral; one that timed out or whose trigger failed stops the job.

        Airflow resumes such a task with the method ``__fail__`` and without an event, and calls no kill hook.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            self._prepare(context)
            self.job_id = self._submitted_by_this_try(context)
            self._stop_after(error)
            raise

    def submit_job(self, context: Context) -> None:
        """Submit the job as its owner's: tagged, named, and with everything ready that a kill will need."""
        self.job_id = None
        self._prepare(context)
        self.hook.before_submit = self._owned_parameters
        self.hook.after_submit = self._submitted
        super().submit_job(context)

    def on_kill(self) -> None:
        """
        Terminate the job; verification is left to whatever runs later.

        It runs in a signal handler with five seconds to live, and must not ask Airflow for anything: the
        client and its credentials were made before the submit. Killed before SubmitJob has answered, it
        leaves a mark that is looked at as soon as it does.
        """
        if not self.cancel_on_kill:
            self.log.info(
                "The task is killed; cancel_on_kill=False leaves AWS Batch job %s alone", self.job_id
            )
        elif self.job_id is None:
            self._killed = True
            self.log.info(
                "The task is killed before SubmitJob has answered: the job is terminated when it does"
            )
        elif self._kill_client is not None:
            kill_now(self._kill_client, self.job_id, self._reason("was killed"), self.log)

    def _prepare(self, context: Context) -> None:
        self._owner = _owner(context)
        self._kill_client = self.hook.kill_client()

    def _owned_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of SubmitJob with the owner in them; earlier tries have ended then."""
        assert self._owner is not None
        detached = not (self.wait_for_completion or self.deferrable)
        ownership = Ownership(self._owner, Lifetime.DETACHED if detached else Lifetime.TASK)
        owned = {**parameters, "tags": add_owner_tags(parameters.get("tags") or {}, ownership)}
        if self.name_suffix:
            owned["jobName"] = self._owner.job_name(owned["jobName"])
            if self._owner.try_number > 1:
                self._end_earlier_tries(self._owner, owned["jobQueue"], owned["jobName"])
        if self._killed:
            raise AirflowFailException("The task was killed before it submitted an AWS Batch job")
        return owned

    def _end_earlier_tries(self, owner: Owner, job_queue: str, job_name: str) -> None:
        """Stop the jobs that earlier tries left behind, and wait until they have ended."""
        hook = self._cancel_hook()
        try:
            found = hook.find_jobs(owner, [job_queue], job_name=job_name)
        except AccessDeniedError as error:
            self.log.warning(
                "Jobs of earlier tries, if any, run on beside this one, since they can not be looked for. "
                "Grant batch:ListJobs and batch:DescribeJobs. %s",
                error,
            )
            return
        earlier = [job.job_id for job, claim in found if claim.owner.try_number < owner.try_number]
        if not earlier:
            return
        self.log.info("Ending the jobs of earlier tries before this one submits: %s", ", ".join(earlier))
        report = hook.cancel_jobs(
            earlier, Policy(self._reason("is tried again"), timeout=_EARLIER_TRIES_WAIT)
        )
        (self.log.info if report.ok else self.log.warning)("%s\n%s", report.summary(), report.table())

    def _submitted(self, job_id: str) -> None:
        self.job_id = job_id
        if self._killed:
            kill_now(
                self._kill_client, job_id, self._reason("was killed while SubmitJob was under way"), self.log
            )
            raise AirflowFailException(f"The task was killed while it submitted AWS Batch job {job_id}")

    def _submitted_by_this_try(self, context: Context) -> str | None:
        """Read the job's id from the XCom pushed at submit; Airflow clears it before the next try."""
        ti = context["ti"]
        map_indexes = [-1 if ti.map_index is None else ti.map_index]
        details = ti.xcom_pull(task_ids=ti.task_id, key=BatchJobDetailsLink.key, map_indexes=map_indexes)
        return next((value["job_id"] for value in details if value), None)

    def _stop_after(self, error: Exception) -> None:
        """Stop the job unless it has finished; whatever comes of that, the task fails with ``error``."""
        if self.job_id is None:
            return
        policy = Policy(self._reason(f"failed with {type(error).__name__}"), timeout=timedelta(seconds=0))
        try:
            report = self._cancel_hook().cancel_jobs([self.job_id], policy, wait=False)
        except (BatchCancelError, BotoCoreError) as stop_error:
            self.log.error("AWS Batch job %s could not be stopped: %s", self.job_id, stop_error)
        else:
            self.log.info("The task fails, and its job with it: %s", report.rows[0].describe())

    def _cancel_hook(self) -> BatchCancelHook:
        return BatchCancelHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    def _reason(self, cause: str) -> str:
        return f"Airflow task {self._owner} {cause}"[:REASON_LENGTH]


def _owner(context: Context) -> Owner:
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return Owner(deployment_id(), ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number)


def _is_template(value: object) -> bool:
    return not isinstance(value, (str, int, float, timedelta, type(None))) or (
        isinstance(value, str) and "{" in value
    )


def _duration(argument: str, value: Any) -> timedelta | None:
    """Read a duration: a timedelta, seconds, or a string of seconds; "None" is None."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(argument, value, "a timedelta, or seconds") from None
