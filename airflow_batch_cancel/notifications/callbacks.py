"""Which jobs an Airflow callback is about, as the context tells that Airflow calls it with."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink

from airflow_batch_cancel.compat import XCom
from airflow_batch_cancel.core.owner import Owner, Run
from airflow_batch_cancel.core.verdict import TaskState
from airflow_batch_cancel.exceptions import BatchCancelError
from airflow_batch_cancel.selection import job_id_in_xcom
from airflow_batch_cancel.settings import deployment_id
from airflow_batch_cancel.states import AirflowStates, states_of_run

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_PAUSES = (0.5, 1, 2, 4)
"""Seconds between two questions whether a task has failed by now."""


@dataclass(frozen=True)
class TaskCallback:
    """
    A task's callback: about the jobs of its task instance, those of later tries excepted.

    :param of: the try that it is called for
    :param state: of that try, as the worker has it; None in the DAG processor, which stands in for a worker
        that is gone
    """

    of: Owner
    state: TaskState | None
    reads_xcoms = True

    @property
    def cause(self) -> str:
        """Why the jobs are stopped."""
        if self.at_work:
            return f"Airflow task {self.of} begins"
        return f"Airflow task {self.of} is {self.state or TaskState.FAILED}"

    @property
    def at_work(self) -> bool:
        """Whether this try goes on, as in an ``on_execute_callback``: its own job is none to stop."""
        return self.state is TaskState.RUNNING

    def covers(self, owner: Owner) -> bool:
        """Whether a job of this owner is one to stop."""
        newest = self.of.try_number - 1 if self.at_work else self.of.try_number
        return self.of.owns(owner) and owner.try_number <= newest

    def job_ids(self, region_name: str) -> list[str]:
        """
        Return the job that this try has said to have submitted.

        :param region_name: of the client; a job of another Region is refused
        """
        if self.at_work or self._is_tried_again():
            return []
        return list(_job_ids_in_xcoms(self.of.dag_id, self.of.run_id, self._instance, region_name))

    @property
    def _instance(self) -> list[tuple[str, int]]:
        return [(self.of.task_id, self.of.map_index)]

    def _is_tried_again(self) -> bool:
        """
        Whether the XCom may be a later try's by now: it does not tell whose it is.

        The DAG processor may call back a moment before the scheduler has noted that the task has failed.
        """
        if self.state is not None:
            return False
        for pause in (*_PAUSES, 0):
            now = AirflowStates().task_instances([self.of])[self.of]
            if not (now.alive or now is TaskState.UNKNOWN):
                return False
            time.sleep(pause)
        log.warning("Task %s is %s again: the job in its XCom is left alone", self.of, now)
        return True


@dataclass(frozen=True)
class RunCallback:
    """
    A DAG's callback, or that of a deadline alert: about the jobs of the run.

    :param of: the run
    :param cause: why the jobs are stopped
    :param spares_living: whether tasks that are at work (cleared meanwhile, or teardowns) keep their jobs
    :param reads_xcoms: whether the process may read them
    """

    of: Run
    cause: str
    spares_living: bool
    reads_xcoms: bool = True

    def covers(self, owner: Owner) -> bool:
        """Whether a job of this owner is one to stop."""
        return self.of.owns(owner) and not self._is_spared(owner.task_id, owner.map_index)

    def job_ids(self, region_name: str) -> list[str]:
        """
        Return the jobs that the tasks of the run have said to have submitted, in their latest tries.

        :param region_name: of the client; a job of another Region is refused
        """
        instances = [instance for instance in self._states if not self._is_spared(*instance)]
        return list(_job_ids_in_xcoms(self.of.dag_id, self.of.run_id, instances, region_name))

    @cached_property
    def _states(self) -> Mapping[tuple[str, int], TaskState]:
        return states_of_run(self.of)

    def _is_spared(self, task_id: str, map_index: int) -> bool:
        return self.spares_living and self._states.get((task_id, map_index), TaskState.GONE).alive


def callback_of(context: Context, *, is_async: bool = False) -> TaskCallback | RunCallback:
    """
    Tell which callback Airflow calls.

    A deadline alert's has a ``deadline`` and the run as plain values; a DAG's has the ``reason`` of its
    failure (``airflow.dag_processing.processor``); what else has a task instance is a task's.

    A deadline's sync callback runs in the executor, where Airflow answers no question about XComs or states,
    not even with an error (``airflow.sdk.execution_time.callback_supervisor``): asking would hang.

    :param is_async: whether it runs in the triggerer
    :raises BatchCancelError: for a context that tells neither a task instance nor a run
    """
    deployment = deployment_id()
    if "deadline" in context:
        run = context["dag_run"]
        of = Run(deployment, run["dag_id"], run["dag_run_id"])
        cause = f"{_name(of)} has missed its deadline"
        return RunCallback(of, cause, spares_living=False, reads_xcoms=is_async)
    if "reason" in context:
        of = Run(deployment, context["dag"].dag_id, context["run_id"])
        return RunCallback(of, f"{_name(of)} has ended: {context['reason']}", spares_living=True)
    if "ti" not in context:
        raise BatchCancelError("This callback is about no task instance and no DAG run")
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    owner = Owner(deployment, ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number)
    return TaskCallback(owner, None if ti.state is None else TaskState(ti.state))


def _name(run: Run) -> str:
    return f"Airflow DAG run {run.dag_id}/{run.run_id}"


def _job_ids_in_xcoms(
    dag_id: str, run_id: str, instances: list[tuple[str, int]], region_name: str
) -> Iterator[str]:
    """Read one XCom a time, which is what worker, DAG processor and triggerer all may."""
    for task_id, map_index in instances:
        value: Any = XCom.get_one(
            key=BatchJobDetailsLink.key, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index
        )
        if job_id := job_id_in_xcom(value, region_name, task_id):
            yield job_id
