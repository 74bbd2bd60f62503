"""The documentation, as far as tests read it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
Row = list[str]


def table(page: str, first_heading: str) -> list[Row]:
    """Return the rows of the table on a page that has this first heading; ``LookupError`` without it."""
    lines = (ROOT / page).read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith(f"| {first_heading} |"):
            body = lines[number + 2 :]
            end = next((index for index, row in enumerate(body) if not row.startswith("|")), len(body))
            return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in body[:end]]
    raise LookupError(f"{page} has no table with the heading {first_heading!r}")


def code(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def names(page: str, first_heading: str) -> list[str]:
    """Return what stands in backticks in the first column of a table."""
    return [name for row in table(page, first_heading) for name in code(row[0])]


def commands(page: str) -> list[str]:
    """Return what the page tells its reader to type, in order."""
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
