"""The quickstart, command by command, as it is copied and pasted."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.cluster import BIN, ROOT
from tests.live.wire import unused_port

PAGE = (ROOT / "docs" / "quickstart.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the shell starts with; what has not quite ended yet at the end is killed."""
    url = f"http://127.0.0.1:{unused_port()}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS"))}
    yield {
        **inherited,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
        "SPT_NOENV": "1",  # a process title must not overwrite the environment that is read below
        # The environment has the package already: pip only says what it would do.
        "PIP_DRY_RUN": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        # Airflow would fork a process for each of 32 tasks.
        "AIRFLOW__CORE__PARALLELISM": "4",
        # The ports of whoever tries it by hand may be in use.
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }
    for process in processes_of(tmp_path):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes of an Airflow whose home is below ``home``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("AIRFLOW_HOME", "").startswith(str(home)):
                found.append(process)
    return found


@pytest.mark.live
@pytest.mark.timeout(400)
def test_the_quickstart_works_by_copy_and_paste(environment: dict[str, str], tmp_path: Path) -> None:
    """Each command succeeds, and the job is terminated for the reason given."""
    script = "\n".join(["set -e -m", *COMMANDS]).replace("8900", str(unused_port()))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=380,
    )
    logs = "\n".join(path.read_text()[-3000:] for path in tmp_path.glob("*/*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert "Would install airflow-batch-cancel" in done.stdout
    assert re.search(r"TERMINATED.*I have seen enough|I have seen enough.*TERMINATED", done.stdout, re.DOTALL)
