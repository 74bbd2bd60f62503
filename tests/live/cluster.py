"""A real Airflow as processes on loopback, with a simulated AWS Batch beside it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from tests.live.airflow_api import AirflowApi
from tests.live.batch_calls import BatchCalls
from tests.live.postgres import Postgres
from tests.live.wire import http, unused_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)

# Defaults that a test would wait minutes for.
_IMPATIENT = {
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class Cluster(AirflowApi, BatchCalls):
    """
    API server, scheduler (LocalExecutor), DAG processor, triggerer and simulator, on a database of its own.

    Everything that was started is ended when the context is left, descendants included, and also when
    that happens by Ctrl-C or SIGTERM.

    :param dags: the folder with the DAGs
    :param settings: more environment for every process; also an attribute, to be added to before the start
    :param say: is told what is going on
    :param keep_home: leave logs and database behind
    :param postgres: on PostgreSQL rather than SQLite, for more than a few tasks at once
    :param components: which of ``AIRFLOW`` to start
    :param login: name and password of who calls the API, where not everybody is an administrator
    :param prepare: is called before Airflow is started, when there is a database
    """

    def __init__(
        self,
        dags: Path,
        settings: dict[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
        keep_home: bool = False,
        postgres: bool = False,
        components: Sequence[str] = AIRFLOW,
        login: tuple[str, str] | None = None,
        prepare: Callable[[Cluster], object] = lambda _: None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="batch-cancel-live-"))
        self.url = f"http://127.0.0.1:{unused_port()}"
        self.simulator_url = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._dags = dags
        self.settings = dict(settings or {})
        self.secret_key = "test"
        self.session_token = "test"
        self._say = say
        self._keep_home = keep_home
        self._postgres = Postgres() if postgres else None
        self._components = components
        self._login = login
        self._prepare = prepare
        self.bearer = ""
        self._seeds = itertools.count()
        self._stopped = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Cluster:
        self._take_signals()
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process, the orphans of killed ones too, and remove the home."""
        self._stopped = True
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them
        try:
            _end(self.living(), patience=6)
            _end(self.living(), patience=1)
            for started in self.processes.values():
                started.wait(5)
            if not self._keep_home:
                shutil.rmtree(self.home, ignore_errors=True)
            if self._postgres:
                self._postgres.remove()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}

    def living(self) -> list[psutil.Process]:
        """Return the processes of this cluster: descendants, and whatever lives in its home."""
        found: dict[int, psutil.Process] = {}
        for started in self.processes.values():
            if started.poll() is None:
                found |= {process.pid: process for process in _family(started.pid)}
        for process in psutil.process_iter():
            if process.pid not in found and self._is_ours(process):
                found[process.pid] = process
        return list(found.values())

    def start(self, component: str, port: int | None = None) -> None:
        """
        Start one component: one of ``AIRFLOW``, or a ``simulator`` that knows of no jobs.

        There may be more than one of a kind: ``triggerer-2``.

        :param port: of an API server; None for the one of this cluster's address
        """
        arguments = self.arguments(component, port)
        with (self.home / f"{component}.log").open("ab") as log:
            self.processes[component] = subprocess.Popen(
                arguments, env=self._env(), cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )

    def arguments(self, component: str, port: int | None = None) -> list[str]:
        """Return the command that starts a component."""
        if component == "simulator":
            command = [sys.executable, "-m", "airflow_batch_cancel.simulator"]
            command += ["--port", self.simulator_url.rpartition(":")[2] or "0"]
            return [*command, "--seed", str(next(self._seeds))]  # another one's jobs have other ids
        command = [str(BIN / "airflow"), re.sub(r"-\d+$", "", component)]
        if component.startswith("api-server"):
            address = ["--host", "127.0.0.1", "--port", str(port or self.url.rpartition(":")[2])]
            return [*command, *address, "--workers", "1"]
        if component == "scheduler" or component.startswith("triggerer"):
            command += ["--skip-serve-logs"]  # that server is open to the network; the files are here
        return command

    def kill(
        self,
        component: str,
        number: signal.Signals = signal.SIGKILL,
        group: bool = False,
        seconds: float = 30,
    ) -> None:
        """
        Send a signal to one component, and wait for its end when it is an ending one.

        :param group: send it to the whole process group; else the component's children get nothing
        :param seconds: how long to wait before SIGKILL follows
        """
        process = self.processes[component]
        (os.killpg if group else os.kill)(process.pid, number)
        if number not in _ENDING_SIGNALS:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def freeze(self, component: str) -> None:
        """Stop a component and its children in their tracks, as an overloaded machine does."""
        for process in _family(self.processes[component].pid):
            process.suspend()

    def thaw(self, component: str) -> None:
        """Let a frozen component go on."""
        for process in reversed(_family(self.processes[component].pid)):
            process.resume()

    def restart(self, component: str) -> None:
        """Start a component again, after it was ended by SIGTERM if it still ran."""
        if self.processes[component].poll() is None:
            self.kill(component, signal.SIGTERM)
        self.start(component)
        if component == "api-server":
            self.wait_for_api()

    def airflow(self, *arguments: str) -> None:
        """Run a command of Airflow's to its end."""
        self._run(str(BIN / "airflow"), *arguments)

    def python(self, *arguments: str) -> None:
        """Run a program with Airflow's environment to its end."""
        self._run(sys.executable, *arguments)

    def ask(self, module: str, given: Any) -> Any:
        """Run a module within the environment of this Airflow; it gets and gives JSON."""
        with (self.home / "commands.log").open("ab") as log:
            command = [sys.executable, "-m", module]
            ended = subprocess.run(
                command,
                env=self._env(),
                cwd=self.home,
                input=json.dumps(given).encode(),
                stdout=subprocess.PIPE,
                stderr=log,
                check=True,
            )
        return json.loads(ended.stdout.splitlines()[-1])

    def token(self, name: str, password: str) -> str:
        """Log somebody in, and return the token."""
        body = {"username": name, "password": password}
        return str(http("POST", f"{self.url}/auth/token", body, {})["access_token"])

    def wait_for_api(self) -> None:
        """Wait until the API server answers."""
        self.wait("the API server", 90, self._log_in)

    def task_processes(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> dict[str, psutil.Process]:
        """Return the ``runner`` of a running task instance, and its ``supervisor``, if it has any."""
        title = f"airflow worker -- {self.task_instance(dag_id, run_id, task_id, map_index)['id']}"
        for process in self.living():
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                if title in " ".join(process.cmdline()) and parent is not None:
                    return {"runner": process, "supervisor": parent}
        return {}

    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> None:
        """Wait until ``ready`` says so; when it does not in time, the error shows the end of every log."""
        ends = time.monotonic() + seconds
        while not ready():
            if self._stopped:
                raise RuntimeError(f"the cluster was stopped during the wait for {what}")
            if time.monotonic() > ends:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}\n{self._log_ends()}")
            time.sleep(0.3)

    def _run(self, *command: str) -> None:
        with (self.home / "commands.log").open("ab") as log:
            subprocess.run(command, env=self._env(), cwd=self.home, stdout=log, stderr=log, check=True)

    def _start_all(self) -> None:
        self._say("Starting a simulated AWS Batch")
        self.start("simulator")
        self._start_postgres() if self._postgres else self._copy_sqlite()
        self._wait_for_start("simulator", 30, lambda: "Listening on " in self._log("simulator"))
        self.simulator_url = self._log("simulator").split("Listening on ")[1].split()[0]
        self._prepare(self)
        self._say(f"Starting Airflow: {', '.join(self._components)}")
        for component in self._components:
            self.start(component)
        self._wait_for_start("api-server", 90, self._log_in)

    def _wait_for_start(self, component: str, seconds: float, ready: Callable[[], bool]) -> None:
        def started() -> bool:
            if self.processes[component].poll() is not None:
                raise RuntimeError(f"the {component} has ended\n{self._log_ends()}")
            return ready()

        self.wait(f"the {component} to start", seconds, started)

    def _start_postgres(self) -> None:
        assert self._postgres is not None
        self._say("Making Airflow's database (PostgreSQL)")
        self.processes["postgres"] = self._postgres.start(self.home / "postgres.log")
        self._wait_for_start("postgres", 30, self._postgres.is_ready)
        self._postgres.create_database()
        self._migrate()

    def _migrate(self) -> None:
        self.airflow("db", "migrate")

    def _copy_sqlite(self) -> None:
        """Copy the empty database of this version of Airflow, which takes long to make only once."""
        empty = Path(sys.prefix) / f"empty-airflow-{version('apache-airflow-core')}.db"
        made = self.home / "airflow.db"
        if not empty.exists():
            self._say("Making Airflow's database (SQLite), once")
            self._migrate()
            with contextlib.closing(sqlite3.connect(made)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy(made, self.home / "empty.db")
            shutil.move(self.home / "empty.db", empty.with_suffix(f".{os.getpid()}"))
            empty.with_suffix(f".{os.getpid()}").replace(empty)
        else:
            shutil.copy(empty, made)

    def _log_in(self) -> bool:
        try:
            self.bearer = (
                self.token(*self._login)
                if self._login
                else http("GET", f"{self.url}/auth/token", None, {})["access_token"]
            )
        except (OSError, ValueError):
            return False
        return True

    def _take_signals(self) -> None:
        """Let SIGTERM leave the context as Ctrl-C does."""
        if threading.current_thread() is not threading.main_thread():
            return

        def leave(*_: object) -> None:
            raise KeyboardInterrupt

        self._handlers = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            home = str(self.home)
            lives_here = home in (process.environ().get("AIRFLOW_HOME"), process.cwd())
            return lives_here and process.pid != os.getpid()
        return False

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def _log_ends(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in self.home.glob("*.log")
        )

    @property
    def _database(self) -> str:
        if self._postgres:
            return self._postgres.url
        # Several processes write; wait for the lock rather than fail after SQLite's 5 s.
        return f"sqlite:///{self.home / 'airflow.db'}?timeout=30"

    def _env(self) -> dict[str, str]:
        connection = {
            "conn_type": "aws",
            "login": "test",
            "password": self.secret_key,
            "extra": {
                "region_name": "us-east-1",
                "endpoint_url": self.simulator_url,
                "aws_session_token": self.session_token,
            },
        }
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AIRFLOW", "AWS_", "PYTEST_"))
        }
        return {
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SPT_NOENV": "1",  # a process title must not overwrite the environment that stop() reads
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW_CONN_AWS_{name}": json.dumps(connection) for name in ("DEFAULT", "SECOND", "THIRD")},
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": "no-secret-but-long-enough-to-sign-with-" * 2,
            "AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID": "live-tests",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            # Without it, processes that start at the same time each make up a key of their own.
            "AIRFLOW__CORE__FERNET_KEY": "bm8tc2VjcmV0LWJ1dC1sb25nLWVub3VnaC1hLWtleSE=",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database,
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            **_IMPATIENT,
            **self.settings,
        }


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _end(processes: list[psutil.Process], patience: float) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()  # a stopped one does not see the signal
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
