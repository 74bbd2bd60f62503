"""Metrics, spans and audit lines: what a DAG run leaves behind for whoever watches."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_batch_cancel.compat import METRICS, airflow_is
from airflow_batch_cancel.core.audit import DecidedBy, audit
from airflow_batch_cancel.core.owner import Owner, Ownership
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.operators.batch import BatchCancelOperator, CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator

QUICK = {"poll_interval": timedelta(seconds=0.2), "timeout": timedelta(seconds=20)}
LINE = re.compile(r'batch_cancel\.stop((?: \w+="(?:[^"\\]|\\.)*")+)')


class Statsd:
    """A statsd server: what it was sent, summed up by name."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def sums(self) -> Counter:
        found: Counter = Counter()
        while True:
            try:
                packet = self._listener.recv(65536).decode()
            except BlockingIOError:
                return found
            for line in packet.splitlines():
                name, value = line.split("|")[0].rsplit(":", 1)
                found[name.removeprefix("airflow.")] += float(value)


@pytest.fixture
def statsd(monkeypatch) -> Iterator[Statsd]:
    """A statsd server on loopback, and an Airflow that is told to send its metrics there."""
    if not airflow_is("3.3"):
        pytest.skip("this process can not begin anew with its metrics before Airflow 3.3")
    for name in METRICS:
        if name in sys.modules:
            monkeypatch.setattr(sys.modules[name], "_factory", None)
            monkeypatch.setattr(sys.modules[name], "_backend", None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(listener.getsockname()[1]))
        yield Statsd(listener)


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """OpenTelemetry as Airflow sets it up, but that it keeps the spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def lines(caplog) -> list[dict[str, str]]:
    """The audit lines, as a program reads them."""
    found = [LINE.fullmatch(record.getMessage()) for record in caplog.records]
    pairs = (re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', match[1]) for match in found if match)
    return [{name: json.loads(value) for name, value in pair} for pair in pairs]


def owned(batch, **fields) -> str:
    owner = Owner("tests", "gone", "run", "task", -1, 1)
    return batch.submit(owner.job_name("x"), status="RUNNING", tags=Ownership(owner).tags(), **fields)


@pytest.mark.bulk_calls
def test_a_cancel_is_counted(connection, batch, statsd):
    """Each job under its outcome, each call under its operation."""
    ids = [batch.submit(status="RUNNING"), batch.submit(status="RUNNABLE"), batch.submit(status="SUCCEEDED")]
    report = BatchCancelHook().cancel_jobs(ids, Policy("why", poll_interval=timedelta(seconds=0.2)))
    sums = statsd.sums()
    assert len(report.totals) > 1
    assert {name: sums[f"batch_cancel.jobs.{name.lower()}"] for name in report.totals} == report.totals
    assert sums["batch_cancel.api_calls.TerminateJobs"] == batch.count("TerminateJobs") == 1
    assert sums["batch_cancel.api_calls.DescribeJobs"] == batch.count("DescribeJobs")


def test_a_plan_counts_no_outcomes(connection, batch, statsd):
    """Nothing has become of the jobs."""
    BatchCancelHook().cancel_jobs([batch.submit(status="RUNNING")], Policy("why"), dry_run=True)
    assert not [name for name in statsd.sums() if name.startswith("batch_cancel.jobs")]


@pytest.mark.bulk_calls
def test_throttles_and_errors_are_counted(connection, batch, statsd):
    """Those too that botocore repeats without a word."""
    job_id = batch.submit(status="RUNNING")
    batch.faults.throttle("DescribeJobs", times=2)
    batch.faults.server_error("TerminateJobs", times=1)
    BatchCancelHook().cancel_jobs([job_id], Policy("why", poll_interval=timedelta(seconds=0.2)))
    sums = statsd.sums()
    assert sums["batch_cancel.api_throttles.DescribeJobs"] == 2
    assert sums["batch_cancel.api_errors.TerminateJobs"] == 1
    assert not sums["batch_cancel.api_errors.DescribeJobs"]
    assert sums["batch_cancel.jobs.terminated"] == 1


def test_a_metric_that_can_not_be_sent_stops_no_cancel(connection, batch, monkeypatch):
    """A wrong setting of the metrics is not a job left behind."""
    monkeypatch.setattr("airflow_batch_cancel.observability.metrics", lambda: None)
    job_id = batch.submit(status="RUNNING")
    assert BatchCancelHook().cancel_jobs([job_id], Policy("why", timeout=timedelta(seconds=20))).ok


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_a_sweep_is_counted_traced_and_audited(run, batch, statsd, spans, caplog, deferrable):
    """How many orphans, how long it took, and a line for each job that it stops: which, whose, why."""
    spans.clear()
    job_id = owned(batch)
    with DAG("sweep", schedule=None) as dag:
        BatchSweepOperator(task_id="sweep", job_queues="default", min_age=timedelta(0), deferrable=deferrable)
    with caplog.at_level(logging.INFO):
        assert run(dag).state("sweep") == "success"
    sums = statsd.sums()
    assert (sums["batch_cancel.sweep.runs"], sums["batch_cancel.sweep.orphans"]) == (1, 1)
    assert sums["batch_cancel.sweep.duration"] > 0
    assert sums["batch_cancel.jobs.terminated"] == 1
    assert "batch_cancel.sweep" in [span.name for span in spans.get_finished_spans()]
    (line,) = lines(caplog)
    assert line == {
        "job": job_id,
        "owner": "gone/run/task try 1",
        "decided_by": "sweep",
        "result": "asked",
        "why": "its task, run or DAG was deleted",
    }


def test_a_task_that_fails_leaves_a_line(run, batch, caplog):
    """Its job is stopped because it ended with an error, and the line says which."""
    batch.faults.deny("DescribeJobs")
    with DAG("fails", schedule=None) as dag:
        CancellableBatchOperator(
            task_id="job", job_name="x", job_queue="default", job_definition="default", status_retries=1
        )
    with caplog.at_level(logging.INFO):
        assert run(dag).state("job") == "failed"
    (line,) = lines(caplog)
    assert (line["decided_by"], line["result"]) == ("task_error", "accepted")
    assert line["owner"].startswith("fails/")
    batch.clock.jump(60)
    assert not batch.alive()


def test_an_operator_counts_its_report_once(run, batch, statsd, spans):
    """Also when it has waited in the triggerer."""
    job_id = batch.submit(status="RUNNING")
    with DAG("counts", schedule=None) as dag:
        BatchCancelOperator(task_id="cancel", job_ids=job_id, deferrable=True, **QUICK)
    assert run(dag).state("cancel") == "success"
    assert statsd.sums()["batch_cancel.jobs.terminated"] == 1


@pytest.mark.parametrize("forged", ['x" decided_by="nobody', "two\nlines", "\x1b[2J", "🙂\\"])
def test_no_value_can_forge_a_line(caplog, forged):
    """Ids and reasons come from others; a line stays one line with its own pairs."""
    with caplog.at_level(logging.INFO):
        audit(DecidedBy.SWEEP, "job", forged, forged)
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    (line,) = lines(caplog)
    assert (line["decided_by"], line["owner"], line["why"]) == ("sweep", forged, forged)


def test_every_decision_and_metric_is_documented():
    """What is not in the reference can not be alerted on."""
    from pathlib import Path

    root = Path(__file__).parents[2]
    text = (root / "docs/reference/metrics.md").read_text()
    for decision in DecidedBy:
        assert f"`{decision}`" in text
    source = (root / "airflow_batch_cancel/observability.py").read_text()
    for name in re.findall(r"\{PREFIX\}\.([a-z_.]+)", source):
        assert f"batch_cancel.{name}" in text, name


COUNTED = """
from airflow_batch_cancel.observability import count_calls
from airflow_batch_cancel.simulator import BatchSimulator
count_calls(BatchSimulator().client()).describe_jobs(jobs=["x"])
"""


def test_a_process_of_any_airflow_counts(tmp_path):
    """Each version keeps its metrics elsewhere; one that has initialised none is a command line."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        settings = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": listener.getsockname()[1]}
        environment = {f"AIRFLOW__METRICS__{name}": str(value) for name, value in settings.items()}
        home = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
        subprocess.run([sys.executable, "-c", COUNTED], env={**home, **environment}, check=True)
        assert Statsd(listener).sums()["batch_cancel.api_calls.DescribeJobs"] == 1
