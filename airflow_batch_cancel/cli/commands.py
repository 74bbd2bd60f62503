"""What ``airflow batch-cancel`` does: the hook's own plans and reports, for people and for scripts."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import wraps
from typing import Any, NoReturn

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from airflow_batch_cancel.aws.preflight import Finding, Result, preflight
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.aws.sweep import Sweep, SweepReport
from airflow_batch_cancel.core.jobs import Job, normalise_job_ids
from airflow_batch_cancel.core.owner import Ownership, Run
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import CancelReport
from airflow_batch_cancel.database import DatabaseStates, job_ids_of_run, sweeps
from airflow_batch_cancel.exceptions import (
    ArgumentError,
    BatchCancelError,
    DeploymentIdMissingError,
)
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.observability import count_outcomes, count_sweep
from airflow_batch_cancel.settings import deployment_id, sweep_max_jobs, sweep_min_age_seconds

BAD_ARGUMENTS, PARTIAL = 2, 3
"""Exit codes, beside 0 for everything that was asked for, and 1 for an error of AWS or Airflow."""
INTERRUPTED = 130


def command(work: Callable[[Namespace], int]) -> Callable[[Namespace], NoReturn]:
    """Let what a command returns be the exit code, and an error a sentence on standard error."""

    @suppress_logs_and_warning
    @providers_configuration_loaded
    @wraps(work)
    def run(args: Namespace) -> NoReturn:
        try:
            code = work(args)
        except (ArgumentError, DeploymentIdMissingError) as error:
            _say(str(error))
            code = BAD_ARGUMENTS
        except BatchCancelError as error:
            _say(str(error))
            code = 1
        except KeyboardInterrupt:
            code = _interrupted(())
        sys.exit(code)

    return run


@command
def list_jobs(args: Namespace) -> int:
    """Show the chosen jobs."""
    hook = _hook(args)
    jobs = hook.describe_jobs(_job_ids(args, hook))
    _show(map(_job_row, jobs), args.output)
    return 0


@command
def plan(args: Namespace) -> int:
    """Show what a cancel would do."""
    hook = _hook(args)
    procedure = hook.procedure(_job_ids(args, hook), _policy(args))
    return _show_plan(procedure, args.output)


@command
def cancel(args: Namespace) -> int:
    """Cancel the chosen jobs, after a question."""
    hook = _hook(args)
    procedure = hook.procedure(_job_ids(args, hook), _policy(args))
    if args.dry_run:
        return _show_plan(procedure, args.output)
    if not args.yes:
        _show_plan(procedure)
        _ask(f"Cancel these {len(procedure.progress)} jobs?")
    try:
        _carry_out(procedure, hook)
    except KeyboardInterrupt:
        return _interrupted([procedure])
    report = procedure.report()
    count_outcomes(report)
    _show(map(_outcome_row, report.as_dict()["jobs"]), args.output)
    _say(report.summary())
    return 0 if report.ok else PARTIAL


@command
def sweep(args: Namespace) -> int:
    """Sweep queues, after a question."""
    if not deployment_id():
        raise DeploymentIdMissingError
    with create_session() as session:
        one = Sweep(
            _hook(args).gateway,
            DatabaseStates(session),
            deployment_id(),
            min_age=timedelta(seconds=sweep_min_age_seconds() if args.min_age is None else args.min_age),
            max_jobs=args.max_jobs or sweep_max_jobs(),
        )
        if args.dry_run or not args.yes:
            report = one.run(args.job_queue, dry_run=True)
            if args.dry_run or not report.totals.get("ORPHAN"):
                return _show_sweep(report, args.output)
            _show_sweep(report)
            _ask(f"Stop these {report.totals['ORPHAN']} orphans?")
        try:
            with _bar("sweeping"):
                report = one.run(args.job_queue)
            count_sweep(report)
        except KeyboardInterrupt:
            return _interrupted(one.procedures)
        return _show_sweep(report, args.output)


@command
def check(args: Namespace) -> int:
    """Show what works, and what is missing."""
    with create_session() as session:
        found = [*preflight(_hook(args).gateway, args.job_queue or []), *_check_airflow(sweeps(session))]
    _show(map(asdict, found), args.output)
    missing = sum(finding.result is Result.MISSING for finding in found)
    _say(f"{missing} things are missing" if missing else "Nothing is missing")
    return PARTIAL if missing else 0


def _check_airflow(is_active: Mapping[str, bool]) -> Iterator[Finding]:
    """
    Look at this Airflow's settings and DAGs.

    :param is_active: the DAGs with a sweep, and whether each is active
    """
    name = deployment_id()
    note = f"{name!r}; every component must have the same" if name else str(DeploymentIdMissingError())
    yield Finding("deployment id", Result.OK if name else Result.MISSING, note)
    active = [dag_id for dag_id, active in is_active.items() if active]
    if active:
        yield Finding("sweep", Result.OK, f"active: {', '.join(active)}")
    elif is_active:
        yield Finding("sweep", Result.MISSING, f"paused: {', '.join(is_active)}")
    else:
        yield Finding("sweep", Result.MISSING, "no DAG has a BatchSweepOperator")


def _hook(args: Namespace) -> BatchCancelHook:
    return BatchCancelHook(aws_conn_id=args.aws_conn_id, region_name=args.region_name)


def _job_ids(args: Namespace, hook: BatchCancelHook) -> list[str]:
    """Return the chosen ids: the given ones, or those of a DAG run."""
    of_run = bool(args.dag_id or args.run_id or args.task_id or args.job_queue)
    if bool(args.job_ids) == of_run:
        raise ArgumentError("job_ids", args.job_ids, "either job ids, or --dag-id and --run-id")
    if args.job_ids:
        given = sys.stdin.read() if args.job_ids == ["-"] else args.job_ids
        return normalise_job_ids(given, hook.conn_region_name)
    if not (args.dag_id and args.run_id):
        missing = "--run-id" if args.dag_id else "--dag-id"
        raise ArgumentError(missing, None, "both --dag-id and --run-id")
    run = Run(deployment_id(), args.dag_id, args.run_id)
    with create_session() as session:
        found = job_ids_of_run(session, run, hook.conn_region_name, args.task_id)
    for job, ownership in hook.find_jobs(run, args.job_queue or []):
        if not args.task_id or ownership.owner.task_id in args.task_id:
            found.append(job.job_id)
    return normalise_job_ids(found)


def _policy(args: Namespace) -> Policy:
    after = None if args.terminate_after.lower() == "none" else _seconds(args.terminate_after)
    reason = args.reason or f"Cancelled by {getpass.getuser()} with airflow batch-cancel"
    return Policy(reason, after, timedelta(seconds=args.timeout))


def _seconds(value: str) -> timedelta:
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        raise ArgumentError("--terminate-after", value, "seconds, or none") from None


def _carry_out(procedure: StopProcedure, hook: BatchCancelHook) -> None:
    """Step until it is over."""
    with _bar("cancelling", len(procedure.progress)) as settled:
        while not procedure.step():
            settled(len(procedure.progress) - len(procedure.unsettled))
            hook.gateway.clock.sleep(procedure.pause)
        settled(len(procedure.progress) - len(procedure.unsettled))


@contextmanager
def _bar(doing: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar where somebody looks; yields what to call with the number that is done."""
    columns = (
        TextColumn(doing),
        BarColumn(),
        *([MofNCompleteColumn()] if total else []),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)


