"""An Airflow that serves its UI and API, a simulated AWS Batch, and runs with jobs in whatever state."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from airflow_batch_cancel.core.owner import Owner, Ownership
from tests.live.cluster import Cluster
from tests.live.wire import unused_port

DAGS = Path(__file__).parent / "dags"
DEPLOYMENT = "live-tests"
NOBODY = "http://127.0.0.1:9"
"""An address at which nobody listens."""
SECRET = "Wh1t3R4bb1t/SecretAccessKey"
TOKEN = "Ch3sh1r3C4t/SessionToken"
ROLES = ("admin", "op", "user", "viewer")


def simple_site() -> Cluster:
    """
    Airflow with its own simple auth manager, and a user of each role, called like it.

    The one called ``user`` has the DAG ``tab`` only, and the AWS connections have secrets to recognise.
    """
    cluster = Cluster(
        DAGS,
        {
            "AIRFLOW_CONN_NOWHERE": json.dumps(
                {"conn_type": "aws", "login": "x", "password": "x", "extra": {"endpoint_url": NOBODY}}
            ),
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.ui.one_dag_auth_manager.OneDagAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in ROLES),
        },
        components=["api-server"],
        login=("admin", "admin"),
        prepare=lambda cluster: cluster.airflow("dags", "reserialize"),
    )
    cluster.secret_key, cluster.session_token = SECRET, TOKEN
    passwords = cluster.home / "passwords.json"
    passwords.write_text(json.dumps({role: role for role in ROLES}))
    cluster.settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = str(passwords)
    return cluster


def fab_site() -> Cluster:
    """Airflow with the FAB auth manager, and a user of each role, called like it."""

    def prepare(cluster: Cluster) -> None:
        cluster.airflow("db", "migrate")
        cluster.python("-m", "tests.ui.fab_users", *ROLES)
        cluster.airflow("dags", "reserialize")

    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    return Cluster(
        DAGS,
        {"AIRFLOW__CORE__AUTH_MANAGER": manager},
        components=["api-server"],
        login=("admin", "admin"),
        prepare=prepare,
    )


@dataclass
class Run:
    """A run of a DAG, whose jobs are made here."""

    cluster: Cluster
    dag_id: str
    run_id: str
    job_ids: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where the plugin's API has this run."""
        return f"/batch-cancel/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}"

    @property
    def page(self) -> str:
        """The page of the run, its tab open."""
        return f"{self.cluster.url}/dags/{self.dag_id}/runs/{quote(self.run_id)}/plugin/batch-jobs-dag-run"

    def submit(
        self, task_id: str, map_index: int = -1, owned: int | None = None, xcom: bool = True, **job: Any
    ) -> str:
        """
        Submit a job for a task instance.

        :param owned: the try that owns it by its tags, as CancellableBatchOperator writes them
        :param xcom: whether the task says what it has submitted
        """
        if owned is not None:
            owner = Owner(DEPLOYMENT, self.dag_id, self.run_id, task_id, map_index, owned)
            job["tags"] = {**job.get("tags", {}), **Ownership(owner).tags()}
            job["name"] = owner.job_name(job.get("name", task_id))
        job_id: str = self.cluster.simulator("POST", "/jobs/submit", {"name": task_id, **job})["result"]
        if xcom:
            self.say_submitted(task_id, job_id, map_index)
        return job_id

    def say_submitted(
        self, task_id: str, job_id: str, map_index: int = -1, region: str = "us-east-1"
    ) -> None:
        """Let a task instance have pushed what the operators push."""
        details = {"job_id": job_id, "region_name": region, "aws_domain": "aws.amazon.com"}
        self.push(task_id, details, map_index)

    def push(self, task_id: str, value: Any, map_index: int = -1) -> None:
        """Let a task instance have pushed this as its ``batch_job_details``."""
        with self._database() as db:
            (dag_run_id,) = db.execute(
                "select id from dag_run where dag_id = ? and run_id = ?", (self.dag_id, self.run_id)
            ).fetchone()
            db.execute(
                'insert into xcom (dag_run_id, task_id, map_index, "key", dag_id, run_id, value, timestamp) '
                "values (?, ?, ?, 'batch_job_details', ?, ?, ?, ?)",
                (
                    dag_run_id,
                    task_id,
                    map_index,
                    self.dag_id,
                    self.run_id,
                    json.dumps(value),
                    datetime.now(UTC).isoformat(" "),
                ),
            )

    def set_task(self, task_id: str, state: str, try_number: int = 1, map_index: int = -1) -> None:
        """Let a task instance be at work."""
        with self._database() as db:
            db.execute(
                "update task_instance set state = ?, try_number = ? "
                "where dag_id = ? and run_id = ? and task_id = ? and map_index = ?",
                (state, try_number, self.dag_id, self.run_id, task_id, map_index),
            )

    def task_state(self, task_id: str) -> str | None:
        """Return the state of a task instance."""
        return self.cluster.task_state(self.dag_id, quote(self.run_id), task_id)

    def render(self, task_id: str, map_index: int = -1, **fields: Any) -> None:
        """Let a task instance have had its template fields rendered."""
        rendered = {"job_name": task_id, "job_queue": "default", "job_definition": "default", **fields}
        with self._database() as db:
            db.execute(
                "insert into rendered_task_instance_fields "
                "(dag_id, task_id, run_id, map_index, rendered_fields) values (?, ?, ?, ?, ?)",
                (self.dag_id, task_id, self.run_id, map_index, json.dumps(rendered)),
            )

    def audit_rows(self) -> list[dict[str, Any]]:
        """Return the audit log's rows about cancels of this run."""
        query = f"/eventLogs?event=batch_jobs.cancel&dag_id={self.dag_id}&run_id={quote(self.run_id)}"
        return list(self.cluster.api("GET", query)["event_logs"])

    def let_cancels_be_silent(self, seconds: float) -> None:
        """Let the last sign of life of every cancel that runs be so long ago."""
        with self._database() as db:
            since = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")
            db.execute("update log set dttm = ? where event = 'batch_jobs.cancel_under_way'", (since,))

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.cluster.home / "airflow.db", timeout=30)) as db, db:
            yield db


@contextlib.contextmanager
def second_api_server(cluster: Cluster) -> Iterator[str]:
    """Let a second API server work on the same database, and yield its address."""
    address = f"http://127.0.0.1:{unused_port()}"
    cluster.start("api-server-2", port=int(address.rpartition(":")[2]))
    try:
        cluster.wait("the second API server", 60, lambda: _answers(address))
        yield address
    finally:
        cluster.kill("api-server-2", signal.SIGTERM)


def _answers(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/api/v2/version").status_code == 200
    return False


def start_run(cluster: Cluster, dag_id: str = "tab") -> Run:
    """Make a run of a DAG; its task instances wait for a scheduler that is not there."""
    run = cluster.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})
    return Run(cluster, dag_id, run["dag_run_id"])


def as_user(cluster: Cluster, name: str) -> httpx.Client:
    """Return a client for this Airflow that calls as a user."""
    headers = {"Authorization": f"Bearer {cluster.token(name, name)}"}
    return httpx.Client(base_url=cluster.url, headers=headers, timeout=60)
