"""What pages tell their readers to type, and which files they show."""

from __future__ import annotations

import re
import shlex

import pytest
from airflow.cli import cli_parser

from tests.docs.pages import DOCS, ROOT, commands

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))]
BATCH_CANCEL = [
    (page, command) for page in PAGES for command in commands(page) if "airflow batch-cancel" in command
]
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))


@pytest.mark.parametrize(("page", "command"), BATCH_CANCEL, ids=str)
def test_a_command_parses(page, command):
    """Airflow's own parser takes it."""
    arguments = re.split(r"[|;&>]", command[command.index("airflow batch-cancel") :])[0]
    parsed = cli_parser.get_parser().parse_args(shlex.split(arguments)[1:])
    assert callable(parsed.func)


def test_commands_of_readme_are_run():
    """By the test of the quickstart, or by that of the demo; ``make test`` is what runs this."""
    quickstart = commands("docs/quickstart.md")
    for command in commands("README.md"):
        assert command in quickstart or command in ("make demo", "make test"), command


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_how_to_shows_code_that_is_run(page):
    """What it shows of Python is included from an example or a test, never written on the page."""
    text = page.read_text()
    assert "```python" not in text
    for path in re.findall(r"\{literalinclude\} (\S+)", text):
        shown = (page.parent / path).resolve()
        assert shown.parent in (ROOT / "example_dags", ROOT / "tests" / "airflow")


def test_a_how_to_is_a_verb():
    """Its title is an order to do something."""
    first = {page.read_text().split()[1] for page in HOW_TO}
    assert first <= {
        "Adopt",
        "Alert",
        "Cancel",
        "Clean",
        "Drain",
        "Install",
        "Survive",
        "Sweep",
        "Test",
        "Use",
    }


def test_links_of_readme_lead_somewhere():
    """To a file or a folder of the repository."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
