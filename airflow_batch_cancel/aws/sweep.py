"""The sweep: compare the live jobs of some queues with their owners, and stop the orphans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.audit import DecidedBy, audit
from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import Owner, Ownership, Run
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import JobOutcome, Outcome, as_table
from airflow_batch_cancel.core.verdict import (
    Judgement,
    RunState,
    TaskState,
    Verdict,
    judge_owner,
    judge_without_airflow,
)
from airflow_batch_cancel.exceptions import BatchApiError

EFFECT_WAIT = timedelta(seconds=20)
"""How long a sweep waits for its stops to take effect; the next sweep sees what became of the others."""
_ROWS_WITHOUT_ACTION = 100
_SHOWN = (Verdict.ORPHAN, Verdict.UNKNOWN, Verdict.NOBODYS)


class States(Protocol):
    """What Airflow says."""

    def task_instances(self, owners: Iterable[Owner]) -> Mapping[Owner, TaskState]:
        """Return the state of every owner's task instance."""

    def runs(self, runs: Iterable[Run]) -> Mapping[Run, RunState]:
        """Return the state of every run."""


@dataclass(frozen=True, slots=True)
class SweptJob:
    """
    One job that a sweep has something to say about.

    :param owner: as people read it; empty when the tags do not tell
    :param outcome: what became of an orphan; None when nothing was asked
    :param message: AWS's, for an orphan that is not stopped
    """

    job_id: str
    job_name: str
    job_queue: str
    owner: str
    verdict: Verdict
    why: str
    outcome: Outcome | None = None
    message: str = ""

    def describe(self) -> str:
        """Return the row as one line for people."""
        outcome = f": {self.outcome}" if self.outcome else ""
        message = f" ({self.message})" if self.message else ""
        whose = f"{self.job_id} ({self.job_name}) of {self.owner or 'nobody'}"
        return f"{whose}: {self.verdict}, {self.why}{outcome}{message}"