def _interrupted(procedures: Iterable[StopProcedure]) -> int:
    """Say what AWS Batch has been asked: it goes on without this process."""
    jobs = [one for procedure in procedures for one in procedure.progress.values()]
    asked = [one.job_id for one in jobs if one.asked]
    unanswered = [one.job_id for one in jobs if one.unanswered]
    if not (asked or unanswered):
        _say("Interrupted. AWS Batch has been asked to stop nothing")
        return INTERRUPTED
    _say(
        f"Interrupted. AWS Batch has accepted the stop of {len(asked)} of {len(jobs)} jobs, "
        f"which goes on: {', '.join(asked) or 'none'}"
    )
    if unanswered:
        _say(f"It was being asked about {len(unanswered)} more, which may end, too: {', '.join(unanswered)}")
    return INTERRUPTED


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise ArgumentError("--yes", False, "--yes, where nobody can answer a question")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        _say("Nothing was stopped")
        sys.exit(1)


def _show_plan(procedure: StopProcedure, output: str | None = None) -> int:
    """
    Show the plan.

    :param output: the format; None is a table for whoever is asked, beside what a script reads
    """
    procedure.look_and_plan()
    report: CancelReport = procedure.report(dry_run=True)
    _show(map(_outcome_row, report.as_dict()["jobs"]), output)
    _say(report.summary())
    return 0


def _show_sweep(report: SweepReport, output: str | None = None) -> int:
    names = ("job_id", "job_name", "job_queue", "owner", "verdict", "outcome", "why", "message")
    _show(({name: row[name] for name in names} for row in report.as_dict()["jobs"]), output)
    _say(report.summary())
    for problem in report.problems:
        _say(problem)
    if report.stopped_by_brake:
        _say("Nothing is stopped: there are more orphans than --max-jobs allows")
    return 0 if report.ok else PARTIAL


def _show(rows: Iterable[dict[str, Any]], output: str | None) -> None:
    AirflowConsole(stderr=output is None).print_as(data=list(rows), output=output or "table")


def _job_row(job: Job) -> dict[str, Any]:
    ownership = Ownership.of(job)
    return {
        "job_id": job.job_id,
        "job_name": job.name,
        "status": str(job.status),
        "job_queue": job.queue.rpartition("/")[2],
        "owner": str(ownership.owner) if ownership else "",
        "created_at": job.created_at.isoformat() if job.created_at else "",
        "status_reason": job.status_reason,
    }


def _outcome_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": row["job_id"],
        "job_name": row["job_name"],
        "status": row["status"],
        "outcome" if row["outcome"] else "plan": row["outcome"] or row["action"],
        "why": row["message"] or row["status_reason"],
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr)
