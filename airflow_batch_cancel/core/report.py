"""What became of the jobs of one call: outcomes, one a job, and their totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.exceptions import AccessDeniedError, BatchApiError


class Outcome(StrEnum):
    """What became of one job. Read from DescribeJobs, never from the answer to a stop alone."""

    CANCELLED = "CANCELLED"
    """Stopped before it started."""
    TERMINATED = "TERMINATED"
    """Stopped after it had started."""
    FINISHED = "FINISHED"
    """Ended by itself after it was asked to stop."""
    ALREADY_FINISHED = "ALREADY_FINISHED"
    """Had ended before anything was asked of it."""
    WAITING_ON_DEPENDENCIES = "WAITING_ON_DEPENDENCIES"
    """The stop was accepted; the job stays PENDING until the jobs it depends on have ended."""
    STOPPING = "STOPPING"
    """The stop was accepted; the job had not ended when the time was up."""
    LEFT_RUNNING = "LEFT_RUNNING"
    """The job has started, and the policy says to leave started jobs alone."""
    NOT_FOUND = "NOT_FOUND"
    """AWS Batch does not know the job: a wrong id, account or Region, or it ended days ago."""
    DENIED = "DENIED"
    """A permission is missing, or the credentials are refused."""
    ERROR = "ERROR"
    """AWS answered with another error."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended for certain."""
        return self in _ENDED

    @property
    def accepted(self) -> bool:
        """Whether the job has ended, or will, or was left alone because the policy says so."""
        return self in _ENDED or self in (
            Outcome.WAITING_ON_DEPENDENCIES,
            Outcome.STOPPING,
            Outcome.LEFT_RUNNING,
        )


_ENDED = frozenset({Outcome.CANCELLED, Outcome.TERMINATED, Outcome.FINISHED, Outcome.ALREADY_FINISHED})