@dataclass(frozen=True, slots=True)
class SweepReport:
    """
    What a sweep found and did.

    :param rows: the orphans, and the first hundred each of those nobody could judge
    :param totals: how many live jobs got each verdict
    :param problems: queues that could not be listed, jobs that could not be described
    :param stopped_by_brake: that there were more orphans than ``max_jobs``, and none was stopped
    """

    deployment: str
    rows: tuple[SweptJob, ...]
    totals: Mapping[str, int]
    problems: tuple[str, ...] = ()
    stopped_by_brake: bool = False
    dry_run: bool = False
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[SweptJob, ...]:
        """The orphans whose stop AWS Batch did not accept."""
        return tuple(row for row in self.rows if row.outcome is not None and not row.outcome.accepted)

    @property
    def ok(self) -> bool:
        """Whether everything was looked at, and every orphan is stopped or stopping."""
        return not (self.failed or self.problems or self.stopped_by_brake)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, for an XCom."""
        rows = [
            {**asdict(row), "verdict": str(row.verdict), "outcome": str(row.outcome or "")}
            for row in self.rows
        ]
        return {
            "deployment": self.deployment,
            "ok": self.ok,
            "totals": dict(self.totals),
            "problems": [*self.problems],
            "stopped_by_brake": self.stopped_by_brake,
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
            "jobs": rows,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SweepReport:
        """Read what :meth:`as_dict` wrote."""
        rows = tuple(
            SweptJob(
                **{
                    **row,
                    "verdict": Verdict(row["verdict"]),
                    "outcome": Outcome(row["outcome"]) if row["outcome"] else None,
                }
            )
            for row in data["jobs"]
        )
        return cls(
            data["deployment"],
            rows,
            data["totals"],
            tuple(data["problems"]),
            data["stopped_by_brake"],
            data["dry_run"],
            data["seconds"],
        )

    def summary(self) -> str:
        """Return the totals as one sentence."""
        totals = ", ".join(f"{count} {name}" for name, count in self.totals.items()) or "none"
        outcomes = Counter(str(row.outcome) for row in self.rows if row.outcome)
        stopped = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
        done = f"; orphans: {stopped}" if stopped else ""
        return (
            f"Live jobs, for the deployment {self.deployment!r}: {totals}{done} (took {self.seconds:.1f} s)"
        )

    def table(self) -> str:
        """Return the rows as a table for people; nothing when there are none."""
        if not self.rows:
            return ""
        head = ("JOB ID", "NAME", "OWNER", "VERDICT", "OUTCOME", "WHY")
        lines = [
            (
                row.job_id,
                row.job_name,
                row.owner,
                str(row.verdict),
                str(row.outcome or ("planned" if self.dry_run and row.verdict is Verdict.ORPHAN else "")),
                row.message or row.why,
            )
            for row in self.rows
        ]
        return as_table([head, *lines])


@dataclass(slots=True)
class _Candidate:
    """A live job, whose it is, and what is to become of it."""

    job: Job
    queue: str
    ownership: Ownership | None
    judgement: Judgement

    @property
    def is_orphan(self) -> bool:
        return self.judgement.verdict is Verdict.ORPHAN

    def row(self) -> SweptJob:
        return SweptJob(
            self.job.job_id,
            self.job.name,
            self.queue,
            str(self.ownership.owner) if self.ownership else "",
            self.judgement.verdict,
            self.judgement.why,
        )


class Sweep:
    """
    One sweep after the other, for one deployment.

    :param gateway: to AWS Batch
    :param states: to Airflow
    :param deployment: whose jobs to judge; not empty
    :param min_age: younger jobs are judged next time
    :param max_jobs: when there are more orphans, none is stopped
    :ivar procedures: the stops, as soon as they have begun
    """

    def __init__(
        self, gateway: BatchGateway, states: States, deployment: str, *, min_age: timedelta, max_jobs: int
    ) -> None:
        self._gateway = gateway
        self._states = states
        self._deployment = deployment
        self._min_age = min_age
        self._max_jobs = max_jobs
        self.procedures: list[StopProcedure] = []

    def run(self, job_queues: Sequence[str], *, dry_run: bool = False) -> SweepReport:
        """
        Judge the live jobs of the queues, and stop the orphans.

        :param job_queues: names or ARNs; one that can not be listed is a problem in the report
        :param dry_run: only judge
        """
        began = self._gateway.clock.now()
        candidates, problems = self._live_jobs(job_queues)
        self._judge(candidates)
        braked = sum(candidate.is_orphan for candidate in candidates) > self._max_jobs
        outcomes: dict[str, JobOutcome] = {}
        if not (dry_run or braked):
            self._judge([candidate for candidate in candidates if candidate.is_orphan], candidates)
            outcomes = self._stop([candidate for candidate in candidates if candidate.is_orphan])
        return SweepReport(
            self._deployment,
            tuple(_rows(candidates, outcomes)),
            dict(Counter(str(candidate.judgement.verdict) for candidate in candidates).most_common()),
            tuple(problems),
            braked,
            dry_run,
            self._gateway.clock.now() - began,
        )

    def _live_jobs(self, job_queues: Sequence[str]) -> tuple[list[_Candidate], list[str]]:
        problems: list[str] = []
        queue_of: dict[str, str] = {}
        for queue in dict.fromkeys(job_queues):
            try:
                queue_of.update(dict.fromkeys(self._gateway.list_live_job_ids(queue), queue))
            except BatchApiError as error:
                problems.append(f"Job queue {queue} could not be listed: {error}")
        described = self._gateway.describe(list(queue_of))
        problems += [
            f"Job {job_id} could not be described: {error}" for job_id, error in described.errors.items()
        ]
        now = datetime.fromtimestamp(self._gateway.clock.now(), UTC)
        return [
            self._candidate(job, queue_of[job_id], now)
            for job_id, job in described.jobs.items()
            if not job.finished
        ], problems

    def _candidate(self, job: Job, queue: str, now: datetime) -> _Candidate:
        settled = judge_without_airflow(job, self._deployment, now, self._min_age)
        return _Candidate(job, queue, Ownership.of(job), settled or _NOT_JUDGED)

    def _judge(self, some: Sequence[_Candidate], beside: Sequence[_Candidate] | None = None) -> None:
        """
        Ask Airflow about the owners, and decide.

        :param beside: all the live jobs, among which a newer try may have one
        """
        newest = _newest_tries(some if beside is None else beside)
        open_ones = [
            (candidate, candidate.ownership)
            for candidate in some
            if candidate.ownership and (candidate.judgement is _NOT_JUDGED or candidate.is_orphan)
        ]
        states = self._states.task_instances([ownership.owner for _, ownership in open_ones])
        runs = self._states.runs(
            {
                _run_of(ownership.owner)
                for _, ownership in open_ones
                if ownership.is_detached and states[ownership.owner] is TaskState.SUCCESS
            }
        )
        for candidate, ownership in open_ones:
            owner = ownership.owner
            candidate.judgement = judge_owner(
                ownership,
                states[owner],
                runs.get(_run_of(owner), RunState.UNKNOWN),
                newest[owner.task_instance] > owner.try_number,
            )

    def _stop(self, orphans: Sequence[_Candidate]) -> dict[str, JobOutcome]:
        """Terminate the orphans, those with the same cause in the same calls."""
        by_cause: dict[str, list[str]] = defaultdict(list)
        for candidate in orphans:
            row = candidate.row()
            audit(DecidedBy.SWEEP, row.job_id, row.owner, row.why, "asked")
            by_cause[candidate.judgement.why].append(candidate.job.job_id)
        self.procedures = [
            StopProcedure(
                self._gateway,
                job_ids,
                Policy(f"Airflow sweep of the deployment {self._deployment}: {why}", timeout=EFFECT_WAIT),
            )
            for why, job_ids in by_cause.items()
        ]
        going = self.procedures
        while going := [procedure for procedure in going if not procedure.step()]:
            self._gateway.clock.sleep(min(procedure.pause for procedure in going))
        rows = (row for procedure in self.procedures for row in procedure.report().rows)
        return {row.job_id: row for row in rows}


_NOT_JUDGED = Judgement(Verdict.UNKNOWN, "nobody has asked Airflow about it")


def _newest_tries(candidates: Iterable[_Candidate]) -> dict[tuple[Any, ...], int]:
    newest: dict[tuple[Any, ...], int] = {}
    for candidate in candidates:
        if candidate.ownership:
            owner = candidate.ownership.owner
            newest[owner.task_instance] = max(newest.get(owner.task_instance, 0), owner.try_number)
    return newest


def _run_of(owner: Owner) -> Run:
    return Run(owner.deployment, owner.dag_id, owner.run_id)


def _rows(candidates: Iterable[_Candidate], outcomes: Mapping[str, JobOutcome]) -> Iterable[SweptJob]:
    """Return a row for each orphan, and for the first of those that nobody could judge."""
    seen: Counter[Verdict] = Counter()
    for candidate in candidates:
        verdict = candidate.judgement.verdict
        seen[verdict] += 1
        outcome = outcomes.get(candidate.job.job_id)
        if outcome:
            failed = outcome.outcome is None or not outcome.outcome.accepted
            yield replace(candidate.row(), outcome=outcome.outcome, message=outcome.message if failed else "")
        elif verdict in _SHOWN and seen[verdict] <= _ROWS_WITHOUT_ACTION:
            yield candidate.row()
