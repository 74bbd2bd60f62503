"""What Airflow's database says of task instances and their jobs: for command line and API server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.utils.state import State, TaskInstanceState
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from airflow_batch_cancel.core.owner import Owner, Run
from airflow_batch_cancel.core.verdict import RunState, TaskState
from airflow_batch_cancel.exceptions import ArgumentError
from airflow_batch_cancel.selection import job_id_in_xcom

_IDS_PER_QUERY = 200
_SWEEP = "BatchSweepOperator"
_AT_WORK = State.unfinished - {None, TaskInstanceState.REMOVED}


@dataclass(frozen=True, slots=True)
class Instance:
    """
    A task instance of a run, and what it says of its Batch job.

    :param task_id: of the task
    :param map_index: -1 for a task that is not mapped
    :param try_number: of its latest try
    :param may_retry: whether it has not ended, and another try may follow when this one fails
    :param details: the XCom ``batch_job_details`` that its latest try pushed at its submit, if any
    """

    task_id: str
    map_index: int
    try_number: int
    may_retry: bool
    details: Any = None


def instances_of_run(
    session: Session, run: Run, task_id: str | None = None, map_index: int | None = None
) -> list[Instance]:
    """
    Return the task instances of a run, whatever their tasks do.

    :param task_id: only those of this task
    :param map_index: only the one with this index
    :raises ArgumentError: when there is no such run
    """
    _check_run(session, run)
    table = TaskInstance
    columns = (table.task_id, table.map_index, table.try_number, table.max_tries, table.state)
    query = _narrow(select(*columns), table, run, task_id, map_index)
    xcoms = XComModel.get_many(
        run_id=run.run_id,
        dag_ids=run.dag_id,
        key=BatchJobDetailsLink.key,
        task_ids=task_id,
        map_indexes=map_index,
    ).with_only_columns(XComModel.task_id, XComModel.map_index, XComModel.value)
    details = {
        (row.task_id, row.map_index): XComModel.deserialize_value(row) for row in session.execute(xcoms)
    }
    return [
        Instance(
            task_id=row[0],
            map_index=row[1],
            try_number=row[2],
            may_retry=row[2] <= (row[3] or 0) and row[4] in _AT_WORK,
            details=details.get((row[0], row[1])),
        )
        for row in session.execute(query)
    ]


def mark_failed(session: Session, run: Run, instances: Iterable[tuple[str, int]]) -> None:
    """Mark task instances failed, as a person does in the Airflow UI, so that no further try follows."""
    from airflow.models.dagbag import DBDagBag  # new in Airflow 3.1

    by_task: dict[str, list[int]] = defaultdict(list)
    for task_id, map_index in instances:
        by_task[task_id].append(map_index)
    dag_run = session.scalar(select(DagRun).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id))
    dag = DBDagBag().get_dag_for_run(dag_run, session) if dag_run else None
    for task_id, map_indexes in by_task.items() if dag else ():
        dag.set_task_instance_state(
            task_id=task_id,
            map_indexes=map_indexes,
            run_id=run.run_id,
            state=TaskInstanceState.FAILED,
            session=session,
        )


def rendered_fields(
    session: Session, run: Run, instances: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return the template fields of task instances as rendered, where Airflow has kept them."""
    wanted = sorted(set(instances))
    table = RenderedTaskInstanceFields
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for start in range(0, len(wanted), _IDS_PER_QUERY):
        query = _narrow(select(table.task_id, table.map_index, table.rendered_fields), table, run)
        query = query.where(
            tuple_(table.task_id, table.map_index).in_(wanted[start : start + _IDS_PER_QUERY])
        )
        found.update({(row[0], row[1]): row[2] or {} for row in session.execute(query)})
    return found


def job_ids_of_run(
    session: Session, run: Run, region_name: str, task_ids: Sequence[str] | None = None
) -> list[str]:
    """
    Return the ids that the operators of a DAG run pushed when they submitted, those of the latest try each.

    :param region_name: of the client; a job of another Region is refused
    :param task_ids: only the jobs of these tasks
    :raises ArgumentError: when there is no such run, or a job is of another Region
    """
    _check_run(session, run)
    query = XComModel.get_many(
        run_id=run.run_id, dag_ids=run.dag_id, key=BatchJobDetailsLink.key, task_ids=task_ids or None
    )
    rows = session.scalars(query).all()
    found = (job_id_in_xcom(XComModel.deserialize_value(row), region_name, row.task_id) for row in rows)
    return [job_id for job_id in found if job_id]


def sweeps(session: Session) -> dict[str, bool]:
    """Return the DAGs that have a ``BatchSweepOperator``, and whether each is active rather than paused."""
    query = select(DagModel.dag_id, DagModel.is_paused).where(~DagModel.is_stale)
    is_paused = {row[0]: bool(row[1]) for row in session.execute(query)}
    found: dict[str, bool] = {}
    dag_ids = sorted(is_paused)
    for start in range(0, len(dag_ids), _IDS_PER_QUERY):
        some = dag_ids[start : start + _IDS_PER_QUERY]
        for row in SerializedDagModel.get_latest_serialized_dags(dag_ids=some, session=session):
            tasks = (row.data or {}).get("dag", {}).get("tasks", ())
            if any(task.get("__var", task).get("task_type") == _SWEEP for task in tasks):
                found[row.dag_id] = not is_paused[row.dag_id]
    return found


class DatabaseStates:
    """
    The states of task instances and runs, out of Airflow's own tables.

    :param session: to Airflow's database
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def task_instances(self, owners: Iterable[Owner]) -> dict[Owner, TaskState]:
        """Return the state of each owner's task instance, whatever its try."""
        by_dag: dict[str, list[Owner]] = defaultdict(list)
        for owner in owners:
            by_dag[owner.dag_id].append(owner)
        return {owner: state for dag_id in by_dag for owner, state in self._states(dag_id, by_dag[dag_id])}

    def runs(self, runs: Iterable[Run]) -> dict[Run, RunState]:
        """Return the state of each run; one that is not there is ``UNKNOWN``."""
        self._session.expire_all()
        return {run: RunState(str(self._session.scalar(_of_run(run)) or "")) for run in set(runs)}

    def _states(self, dag_id: str, owners: list[Owner]) -> Iterator[tuple[Owner, TaskState]]:
        self._session.rollback()  # a second look must not see what the first one saw
        run_ids = sorted({owner.run_id for owner in owners})
        found: dict[tuple[str, str, int], str | None] = {}
        for start in range(0, len(run_ids), _IDS_PER_QUERY):
            query = select(
                TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state
            ).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id.in_(run_ids[start : start + _IDS_PER_QUERY]),
            )
            found.update({(row[0], row[1], row[2]): row[3] for row in self._session.execute(query)})
        for owner in owners:
            key = (owner.run_id, owner.task_id, owner.map_index)
            yield owner, TaskState(found[key]) if key in found else TaskState.GONE


def _of_run(run: Run):
    return select(DagRun.state).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id)


def _check_run(session: Session, run: Run) -> None:
    if session.scalar(_of_run(run)) is None:
        raise ArgumentError("run_id", run.run_id, f"a run of the DAG {run.dag_id!r} that exists")


def _narrow(query, table, run: Run, task_id: str | None = None, map_index: int | None = None):
    query = query.where(table.dag_id == run.dag_id, table.run_id == run.run_id)
    if task_id is not None:
        query = query.where(table.task_id == task_id)
    return query if map_index is None else query.where(table.map_index == map_index)
