"""Runs the tests on every version of Airflow that a file here names, and makes the table of versions."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.written_pages import table_row, write_part

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "explanation" / "versions.md")
TIERS = ("tests/core", "tests/aws", "tests/airflow", "-m", "not live")
KILL = ("tests/versions/kill.py",)
KILLED_ON = ("3.0.6", "3.3.2")
COLUMNS = (
    "Airflow",
    "amazon provider",
    "boto3",
    "Python",
    "stop calls",
    "core and Airflow tests",
    "kill test",
    "tab, command line",
)
_SECONDS = 1800
_SHOWN = 20_000
"""How much of the end of what pytest says is shown, in characters."""
_ASK = """
import json, platform
from importlib.metadata import version
from airflow_batch_cancel.simulator.wire import service_model
names = ("apache-airflow-core", "apache-airflow-providers-amazon", "boto3")
bulk = "TerminateJobs" in service_model().operation_names
print(json.dumps([*map(version, names), platform.python_version(), "bulk" if bulk else "single"]))
"""


@dataclass(frozen=True)
class Ran:
    """
    What came of some tests.

    :param failed: names
    """

    passed: int
    skipped: int
    failed: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{self.passed} passed" + (f", {self.skipped} skipped" if self.skipped else "")
        return f"{counts}, **{len(self.failed)} failed**" if self.failed else counts


def run(version: str, tests: Sequence[str]) -> Ran:
    """Run tests with the Airflow of a version. Its dependencies may warn each other: that is theirs."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as found:
        command = [_python(version), "-m", "pytest", *tests, "-q", "-W", "default", "--disable-warnings"]
        options = ["-p", "no:cacheprovider", f"--junitxml={found.name}", "--tb=short"]
        done = subprocess.run(
            [*command, *options], cwd=ROOT, timeout=_SECONDS, check=False, capture_output=True, text=True
        )
        print(f"--- {version}: {' '.join(tests)}\n{done.stdout[-_SHOWN:]}{done.stderr[-_SHOWN:]}", flush=True)
        if done.returncode not in (0, 1):
            return Ran(0, 0, (f"pytest ended with {done.returncode}",))
        return _read(Path(found.name))


def _read(report: Path) -> Ran:
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = tuple(
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Ran(len(cases) - len(failed) - skipped, skipped, failed)


def row(version: str, tiers: Ran, kill: Ran | None) -> tuple[str, tuple[str, ...]]:
    """Return a version's line of the table, and the names of what failed on it."""
    asked = subprocess.run(
        [_python(version), "-c", _ASK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    airflow, amazon, boto3, python, calls = json.loads(asked.stdout.splitlines()[-1])
    tab = "yes" if tuple(map(int, airflow.split(".")[:2])) >= (3, 2) else "no"
    cells = (airflow, amazon, boto3, python, calls, str(tiers), str(kill or "not run"), tab)
    return table_row(cells), tiers.failed + (kill.failed if kill else ())


def as_table(lines: Sequence[str]) -> str:
    """Return the table, as Markdown."""
    return "\n".join([table_row(COLUMNS), table_row(["---"] * len(COLUMNS)), *lines])


def write(table: str) -> None:
    """Put the table into its pages."""
    for page in PAGES:
        write_part(page, "test-versions", table)


def main() -> int:
    """Run all versions, or one; return whether anything failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="this version")
    parser.add_argument("--write", action="store_true", help="write the table into its pages")
    arguments = parser.parse_args()
    versions = sorted(file.stem for file in HERE.glob("*.txt"))
    versions = [version for version in versions if arguments.only in version]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tiers = list(pool.map(lambda version: run(version, TIERS), versions))
    kills = [run(version, KILL) if version in KILLED_ON else None for version in versions]
    played = [row(*of_version) for of_version in zip(versions, tiers, kills, strict=True)]
    table = as_table([of_version for of_version, _ in played])
    print(table)
    if arguments.write and not arguments.only:
        write(table)
    failed = [name for _, names in played for name in names]
    print(*failed, sep="\n")
    return bool(failed)


def _python(version: str) -> str:
    return str(ROOT / f".venv-{version}" / "bin" / "python")


if __name__ == "__main__":
    sys.exit(main())
