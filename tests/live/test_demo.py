"""``make demo``, as it is run by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.live.cluster import ROOT


@pytest.mark.live
@pytest.mark.timeout(240)
def test_the_demo_cancels_every_job() -> None:
    """It exits with 0, and its table has an outcome for a job in every state."""
    command = [sys.executable, "-m", "tests.live.demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("RUNNING", "RUNNABLE", "PENDING (", "TERMINATED", "CANCELLED", "no job is alive"):
        assert text in done.stdout
