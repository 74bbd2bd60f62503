"""What the benchmark has found, as text for a terminal and for the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table of text.

    :param head: the names of the columns
    :param rows: a text for each column
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return it as Markdown that is also read well as it is."""
        widths = [
            max(len(row[column]) for row in (self.head, *self.rows)) for column in range(len(self.head))
        ]
        rule = [
            "-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)
        ]
        return "\n".join(_line(row, widths) for row in (self.head, rule, *self.rows))


@dataclass(frozen=True, slots=True)
class Section:
    """
    One part of the benchmark.

    :param title: its heading
    :param parts: paragraphs and tables, in order
    :param data: the same for a program
    """

    title: str
    parts: Sequence[str | Table]
    data: Any = field(default=None, compare=False)

    def markdown(self) -> str:
        """Return it as Markdown."""
        texts = (part.markdown() if isinstance(part, Table) else part for part in self.parts)
        return "\n\n".join([f"## {self.title}", *texts])


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    names = ("apache-airflow", "apache-airflow-providers-amazon", "botocore")
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def machine_sentence() -> str:
    """Return the machine as a sentence."""
    on = machine()
    return (
        f"Measured on {on['cores']} cores of {on['cpu']}, with Python {on['python']}, "
        f"Airflow {on['apache-airflow']}, amazon provider {on['apache-airflow-providers-amazon']} "
        f"and botocore {on['botocore']}."
    )


def seconds(value: float) -> str:
    """Return seconds with as many digits as mean something."""
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def times(value: float) -> str:
    """Return a ratio."""
    return f"{value:.2f} ×" if value < 10 else f"{value:,.0f} ×"


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
