"""What Airflow says of task instances and DAG runs, asked through the Task SDK: in a worker or triggerer."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_batch_cancel.core.owner import Owner, Run
from airflow_batch_cancel.core.verdict import RunState, TaskState
from airflow_batch_cancel.exceptions import ArgumentError

log = logging.getLogger(__name__)

_IDS_PER_QUERY = 50
"""Both lists of ids go into one URL."""
_MAPPED_KEY = re.compile(r"(.+)_\d+")


class AirflowStates:
    """
    The states of many task instances and runs, in few questions.

    ``get_task_states`` calls a mapped task instance ``<task_id>_<map_index>``, which another task may be
    called too. So those that are not mapped are asked for with their map index, all tasks of a DAG together,
    and mapped ones a task at a time.

    In the triggerer it must be used in a thread, not on the event loop.
    """

    def task_instances(self, owners: Iterable[Owner]) -> dict[Owner, TaskState]:
        """
        Return the state of each owner's task instance, whatever its try.

        Where Airflow can not be asked, that is ``UNKNOWN``; it never raises.
        """
        states: dict[Owner, TaskState] = {}
        for group in _asked_together(owners):
            states.update(self._states_of(group))
        return states

    def runs(self, runs: Iterable[Run]) -> dict[Run, RunState]:
        """Return the state of each run; one that can not be read is ``UNKNOWN``."""
        return {run: self._run_state(run) for run in set(runs)}

    def _states_of(self, owners: Sequence[Owner]) -> dict[Owner, TaskState]:
        first = owners[0]
        mapped = first.map_index >= 0
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        try:
            for run_ids, task_ids in _queries(owners):
                answer = RuntimeTaskInstance.get_task_states(
                    dag_id=first.dag_id,
                    map_index=None if mapped else -1,
                    task_ids=task_ids,
                    run_ids=run_ids,
                )
                for run_id, states in answer.items():
                    found[run_id].update(states)
        except Exception as error:
            log.warning("The task states of DAG %s can not be read: %s", first.dag_id, error)
            return dict.fromkeys(owners, TaskState.UNKNOWN)
        return {owner: _state_in(found, owner) for owner in owners}

    def _run_state(self, run: Run) -> RunState:
        try:
            return RunState(RuntimeTaskInstance.get_dagrun_state(run.dag_id, run.run_id))
        except Exception as error:
            log.warning("The state of DAG run %s/%s can not be read: %s", run.dag_id, run.run_id, error)
            return RunState.UNKNOWN


def states_of_run(run: Run) -> dict[tuple[str, int], TaskState]:
    """
    Return the state of every task instance of a run, by task id and map index.

    :raises ArgumentError: when there is no such run
    :raises AirflowRuntimeError: where Airflow may not be asked
    """

    def states(**narrowed: Any) -> Mapping[str, Any]:
        answer = RuntimeTaskInstance.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id], **narrowed)
        return answer.get(run.run_id, {})

    keys = states()
    if not keys:
        raise ArgumentError("run_id", run.run_id, f"a run of the DAG {run.dag_id!r} that exists")
    found = {(task_id, -1): TaskState(state) for task_id, state in states(map_index=-1).items()}
    for base in sorted({match[1] for key in keys if (match := _MAPPED_KEY.fullmatch(key))}):
        for key, state in states(task_ids=[base]).items():
            if key != base:
                found[base, int(key.rpartition("_")[2])] = TaskState(state)
    return found


def _asked_together(owners: Iterable[Owner]) -> Iterable[list[Owner]]:
    groups: dict[tuple[str, str], list[Owner]] = defaultdict(list)
    for owner in owners:
        groups[owner.dag_id, owner.task_id if owner.map_index >= 0 else ""].append(owner)
    return groups.values()


def _queries(owners: Iterable[Owner]) -> Iterator[tuple[list[str], list[str]]]:
    run_ids = sorted({owner.run_id for owner in owners})
    task_ids = sorted({owner.task_id for owner in owners})
    return product(_chunks(run_ids), _chunks(task_ids))


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY)]


def _state_in(found: Mapping[str, Mapping[str, Any]], owner: Owner) -> TaskState:
    key = owner.task_id if owner.map_index < 0 else f"{owner.task_id}_{owner.map_index}"
    states = found.get(owner.run_id, {})
    return TaskState(states[key]) if key in states else TaskState.GONE
