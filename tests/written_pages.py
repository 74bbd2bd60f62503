"""Pages of the documentation of which a part is written by a command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

END = "<!-- end -->"


def write_part(page: Path, target: str, text: str) -> None:
    """
    Put text into a page, between the marks.

    :param target: the target of the Makefile that writes it
    """
    begin = f"<!-- begin: written by make {target} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


def table_row(cells: Iterable[object]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"
