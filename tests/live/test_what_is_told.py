"""What a live Airflow tells, and what it keeps to itself: metrics, spans, audit lines and secrets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_batch_cancel.core.owner import Owner, Ownership
from tests.live.cluster import Cluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SECRET = "Wh1t3R4bb1t/SecretAccessKey"
TOKEN = "Ch3sh1r3C4t/SessionToken"


@pytest.fixture(scope="module")
def statsd() -> Iterator[socket.socket]:
    """Where Airflow's metrics go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        yield listener


@pytest.fixture(scope="module")
def otlp() -> Iterator[tuple[str, list[bytes]]]:
    """Where Airflow's spans go: an OTLP receiver that keeps what it is sent."""
    received: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def cluster(statsd, otlp) -> Iterator[Cluster]:
    """An Airflow that is watched, with secrets that can be recognised."""
    settings = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        "AIRFLOW__TRACES__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": otlp[0],
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
    }
    cluster = Cluster(Path(__file__).parent / "observed_dags", settings)
    cluster.secret_key, cluster.session_token = SECRET, TOKEN
    with cluster:
        yield cluster


def received(statsd: socket.socket) -> str:
    packets = []
    while True:
        try:
            packets.append(statsd.recv(65536).decode())
        except BlockingIOError:
            return "\n".join(packets)


def written(cluster: Cluster) -> bytes:
    """Everything that Airflow has left on the disk, its database included."""
    return b"\n".join(path.read_bytes() for path in cluster.home.rglob("*") if path.is_file())


def test_what_is_told_and_what_is_not(cluster, statsd, otlp):
    """Kills and a sweep leave metrics, spans and a line each, and no secret anywhere."""
    run_id = cluster.trigger("observed")
    cluster.wait("two jobs", 90, lambda: len(cluster.batch_alive()) == 2)
    cluster.wait_for_task("observed", run_id, "deferred", "deferred")
    cluster.wait(
        "a triggerer to take it up",
        60,
        lambda: cluster.task_instance("observed", run_id, "deferred")["triggerer_job"],
    )
    for task_id in ("worker", "deferred"):
        cluster.mark_task("observed", run_id, task_id, "failed")
    cluster.wait("both jobs to end", 60, lambda: not cluster.batch_alive())

    owner = Owner("live-tests", "gone", "run", "task", -1, 1)
    orphan = {"name": owner.job_name("x"), "status": "RUNNING", "tags": Ownership(owner).tags()}
    job_id = cluster.simulator("POST", "/jobs/submit", orphan)["result"]
    swept = cluster.trigger("observed_sweep")
    ended = cluster.wait_for_run("observed_sweep", swept)
    assert ended == "success", cluster.task_log("observed_sweep", swept, "sweep")
    assert not cluster.batch_alive()

    lines = written(cluster).replace(b'\\"', b'"').decode(errors="replace")
    for decision in ("on_kill_worker", "on_kill_triggerer", "sweep"):
        assert f'decided_by="{decision}"' in lines
    assert f'batch_cancel.stop job="{job_id}" owner="gone/run/task try 1"' in lines

    metrics = received(statsd)
    for name in ("sweep.orphans:1|c", "sweep.duration:", "jobs.terminated:1|c", "api_calls.SubmitJob:1|c"):
        assert f"batch_cancel.{name}" in metrics
    cluster.wait("the spans", 30, lambda: b"batch_cancel.sweep" in b"".join(otlp[1]))
    assert b"batch_cancel.submit" in b"".join(otlp[1])

    for secret in (SECRET, TOKEN):
        assert secret not in lines
        assert secret not in metrics
        assert secret.encode() not in b"".join(otlp[1])
        assert secret not in str(cluster.xcom("observed_sweep", swept, "sweep"))
