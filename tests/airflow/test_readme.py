"""A DAG in README works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
