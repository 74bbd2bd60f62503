"""The shortest kill test: of what a task dies most, in both modes, on whatever Airflow this is run with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.live.matrix.play import Played, play_all
from tests.live.matrix.rows import DEFERRABLE, ROWS, SYNC

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
        replace(row, ends={mode: row.ends[mode] for mode in DEATHS[row.name]})
        for row in ROWS
        if row.name in DEATHS
    ]
    return {(one.row.name, one.mode): one for one in play_all(rows, print)}


@pytest.mark.parametrize(("name", "mode"), PLAYED)
def test_what_becomes_of_the_job(played: dict[tuple[str, str], Played], name: str, mode: str) -> None:
    """No job without a living owner, and never two of one task instance."""
    assert not played[name, mode].problem
