"""The HTTP API: list, plan and cancel the Batch jobs of a DAG run."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from airflow.utils.session import create_session
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_batch_cancel.aws.gateway import ATTEMPTS, BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.policy import REASON_LENGTH, Policy
from airflow_batch_cancel.core.report import Outcome, observe
from airflow_batch_cancel.exceptions import ArgumentError, BatchApiError, BatchCancelError, JobIdError
from airflow_batch_cancel.ui.access import (
    CanEdit,
    GetUserDep,
    MayEditRun,
    MaySeeJobs,
    OwnPage,
    SessionDep,
    ShortBodies,
)
from airflow_batch_cancel.ui.audit import cancels_of
from airflow_batch_cancel.ui.cancels import Cancel, Cancels, merge
from airflow_batch_cancel.ui.run_jobs import FEW_ATTEMPTS, JobsOfRuns, Listing, RunJob, Source

MOST_JOBS = 10_000
JobId = Annotated[str, Field(max_length=200)]
"""An id or ARN, as long as an ARN can be."""
TaskId = Annotated[str, Field(max_length=250, pattern=r"^[^\x00]+$")]
"""As long as Airflow allows, and of characters that a database can be asked for."""
_OF_RUN = "/dags/{dag_id}/dagRuns/{run_id}"


class CancelRequest(BaseModel):
    """
    The body of a plan or cancel.

    ``terminate_after`` is in seconds: 0 terminates started jobs at once, more lets them finish for so long,
    and null leaves them alone.
    """

    model_config = ConfigDict(extra="forbid")

    job_ids: Annotated[list[JobId], Field(max_length=MOST_JOBS, min_length=1)] | None = None
    task_id: TaskId | None = None
    map_index: int | None = None
    reason: Annotated[str, Field(min_length=1, max_length=REASON_LENGTH)]
    terminate_after: Annotated[float, Field(ge=0, le=7 * 24 * 3600)] | None = 0

    def policy(self) -> Policy:
        """Return the policy."""
        after = None if self.terminate_after is None else timedelta(seconds=self.terminate_after)
        return Policy(self.reason, after)


router = APIRouter()


@router.get(_OF_RUN + "/jobs", dependencies=[MaySeeJobs])
def list_jobs(
    request: Request,
    dag_id: str,
    run_id: str,
    session: SessionDep,
    user: GetUserDep,
    can_edit: CanEdit,
    task_id: TaskId | None = None,
    map_index: int | None = None,
) -> JSONResponse:
    """Return the jobs of a run, of one of its tasks, or of a task instance."""
    jobs: JobsOfRuns = request.app.state.jobs
    run = jobs.run(dag_id, run_id)
    outcomes: dict[str, str] = {}
    for one in reversed(cancels_of(session, run)):
        outcomes |= {row["job_id"]: row["outcome"] for row in one.get("jobs", ())}
    listing = jobs.listing(session, run, task_id, map_index)
    answer = {
        "jobs": [_row(row, outcomes.get(row.job_id)) for row in listing.jobs],
        "problems": listing.problems,
        "can_cancel": can_edit,
        "user": user.get_name(),
    }
    return JSONResponse(answer)  # FastAPI would look at every value of ten thousand rows first


@router.post(_OF_RUN + "/plan", dependencies=[MayEditRun, OwnPage])
def plan(request: Request, dag_id: str, run_id: str, body: CancelRequest) -> dict[str, Any]:
    """Return what a cancel with the same body would do, job by job; changes nothing."""
    chosen, procedures = _prepare(request, dag_id, run_id, body, FEW_ATTEMPTS)
    for procedure in procedures:
        procedure.look_and_plan()
    answer = merge([one.report(dry_run=True) for one in procedures]).as_dict()
    for row in answer["jobs"]:
        job = chosen[row["job_id"]]
        row.update(task_id=job.instance.task_id, map_index=job.instance.map_index, is_retried=job.is_retried)
    return answer


@router.post(_OF_RUN + "/cancels", status_code=202, dependencies=[MayEditRun, OwnPage])
async def cancel(
    request: Request, dag_id: str, run_id: str, body: CancelRequest, user: GetUserDep
) -> dict[str, Any]:
    """Begin to cancel jobs; the answer comes at once, and says where to follow."""
    cancels: Cancels = request.app.state.cancels
    if cancels.full:
        raise HTTPException(503, "too many cancels are running on this API server; try again in a minute")
    chosen, procedures = await run_in_threadpool(_prepare, request, dag_id, run_id, body)
    one = Cancel(request.app.state.jobs.run(dag_id, run_id), user.get_name(), chosen, procedures)
    await cancels.start(one)
    return one.record()


@router.get(_OF_RUN + "/cancels/{cancel_id}", dependencies=[MaySeeJobs])
def follow(request: Request, dag_id: str, run_id: str, cancel_id: str, session: SessionDep) -> dict[str, Any]:
    """Return how far a cancel is, whichever API server carries it out."""
    run = request.app.state.jobs.run(dag_id, run_id)
    for one in cancels_of(session, run):
        if one["cancel_id"] == cancel_id:
            return one
    raise HTTPException(404, f"the audit log of this run knows no cancel {cancel_id}")


def create_api() -> FastAPI:
    """Return the API, which keeps what it remembers and the cancels that it carries out in its ``state``."""
    api = FastAPI(title="Batch jobs", openapi_url=None, docs_url=None, redoc_url=None)
    api.state.jobs = JobsOfRuns()
    api.state.cancels = Cancels()
    api.add_middleware(ShortBodies)
    api.include_router(router)
    api.add_exception_handler(RequestValidationError, _bad_request)
    api.add_exception_handler(ArgumentError, _bad_argument)
    return api


def _prepare(
    request: Request, dag_id: str, run_id: str, body: CancelRequest, attempts: int = ATTEMPTS
) -> tuple[dict[str, RunJob], list[StopProcedure]]:
    """
    Return the chosen jobs, all of them of this run, and a procedure for each place that they are at.

    :param attempts: how often to make a call; few where somebody waits for the answer
    """
    policy = body.policy()
    jobs: JobsOfRuns = request.app.state.jobs
    with create_session() as session:
        listing: Listing = jobs.listing(session, jobs.run(dag_id, run_id), body.task_id, body.map_index)
    chosen = listing.choose(body.job_ids)
    by_source: dict[Source, list[str]] = defaultdict(list)
    for job_id, row in chosen.items():
        by_source[row.source].append(job_id)
    procedures = [
        _procedure(jobs, source, job_ids, policy, attempts) for source, job_ids in by_source.items()
    ]
    return chosen, procedures


def _procedure(
    jobs: JobsOfRuns, source: Source, job_ids: list[str], policy: Policy, attempts: int
) -> StopProcedure:
    """Return the stop of the jobs of one source; one that can not be asked is the error of its jobs only."""
    try:
        return StopProcedure(jobs.hook(source).make_gateway(attempts), job_ids, policy)
    except BatchCancelError as error:
        procedure = StopProcedure(BatchGateway(None), job_ids, policy)
        procedure.give_up(BatchApiError("DescribeJobs", "NoClient", f"{source}: {error}"))
        return procedure


def _row(row: RunJob, recorded: str | None) -> dict[str, Any]:
    """
    Return a job as JSON.

    :param recorded: what became of it in a cancel of this run
    """
    job = row.job
    answer = {
        "job_id": row.job_id,
        "task_id": row.instance.task_id,
        "map_index": row.instance.map_index,
        "try_number": row.try_number,
        "console_url": row.console_url,
        "is_retried": row.is_retried,
        "status": str(job.status) if job else None,
        "finished": row.finished,
        "outcome": None,
    }
    if job is None:
        return answer
    return {
        **answer,
        "job_name": job.name,
        "job_queue": job.queue.rpartition("/")[2],
        "status_reason": job.status_reason,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "stopped_at": _iso(job.stopped_at),
        "array_size": job.array_size,
        "array_summary": dict(job.array_summary),
        "outcome": _outcome(job, recorded),
    }


def _outcome(job: Job, recorded: str | None) -> Outcome | None:
    """
    Return what became of a job that was asked to stop, by whomever.

    What was seen during a cancel tells more than the job does afterwards: whether an array had started.
    """
    if recorded and Outcome(recorded).ended and job.finished:
        return Outcome(recorded)
    if not job.stop_requested:
        return None
    observed = observe([job.job_id], {job.job_id: job}, {}).rows[0].outcome
    return Outcome.FINISHED if observed is Outcome.ALREADY_FINISHED else observed


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _bad_request(_: Request, error: Exception) -> Response:
    """Say where the request is wrong, without its values: not every one of them can be sent back as JSON."""
    assert isinstance(error, RequestValidationError)
    detail = [{name: one[name] for name in ("loc", "msg", "type")} for one in error.errors()]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")


def _bad_argument(_: Request, error: Exception) -> JSONResponse:
    """A run or job that is not there is not found; everything else is the caller's mistake."""
    missing = isinstance(error, ArgumentError) and error.argument in ("run_id", "job_ids")
    found = not missing or isinstance(error, JobIdError)
    return JSONResponse({"detail": str(error)}, 400 if found else 404)
