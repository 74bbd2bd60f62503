"""Named worlds."""

from __future__ import annotations

import json

import pytest

from airflow_batch_cancel.simulator import BatchSimulator
from airflow_batch_cancel.simulator.model import STATUSES


def test_the_named_world_has_a_job_in_every_state():
    """And it is the same one every time."""
    worlds = [BatchSimulator(seed=7) for _ in range(2)]
    ids = [sim.load("every_state") for sim in worlds]
    assert ids[0] == ids[1]
    assert {job.status for job in worlds[0].jobs()} == set(STATUSES)
    for name in ("submitted", "runnable", "starting", "running", "pending", "succeeded", "failed"):
        assert worlds[0].job(ids[0][name]).status == name.upper()


def test_a_world_comes_out_of_a_file(tmp_path):
    """Queues, definitions and jobs, with dependencies by name."""
    path = tmp_path / "world.json"
    path.write_text(
        json.dumps(
            {
                "queues": [{"name": "narrow", "slots": 1}],
                "definitions": [{"name": "quick", "run_seconds": 2}],
                "jobs": [
                    {"name": "a", "definition": "quick", "queue": "narrow", "status": "RUNNING"},
                    {"name": "b", "depends_on": ["a"]},
                ],
            }
        )
    )
    sim = BatchSimulator()
    ids = sim.load(str(path))
    sim.clock.jump(5)
    assert sim.job(ids["a"]).status == "SUCCEEDED"
    assert sim.job(ids["b"]).status == "RUNNING"


def test_an_unknown_world_is_refused():
    """The error says which there are."""
    with pytest.raises(ValueError, match="scenario='none': expected a JSON file, or one of every_state"):
        BatchSimulator().load("none")
