"""Which jobs an operator or sensor is about: listed ids, or the jobs of a DAG run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink

from airflow_batch_cancel.compat import XCom
from airflow_batch_cancel.core.jobs import normalise_job_ids
from airflow_batch_cancel.core.owner import Run
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.settings import deployment_id
from airflow_batch_cancel.states import states_of_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batch_cancel.hooks.batch import BatchCancelHook

SELECTION_FIELDS = ("job_ids", "of_dag_id", "of_run_id", "task_ids", "job_queues")
"""The attributes that choose jobs; an operator has a ``dag_id`` of its own already."""


class JobSelectionMixin:
    """
    The arguments that choose jobs, for an operator or sensor.

    :param job_ids: ids or ARNs (a list, a string of them, or an XCom of either), instead of a DAG run
    :param dag_id: the DAG of the run; this task's own by default
    :param run_id: the run; this task's own by default, required with another ``dag_id``
    :param task_ids: only the jobs of these tasks
    :param job_queues: look in these queues too, for jobs that carry the run's owner tags; that finds the jobs
        of earlier tries, which XComs no longer tell
    """

    task_id: str

    def set_selection(
        self,
        job_ids: Any,
        dag_id: str | None,
        run_id: str | None,
        task_ids: Any,
        job_queues: Any,
    ) -> None:
        """Take in the arguments, and refuse combinations that have no meaning."""
        self.job_ids = job_ids
        self.of_dag_id = dag_id
        self.of_run_id = run_id
        self.task_ids = task_ids
        self.job_queues = job_queues
        of_run = {"dag_id": dag_id, "run_id": run_id, "task_ids": task_ids, "job_queues": job_queues}
        given = [name for name, value in of_run.items() if value is not None]
        if job_ids is not None and given:
            raise ArgumentError("job_ids", job_ids, f"either job_ids or {', '.join(given)}, not both")
        if dag_id is not None and run_id is None:
            raise ArgumentError("dag_id", dag_id, "run_id too, where the run is of another DAG")
        if isinstance(job_ids, (list, tuple, set)) and all(_is_literal(value) for value in job_ids):
            normalise_job_ids(job_ids)

    def select_job_ids(self, context: Context, hook: BatchCancelHook) -> list[str]:
        """
        Return the normalised ids of the chosen jobs.

        :raises JobIdError: for ids that are none
        :raises BatchApiError: when a queue can not be listed
        """
        if self.job_ids is not None:
            return normalise_job_ids(_flat(self.job_ids), hook.conn_region_name)
        ti = context["ti"]
        run = Run(deployment_id(), self.of_dag_id or ti.dag_id, self.of_run_id or ti.run_id)
        found = self._from_xcoms(context, run, hook.conn_region_name)
        if self.job_queues:
            wanted = set(words(self.task_ids)) if self.task_ids is not None else None
            for job, ownership in hook.find_jobs(run, words(self.job_queues)):
                if wanted is None or ownership.owner.task_id in wanted:
                    found.append(job.job_id)
        return normalise_job_ids(found)

    def _from_xcoms(self, context: Context, run: Run, region_name: str) -> list[str]:
        """Read the ids that BatchOperator tasks push at submit, those of mapped task instances included."""
        found: list[str] = []
        for task_id in self._task_ids_of_run(context, run):
            values = XCom.get_all(
                key=BatchJobDetailsLink.key, dag_id=run.dag_id, run_id=run.run_id, task_id=task_id
            )
            read = (job_id_in_xcom(value, region_name, task_id) for value in values or ())
            found += [job_id for job_id in read if job_id]
        return found

    def _task_ids_of_run(self, context: Context, run: Run) -> list[str]:
        if self.task_ids is not None:
            return words(self.task_ids)
        dag = context["dag"]
        if run.dag_id == dag.dag_id:
            return [task_id for task_id in dag.task_ids if task_id != self.task_id]
        return sorted({task_id for task_id, _ in states_of_run(run)})


def job_id_in_xcom(value: Any, region_name: str, task_id: str) -> str | None:
    """Read a ``batch_job_details`` XCom; one that is none of BatchOperator's is passed over."""
    if not isinstance(value, Mapping) or not isinstance(value.get("job_id"), str):
        return None
    region = value.get("region_name")
    if region and region != region_name:
        raise ArgumentError(
            "region_name",
            region_name,
            f"{region!r}, in which task {task_id!r} has submitted {value['job_id']}",
        )
    return str(value["job_id"])


def is_template(value: object) -> bool:
    """Whether a value is only known when the task runs: a template, or an XCom of another task."""
    if isinstance(value, str):
        return "{" in value
    return not isinstance(value, (int, float, timedelta, type(None)))


def _is_literal(value: object) -> bool:
    return isinstance(value, str) and "{{" not in value and "{%" not in value


def _flat(value: Any) -> Any:
    """Flatten what a template or an XCom of a mapped task may hand over: lists of ids, or of lists."""
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        return value
    flat: list[Any] = []
    for item in value:
        nested = isinstance(item, (list, tuple, set))
        flat.extend(item) if nested else flat.append(item)
    return flat


def words(value: str | Sequence[str]) -> list[str]:
    """Return what is given as a list, or as a string with commas or white space in between."""
    return re.findall(r"[^\s,]+", value) if isinstance(value, str) else list(value)
