"""An Airflow as large installations run it: Celery workers behind Redis, and two of nearly everything."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.live.cluster import BIN, Cluster
from tests.live.wire import http, unused_port

DAGS = Path(__file__).parent / "dags"
DEPLOYMENT = "live-tests"
TRIGGERERS = ("triggerer", "triggerer-2")
WORKERS = ("worker-1", "worker-2")
EVERYTHING = ("api-server", "api-server-2", "scheduler", "dag-processor", *TRIGGERERS, *WORKERS)


class CeleryCluster(Cluster):
    """
    Two API servers, two triggerers, two Celery workers and a scheduler, on PostgreSQL and Redis.

    Airflow's own processes call the first API server; people may call either.

    :param keep_home: leave logs behind
    """

    def __init__(self, keep_home: bool = False) -> None:
        self._redis_port = unused_port()
        self._second_port = unused_port()
        self._readies: dict[str, int] = {}
        settings = {
            "AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID": DEPLOYMENT,
            "AIRFLOW__BATCH_CANCEL__SWEEP_MIN_AGE": "5",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.cluster.node.name",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "200",
            "AIRFLOW__CORE__PARALLELISM": "200",
            "NODE": "shell",
        }
        super().__init__(
            DAGS,
            settings,
            postgres=True,
            keep_home=keep_home,
            components=EVERYTHING,
            prepare=lambda _: self._start_redis(),
        )

    def __enter__(self) -> CeleryCluster:
        super().__enter__()
        for worker in WORKERS:
            self.wait_for_worker(worker)
        return self

    @property
    def second_url(self) -> str:
        """The address of the second API server."""
        return f"http://127.0.0.1:{self._second_port}"

    def arguments(self, component: str, port: int | None = None) -> list[str]:
        """Return the command that starts a component, a worker among them."""
        if component in WORKERS:
            name = ["--celery-hostname", component, "--without-mingle", "--without-gossip"]
            return [str(BIN / "airflow"), "celery", "worker", "--skip-serve-logs", *name]
        return super().arguments(component, self._second_port if component == "api-server-2" else port)

    def wait_for_worker(self, worker: str) -> None:
        """Wait until the process of a worker takes tasks, as its log says."""
        before = self._readies.setdefault(worker, 0)
        self._wait_for_start(worker, 120, lambda: self._log(worker).count(" ready.") > before)
        self._readies[worker] = self._log(worker).count(" ready.")

    def start_worker(self, worker: str) -> None:
        """Start a worker again, and wait until it takes tasks."""
        self.start(worker)
        self.wait_for_worker(worker)

    def lose_node(self, component: str) -> None:
        """End a component and all its descendants at once, as a node does that is lost."""
        top = psutil.Process(self.processes[component].pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes[component].wait(10)

    def worker_of(self, process: psutil.Process) -> str:
        """Return the worker that a task's process is a descendant of."""
        ancestors = {parent.pid for parent in process.parents()}
        return next(name for name in WORKERS if self.processes[name].pid in ancestors)

    def start(self, component: str, port: int | None = None) -> None:
        """Start a component, on a node called like it."""
        self.settings["NODE"] = component
        super().start(component, port)

    def airflow_as(self, deployment: str, *arguments: str) -> None:
        """Run a command of Airflow's to its end, on a machine of another deployment."""
        self.settings["AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID"] = deployment
        try:
            self.airflow(*arguments)
        finally:
            self.settings["AIRFLOW__BATCH_CANCEL__DEPLOYMENT_ID"] = DEPLOYMENT

    def roll(self) -> None:
        """Restart everything, one after the other, as an upgrade does."""
        for component in EVERYTHING:
            self._say(f"Restarting the {component}")
            self.kill(component, signal.SIGTERM, seconds=120)
            self.start(component)
            if component in WORKERS:
                self.wait_for_worker(component)
            elif component == "api-server":
                self.wait_for_api()
            elif component == "api-server-2":
                self.wait("the second API server", 90, self._second_answers)
            else:
                time.sleep(10)

    def _second_answers(self) -> bool:
        with contextlib.suppress(OSError):
            http("GET", f"{self.second_url}/api/v2/version", None, {})
            return True
        return False

    def _start_redis(self) -> None:
        with (self.home / "redis.log").open("ab") as log:
            self.processes["redis"] = subprocess.Popen(
                ["redis-server", "--bind", "127.0.0.1", "--port", str(self._redis_port), "--save", ""],
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
