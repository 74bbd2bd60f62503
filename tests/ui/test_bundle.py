"""The bundle in the repository, which everybody gets and nobody builds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

UI = Path(__file__).parents[2] / "airflow_batch_cancel" / "ui"
BUNDLE = UI / "dist" / "batch-jobs.js"


def npm(*arguments: str) -> str:
    done = subprocess.run(["npm", "run", "--silent", *arguments], cwd=UI, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_are_sound():
    """``tsc`` finds nothing, against the types of the libraries that Airflow lends."""
    npm("check")


def test_the_bundle_is_what_the_source_builds_to(tmp_path):
    """Byte by byte; ``make bundle`` makes it so."""
    built = tmp_path / "batch-jobs.js"
    npm("build", "--", f"--outfile={built}")
    assert built.read_bytes() == BUNDLE.read_bytes()


def test_the_bundle_is_small():
    """Under 50 kB: it is fetched with the page."""
    assert BUNDLE.stat().st_size < 50_000


def test_nothing_of_others_is_in_the_bundle(tmp_path):
    """It is made of this package's files only, and fetches no others."""
    told = tmp_path / "told.json"
    npm("build", "--", f"--outfile={tmp_path / 'x.js'}", f"--metafile={told}")
    inputs = json.loads(told.read_text())["inputs"]
    assert len(inputs) > 5
    assert [name for name in inputs if not name.startswith("src/")] == []
    assert [one for name in inputs.values() for one in name["imports"] if one.get("external")] == []
    assert "://" not in BUNDLE.read_text()
