"""``airflow batch-cancel`` as a process of its own, with a terminal and signals, on Airflow's database."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk import DAG

pytestmark = [
    pytest.mark.live,
    pytest.mark.airflow("3.2", reason="providers can not add to the command line before"),
]
AIRFLOW = str(Path(sys.executable).parent / "airflow")
JOB = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}


def mind_ctrl_c():
    """What a shell starts in the background ignores SIGINT, these tests perhaps and their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(connection, metadata_db):
    """Start the command; it is killed if it outlives the test."""
    with contextlib.ExitStack() as ends:

        def start(*arguments, **streams):
            started = subprocess.Popen(
                [AIRFLOW, "batch-cancel", *arguments], text=True, preexec_fn=mind_ctrl_c, **streams
            )
            ends.callback(started.wait)
            ends.callback(started.kill)
            return started

        yield start


class Terminal:
    """What a person has in front of them: the command's standard input and standard error."""

    def __init__(self):
        self._master, self.end = pty.openpty()
        self.shown = ""

    def read_until(self, text):
        """Read until the command has shown this; None until it has ended."""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while text is None or text not in self.shown:
                self.shown += os.read(self._master, 4096).decode()

    def type(self, text):
        """Type something."""
        os.write(self._master, text.encode())

    def close(self):
        """Hang up."""
        os.close(self._master)


@pytest.fixture
def terminal():
    """A terminal to start the command in."""
    one = Terminal()
    yield one
    one.close()


def wait_until(ready):
    ends = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_person_is_asked_and_a_script_reads_what_became_of_it(start, terminal, run, batch):
    """Plan, question and progress bar are on the terminal, and only outcomes on standard output."""
    with DAG("cli_process", schedule=None) as dag:
        BatchOperator.partial(task_id="many", **JOB).expand(job_name=["a", "b"])
    chosen = ["--dag-id", "cli_process", "--run-id", run(dag).run.run_id, "--task-id", "many"]
    batch.clock.jump(5)
    command = start(
        "cancel",
        *chosen,
        "--output",
        "json",
        stdin=terminal.end,
        stderr=terminal.end,
        stdout=subprocess.PIPE,
    )
    os.close(terminal.end)
    terminal.read_until("[y/N]")
    assert len(batch.alive()) == 2
    terminal.type("y\n")
    terminal.read_until(None)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0
    assert [row["outcome"] for row in json.loads(out)] == ["TERMINATED", "TERMINATED"]
    for shown in ("TERMINATE ", "Cancel these 2 jobs?", "cancelling", "2/2", "2 TERMINATED"):
        assert shown in terminal.shown
    assert not batch.alive()


@pytest.mark.bulk_calls
def test_ctrl_c_says_what_aws_has_accepted(start, batch):
    """The stop goes on without the command, and the exit code is that of an interrupt."""
    job_id = batch.submit(status="RUNNING", stop_seconds=36000)
    command = start("cancel", job_id, "--yes", stderr=subprocess.PIPE)
    wait_until(lambda: batch.count("TerminateJobs") and batch.count("DescribeJobs") > 1)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert f"accepted the stop of 1 of 1 jobs, which goes on: {job_id}" in err
    assert "Traceback" not in err
