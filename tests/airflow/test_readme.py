"""What README and the examples say is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_batch_cancel.core.report import Outcome
from airflow_batch_cancel.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r'DAG\("(\w+)"', block)[1])
def test_a_dag_can_be_copied_and_pasted(run, batch, block):
    """The block runs as it stands, and its jobs are gone at the end."""
    scope: dict[str, object] = {}
    exec(compile(block.replace("poke_interval=10", "poke_interval=0.3"), "README.md", "exec"), scope)
    dag = scope["dag"]
    batch.add_job_definition("default", run_seconds=10)
    ran = run(dag)
    assert ran.run.state == "success"
    assert not batch.alive()


def test_every_setting_is_explained():
    """With its default."""
    for name, option in get_provider_info()["config"]["batch_cancel"]["options"].items():
        default = f"`{option['default']}`" if option["default"] else ""
        assert f"| `{name}` | {default}" in README


def test_every_command_is_a_target_of_the_makefile():
    """A newcomer types what the README shows."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    commands = re.findall(r"^\$ make (\w+)", README, flags=re.MULTILINE)
    assert commands == ["demo", "test"]
    assert set(commands) <= targets


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_explained(outcome):
    """With its one line."""
    assert f"| `{outcome}` | " in README