NOT_FOUND_MESSAGE = (
    "AWS Batch does not know this job: is it of another account or Region, or did it end days ago?"
)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """
    One job's row of a report.

    :param action: the planned action, for a dry run; else empty
    :param message: why, in a sentence; for an error AWS's code and message
    :param waiting_on: the ids of the jobs that it waits for, when the outcome says so
    """

    job_id: str
    outcome: Outcome | None
    job_name: str = ""
    status: str = ""
    status_reason: str = ""
    action: str = ""
    message: str = ""
    waiting_on: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the row as one line for people."""
        name = f" ({self.job_name})" if self.job_name else ""
        verdict = self.outcome or self.action
        status = f", {self.status}" if self.status else ""
        return f"{self.job_id}{name}: {verdict}{status}{f': {self.message}' if self.message else ''}"


@dataclass(frozen=True, slots=True)
class CancelReport:
    """
    The outcomes of all the jobs of one call.

    :param reason: what the jobs were stopped for
    :param dry_run: whether this is the plan only: rows then have an action and no outcome
    :param waited: whether the effect was waited for; without, an accepted stop is as much as was asked
    :param seconds: how long it took
    """

    reason: str
    rows: tuple[JobOutcome, ...] = ()
    dry_run: bool = False
    waited: bool = True
    seconds: float = 0.0

    @property
    def totals(self) -> dict[str, int]:
        """How many jobs have each outcome (each action, in a dry run), the most frequent first."""
        return dict(Counter(str(row.outcome or row.action) for row in self.rows).most_common())

    @property
    def failed(self) -> tuple[JobOutcome, ...]:
        """The jobs that are not stopped as far as was asked for."""
        return tuple(row for row in self.rows if not self._as_asked(row.outcome))

    @property
    def ok(self) -> bool:
        """Whether every job is stopped as far as was asked for."""
        return not self.failed

    def over(self, missing_counts: bool) -> bool:
        """
        Whether there is nothing to wait for: all have ended, or one never will as far as anybody can see.

        :param missing_counts: whether a job that is not found stays so; a young one may yet appear
        """
        hopeless = {Outcome.DENIED, Outcome.ERROR} | ({Outcome.NOT_FOUND} if missing_counts else set())
        outcomes = {row.outcome for row in self.rows}
        return bool(outcomes & hopeless) or all(outcome and outcome.ended for outcome in outcomes)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, for an XCom."""
        rows = [
            {**asdict(row), "outcome": str(row.outcome or ""), "waiting_on": [*row.waiting_on]}
            for row in self.rows
        ]
        return {
            "reason": self.reason,
            "ok": self.ok,
            "dry_run": self.dry_run,
            "waited": self.waited,
            "seconds": round(self.seconds, 3),
            "totals": self.totals,
            "jobs": rows,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CancelReport:
        """Read what :meth:`as_dict` wrote."""
        rows = tuple(
            JobOutcome(
                **{
                    **row,
                    "outcome": Outcome(row["outcome"]) if row["outcome"] else None,
                    "waiting_on": tuple(row["waiting_on"]),
                }
            )
            for row in data["jobs"]
        )
        return cls(data["reason"], rows, data["dry_run"], data["waited"], data["seconds"])

    def summary(self) -> str:
        """Return the totals as one sentence."""
        if not self.rows:
            return "No jobs to cancel"
        totals = ", ".join(f"{count} {name}" for name, count in self.totals.items())
        took = timedelta(seconds=round(self.seconds))
        return f"{len(self.rows)} jobs: {totals}" + ("" if self.dry_run else f" (took {took})")

    def table(self) -> str:
        """Return the rows as a table for people, as wide as it needs to be."""
        head = ("JOB ID", "NAME", "PLAN" if self.dry_run else "OUTCOME", "STATUS", "WHY")
        cells = [head] + [
            (
                row.job_id,
                row.job_name,
                str(row.outcome or row.action),
                row.status,
                row.message or row.status_reason,
            )
            for row in self.rows
        ]
        return as_table(cells)

    def _as_asked(self, outcome: Outcome | None) -> bool:
        if outcome is None:
            return self.dry_run
        if outcome is Outcome.LEFT_RUNNING:
            return True
        return outcome.ended if self.waited else outcome.accepted


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as text in columns, as wide as they need to be; the last one is not filled up."""
    columns = range(len(lines[0]) - 1)
    widths = [max(len(line[column]) for line in lines) for column in columns]
    return "\n".join(
        "  ".join([*(line[column].ljust(widths[column]) for column in columns), line[-1]]).rstrip()
        for line in lines
    )


def observe(
    job_ids: Iterable[str], jobs: Mapping[str, Job], errors: Mapping[str, BatchApiError]
) -> CancelReport:
    """
    Report how jobs stand, without anything having been asked of them.

    :param jobs: the described ones
    :param errors: for the ids that could not be described
    """
    rows = (_observed(job_id, jobs.get(job_id), errors.get(job_id)) for job_id in job_ids)
    return CancelReport(reason="", rows=tuple(rows))


def _observed(job_id: str, job: Job | None, error: BatchApiError | None) -> JobOutcome:
    if error is not None and not error.retryable:
        denied = isinstance(error, AccessDeniedError)
        return JobOutcome(job_id, Outcome.DENIED if denied else Outcome.ERROR, message=str(error))
    if error is not None:
        return JobOutcome(job_id, Outcome.STOPPING, message=str(error))
    if job is None:
        return JobOutcome(job_id, Outcome.NOT_FOUND, message=NOT_FOUND_MESSAGE)
    return JobOutcome(job_id, _observed_outcome(job), job.name, job.status, job.status_reason)


def _observed_outcome(job: Job) -> Outcome:
    if not job.finished:
        return Outcome.STOPPING
    if not job.stop_requested or job.status == "SUCCEEDED":
        return Outcome.ALREADY_FINISHED
    return Outcome.TERMINATED if job.started_at else Outcome.CANCELLED
