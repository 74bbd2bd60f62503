"""Named worlds: queues, definitions and jobs in given states, out of plain JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batch_cancel.simulator.simulator import BatchSimulator

SCENARIOS: dict[str, dict[str, Any]] = {
    "every_state": {
        "queues": [{"name": "blocked", "slots": 0}],
        "jobs": [
            {"name": "submitted", "status": "SUBMITTED"},
            {"name": "runnable", "status": "RUNNABLE", "queue": "blocked"},
            {"name": "starting", "status": "STARTING", "starting_seconds": 3600},
            {"name": "running", "status": "RUNNING"},
            {"name": "pending", "status": "PENDING", "depends_on": ["running"]},
            {"name": "succeeded", "status": "SUCCEEDED"},
            {"name": "failed", "status": "FAILED"},
            {"name": "array", "status": "RUNNABLE", "array_size": 4, "queue": "blocked"},
            {"name": "array-running", "status": "RUNNING", "array_size": 4},
        ],
    },
}
"""The worlds that come with the simulator, by name."""


def read_scenario(name_or_path: str) -> dict[str, Any]:
    """
    Return a scenario by its name, or out of a JSON file.

    :raises ValueError: when it is neither
    """
    if name_or_path in SCENARIOS:
        return SCENARIOS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(SCENARIOS)
        raise ValueError(f"scenario={name_or_path!r}: expected a JSON file, or one of {known}")
    scenario: dict[str, Any] = json.loads(path.read_text())
    return scenario


def build(sim: BatchSimulator, scenario: Mapping[str, Any]) -> dict[str, str]:
    """
    Add the world of a scenario to a simulator, and return the job ids by job name.

    :param scenario: ``queues`` and ``jobs`` hold the arguments of :meth:`BatchSimulator.add_queue` and
        :meth:`BatchSimulator.submit`, with names of jobs above in ``depends_on``; ``definitions`` those of
        :meth:`BatchSimulator.add_job_definition`
    """
    for queue in scenario.get("queues", ()):
        sim.add_queue(queue["name"], slots=queue.get("slots"))
    for definition in scenario.get("definitions", ()):
        sim.add_job_definition(**definition)
    ids: dict[str, str] = {}
    for job in scenario.get("jobs", ()):
        upstream = [ids[name] for name in job.get("depends_on", ())]
        ids[job["name"]] = sim.submit(**{**job, "depends_on": upstream})
    return ids
