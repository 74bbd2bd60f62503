"""A real Airflow as processes on loopback, with a simulated AWS Batch beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
AIRFLOW = ("scheduler", "dag-processor", "triggerer", "api-server")
ENDED = ("success", "failed")


class Cluster:
    """
    Scheduler (LocalExecutor), DAG processor, triggerer, API server, simulator; SQLite; a home of their own.

    Everything that was started is ended when the context is left, descendants included.

    :param dags: the folder with the DAGs
    :param settings: more of Airflow's environment
    :param say: is told what is going on
    """

    def __init__(
        self,
        dags: Path,
        settings: dict[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="batch-cancel-"))
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.simulator_url = ""
        self._dags = dags
        self._settings = settings or {}
        self._say = say
        self._token = ""

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process and remove the home."""
        mine = [process.pid for process in self.processes.values()]
        victims = [process for pid in mine for process in _family(pid)]
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(victims, timeout=8)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        for started in self.processes.values():
            started.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self, component: str) -> None:
        """Start one of Airflow's components."""
        arguments = [str(BIN / "airflow"), component]
        if component == "api-server":
            arguments += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        self._spawn(component, arguments)

    def kill(self, component: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one component, not to its children, and wait for its end."""
        process = self.processes[component]
        process.send_signal(how)
        process.wait(30)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's public REST API; ``path`` is relative to ``/api/v2``."""
        return _http(method, f"{self.url}/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def simulator(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's own paths; ``path`` is relative to ``/_simulator``."""
        return _http(method, f"{self.simulator_url}/_simulator{path}", body, {})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run of a DAG, as soon as Airflow knows the DAG, and return its id."""
        self.wait(f"DAG {dag_id}", 90, lambda: self._exists(f"/dags/{dag_id}"))
        self.api("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        return str(self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 120) -> str:
        """Wait until a run has ended, and return how."""
        self.wait(f"run {run_id}", seconds, lambda: self.run_state(dag_id, run_id) in ENDED)
        return self.run_state(dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        return list(self.api("GET", path)["task_instances"])

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """Return the state of a task instance that is not mapped."""
        state = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")["state"]
        return None if state is None else str(state)

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = 60
    ) -> None:
        """Wait until a task instance is in one of the states."""
        what = f"{task_id} to be {' or '.join(states)}"
        self.wait(what, seconds, lambda: self.task_state(dag_id, run_id, task_id) in states)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom of a task instance that is not mapped."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=false"
        value = self.api("GET", path)["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the log of a task instance that is not mapped."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}?full_content=true"
        lines = self.api("GET", path)["content"]
        return "\n".join(line.get("event", "") if isinstance(line, dict) else str(line) for line in lines)

    def jobs(self) -> list[dict[str, Any]]:
        """Return the simulator's jobs as they really are."""
        return list(self.simulator("GET", "/jobs"))

    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> None:
        """Wait until ``ready`` says so; when it does not in time, the error shows the end of every log."""
        ends = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > ends:
                raise TimeoutError(f"waited {seconds} s for {what}\n{self._log_ends()}")
            for name, process in self.processes.items():
                if process.poll() is not None and name == "api-server":
                    raise RuntimeError(f"{name} has ended\n{self._log_ends()}")
            time.sleep(0.3)

    def _start(self) -> None:
        self._say("Starting a simulated AWS Batch")
        self._spawn("simulator", [sys.executable, "-m", "airflow_batch_cancel.simulator"])
        self.wait("the simulator", 30, lambda: "Listening" in self._log("simulator"))
        self.simulator_url = self._log("simulator").split("Listening on ")[1].split()[0]
        self._say("Making the metadata database (SQLite)")
        log = (self.home / "migrate.log").open("wb")
        subprocess.run(
            [str(BIN / "airflow"), "db", "migrate"], env=self._env(), stdout=log, stderr=log, check=True
        )
        self._say("Starting scheduler, DAG processor, triggerer and API server")
        for component in AIRFLOW:
            self.start(component)
        self.wait("the API server", 90, self._log_in)

    def _log_in(self) -> bool:
        try:
            self._token = _http("GET", f"{self.url}/auth/token", None, {})["access_token"]
        except (OSError, ValueError):
            return False
        return True

    def _exists(self, path: str) -> bool:
        try:
            self.api("GET", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True

    def _spawn(self, name: str, arguments: list[str]) -> None:
        log = (self.home / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            arguments, env=self._env(), cwd=self.home, stdout=log, stderr=log, start_new_session=True
        )

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def _log_ends(self) -> str:
        logs = {path.name: path.read_text(errors="replace") for path in self.home.glob("*.log")}
        return "\n".join(f"--- {name}\n{text[-1500:]}" for name, text in logs.items())

    def _env(self) -> dict[str, str]:
        connection = {
            "conn_type": "aws",
            "login": "simulated",
            "password": "simulated",
            "extra": {"region_name": "us-east-1", "endpoint_url": self.simulator_url},
        }
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_"))
        }
        return {
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID": "live",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-for-tests-only-of-64-characters-0123456789",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            **self._settings,
        }


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _http(method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url,
        data,
        {**headers, "Content-Type": "application/json", "Accept": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM leave contexts as Ctrl-C does."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
