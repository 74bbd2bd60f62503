"""Metrics and spans: through Airflow's own metrics, and through OpenTelemetry where Airflow traces."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_batch_cancel.aws.errors import api_error
from airflow_batch_cancel.aws.sweep import SweepReport
from airflow_batch_cancel.compat import metrics
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.exceptions import ThrottledError

log = logging.getLogger(__name__)

PREFIX = "batch_cancel"


def _harmless(record: Callable[..., None]) -> Callable[..., None]:
    """Let no metric that can not be sent become the error of a stop."""

    @functools.wraps(record)
    def recorded(*args: Any, **kwargs: Any) -> None:
        try:
            record(*args, **kwargs)
        except Exception:
            log.exception("A metric is lost")

    return recorded


@_harmless
def count_outcomes(report: CancelReport) -> None:
    """Count the jobs of a report by their outcomes, ``batch_cancel.jobs.<outcome>``; a plan has none."""
    if not report.dry_run:
        for outcome, count in report.totals.items():
            metrics().incr(f"{PREFIX}.jobs.{outcome.lower()}", count)


@_harmless
def count_sweep(report: SweepReport) -> None:
    """Count what a sweep has found, and how long it took."""
    stats = metrics()
    stats.incr(f"{PREFIX}.sweep.runs")
    stats.incr(f"{PREFIX}.sweep.orphans", report.totals.get("ORPHAN", 0))
    stats.incr(f"{PREFIX}.sweep.not_stopped", len(report.failed))
    stats.incr(f"{PREFIX}.sweep.problems", len(report.problems) + report.stopped_by_brake)
    stats.gauge(f"{PREFIX}.sweep.live_jobs", sum(report.totals.values()))
    stats.timing(f"{PREFIX}.sweep.duration", report.seconds * 1000)
    for row in report.rows:
        if row.outcome is not None:
            stats.incr(f"{PREFIX}.jobs.{row.outcome.lower()}")


def count_calls(client: Any) -> Any:
    """
    Count the calls that a botocore client makes, each of its own retries too; returns the client.

    ``batch_cancel.api_calls.<operation>``, and ``api_throttles`` and ``api_errors`` likewise.
    """
    client.meta.events.register("response-received.batch", _count_call, unique_id=f"{PREFIX}-calls")
    return client


@_harmless
def _count_call(event_name: str, parsed_response: Any = None, exception: Any = None, **_: Any) -> None:
    operation = event_name.rpartition(".")[2]
    stats = metrics()
    stats.incr(f"{PREFIX}.api_calls.{operation}")
    answer = parsed_response or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(answer.get("Error", {}).get("Code", ""))
    if isinstance(api_error(operation, code, "", status), ThrottledError):
        stats.incr(f"{PREFIX}.api_throttles.{operation}")
    elif exception is not None or status >= 300:
        stats.incr(f"{PREFIX}.api_errors.{operation}")


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """
    Trace what is done inside, where Airflow has ``[traces] otel_on``.

    Airflow offers providers no tracer of its own; it makes OpenTelemetry's global one, which is used here.

    :param name: without the prefix
    :param attributes: strings and numbers
    """
    try:
        from opentelemetry import trace
    except ImportError:
        yield
        return
    named = {f"{PREFIX}.{key}": value for key, value in attributes.items()}
    with trace.get_tracer(PREFIX).start_as_current_span(f"{PREFIX}.{name}", attributes=named):
        yield
