"""
Put the task instances of a run into a state, with what belongs to it, straight into Airflow's database.

It runs within the environment of an Airflow, and reads what to do from standard input, as JSON:
``dag_id``, ``run_id``, ``states`` (in turn), ``job_ids`` (for each map index its job), ``xcoms``: whether
the tasks say what they have submitted, and ``trigger``: what deferred tasks wait with, ``ours``, ``stock``
or nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import delete, insert, select, update

from airflow_batch_cancel.core.owner import Owner
from tests.bench.sizes import POLL_SECONDS


def main() -> None:
    """Do what standard input says."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    run = (wanted["dag_id"], wanted["run_id"])
    with create_session() as session:
        session.execute(update(TaskInstance).values(trigger_id=None))
        session.execute(delete(Trigger))
        found = session.scalars(
            select(TaskInstance)
            .where(TaskInstance.dag_id == run[0], TaskInstance.run_id == run[1])
            .order_by(TaskInstance.map_index)
        ).all()
        states = wanted["states"]
        for number, instance in enumerate(found):
            instance.state = states[number % len(states)]
            instance.try_number = 1
        if wanted.get("trigger"):
            _defer(session, found, wanted["job_ids"], wanted["trigger"])
        if wanted.get("xcoms"):
            _push(session, found, wanted["job_ids"])
    json.dump({"task_instances": len(found)}, sys.stdout)


def _defer(session: Any, instances: Sequence[TaskInstance], job_ids: Sequence[str], kind: str) -> None:
    triggers = [_trigger(kind, instance, job_id) for instance, job_id in zip(instances, job_ids, strict=True)]
    session.add_all(triggers)
    session.flush()
    for instance, trigger in zip(instances, triggers, strict=True):
        instance.trigger_id = trigger.id
        instance.next_method = "execute_complete"


def _trigger(kind: str, instance: TaskInstance, job_id: str) -> Trigger:
    if kind == "stock":
        from airflow.providers.amazon.aws.triggers.batch import BatchJobTrigger

        return Trigger.from_object(
            BatchJobTrigger(job_id=job_id, waiter_delay=POLL_SECONDS, waiter_max_attempts=10_000)
        )
    from airflow_batch_cancel.triggers.batch import CancellableBatchTrigger

    owner = Owner("live-tests", instance.dag_id, instance.run_id, instance.task_id, instance.map_index, 1)
    connection = {"aws_conn_id": "aws_default"}
    return Trigger.from_object(
        CancellableBatchTrigger(connection, job_id, asdict(owner), float(POLL_SECONDS), 10_000)
    )


def _push(session: Any, instances: Sequence[TaskInstance], job_ids: Sequence[str]) -> None:
    first = instances[0]
    dag_run_id = session.scalar(
        select(DagRun.id).where(DagRun.dag_id == first.dag_id, DagRun.run_id == first.run_id)
    )
    rows = [
        {
            "dag_run_id": dag_run_id,
            "dag_id": first.dag_id,
            "run_id": first.run_id,
            "task_id": instance.task_id,
            "map_index": instance.map_index,
            "key": "batch_job_details",
            "value": {"job_id": job_id, "region_name": "us-east-1", "aws_domain": "aws.amazon.com"},
        }
        for instance, job_id in zip(instances, job_ids, strict=True)
    ]
    session.execute(insert(XComModel), rows)


if __name__ == "__main__":
    main()
