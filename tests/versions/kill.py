"""The shortest kill test: of what a task dies most, in both modes, on whatever Airflow this is run with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_batch_cancel.compat import airflow_is
from tests.live.matrix.play import Played, play_all
from tests.live.matrix.rows import DEFERRABLE, ROWS, SYNC, Ending, Row
from tests.live.matrix.scene import Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

DEATHS = {
    "mark task failed": (SYNC, DEFERRABLE),
    "clear task": (SYNC, DEFERRABLE),
    "SIGKILL runner": (SYNC,),
    "SIGKILL runner while SubmitJob is in flight": (DEFERRABLE,),
}
PLAYED = [(name, mode) for name, modes in DEATHS.items() for mode in modes]


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, str], Played]:
    """All of them played, side by side."""
    rows = [
        _on_this_airflow(replace(row, ends={mode: row.ends[mode] for mode in DEATHS[row.name]}))
        for row in ROWS
        if row.name in DEATHS
    ]
    return {(one.row.name, one.mode): one for one in play_all(rows, print)}


def _on_this_airflow(row: Row) -> Row:
    """
    Return the row as this version plays it.

    Airflow 3.0 leaves a task that is cleared while a worker runs it in ``restarting`` for ever, whatever its
    operator: no next try comes. Its job is stopped all the same.
    """
    if row.name != "clear task" or airflow_is("3.1"):
        return row

    def clear(scene: Scene) -> None:
        assert row.act
        row.act(scene)
        if scene.dag_id.endswith(SYNC):
            scene.wait("the job to end", 60, lambda: not scene.alive())
            scene.cluster.mark_run(scene.dag_id, scene.run_id, "failed")

    return replace(row, act=clear, ends={**row.ends, SYNC: Ending.STOPPED})


@pytest.mark.parametrize(("name", "mode"), PLAYED)
def test_what_becomes_of_the_job(played: dict[tuple[str, str], Played], name: str, mode: str) -> None:
    """No job without a living owner, and never two of one task instance."""
    assert not played[name, mode].problem
