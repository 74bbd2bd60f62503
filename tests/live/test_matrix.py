"""The kill matrix, its most telling rows; ``make matrix`` plays all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.live.matrix.play import Played, play_all
from tests.live.matrix.rows import ROWS

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

TELLING = [replace(row, ends={mode: row.ends[mode] for mode in row.in_test}) for row in ROWS if row.in_test]


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, str], Played]:
    """All of them played, side by side where they do not disturb each other."""
    return {(one.row.name, one.mode): one for one in play_all(TELLING, print)}


@pytest.mark.parametrize(("name", "mode"), [(row.name, mode) for row in TELLING for mode in row.ends])
def test_what_becomes_of_the_job(played: dict[tuple[str, str], Played], name: str, mode: str) -> None:
    """No job without a living owner, never two of one task instance, and no healthy job stopped."""
    assert not played[name, mode].problem
