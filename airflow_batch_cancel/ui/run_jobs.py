"""The Batch jobs of a DAG run, earlier tries included, as AWS Batch shows them now."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cachetools import TTLCache
from sqlalchemy.orm import Session

from airflow_batch_cancel.aws.gateway import BatchGateway, Described
from airflow_batch_cancel.compat import AirflowException
from airflow_batch_cancel.core.jobs import Job, normalise_job_ids, parent_id
from airflow_batch_cancel.core.owner import Owner, Ownership, Run
from airflow_batch_cancel.database import Instance, instances_of_run, rendered_fields
from airflow_batch_cancel.exceptions import ArgumentError, BatchApiError, BatchCancelError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.settings import deployment_id
from airflow_batch_cancel.ui.looks import Looks

_PATIENCE = Config(connect_timeout=3, read_timeout=10)
FEW_ATTEMPTS = 2
"""How often a call is made while somebody waits for the answer."""
_SEARCHES = 50
"""Task instances whose earlier tries are looked for; each costs one ListJobs."""
_SEARCH_SECONDS = 60
_CLIENT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where a task has submitted its job.

    :param aws_conn_id: the task's own; None for the credentials of the machine
    :param region_name: None for the connection's
    """

    aws_conn_id: str | None
    region_name: str | None = None

    def __str__(self) -> str:
        region = f" in {self.region_name}" if self.region_name else ""
        return f"AWS connection {self.aws_conn_id or '(none)'}{region}"


@dataclass(frozen=True, slots=True)
class RunJob:
    """
    One job of a run.

    :param instance: the task instance that submitted it
    :param try_number: of the try that did
    :param job: as AWS Batch shows it; None when it does not
    :param details: what the operator pushed, for the link to the console
    """

    job_id: str
    source: Source
    instance: Instance
    try_number: int
    job: Job | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it has ended for certain."""
        return self.job is not None and self.job.finished

    @property
    def console_url(self) -> str:
        """The job's page in the AWS console."""
        return BatchJobDetailsLink().format_link(**self.details) if self.details.get("aws_domain") else ""

    @property
    def is_retried(self) -> bool:
        """Whether its task would submit another job after a cancel, as a task of the stock operator does."""
        latest = self.try_number == self.instance.try_number
        owned = self.job is not None and Ownership.from_tags(self.job.tags) is not None
        return latest and not owned and not self.finished and self.instance.may_retry


@dataclass(slots=True)
class Listing:
    """
    The jobs of a run.

    :param problems: sentences about what could not be seen
    """

    jobs: list[RunJob] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def choose(self, job_ids: Sequence[str] | None) -> dict[str, RunJob]:
        """
        Return the chosen jobs by id; children of arrays are chosen as children.

        :param job_ids: None for all that have not ended
        :raises JobIdError: for ids that are none
        :raises ArgumentError: for ids that are not of this run
        """
        known = {row.job_id: row for row in self.jobs}
        if job_ids is None:
            return {job_id: row for job_id, row in known.items() if not row.finished}
        wanted = normalise_job_ids(job_ids)
        foreign = [job_id for job_id in wanted if parent_id(job_id) not in known]
        if foreign:
            raise ArgumentError("job_ids", foreign, "ids of Batch jobs of this DAG run")
        return {job_id: known[parent_id(job_id)] for job_id in wanted}


@dataclass(frozen=True, slots=True)
class _Claim:
    """A job that an XCom says is of the run, or a search by name, which is believed when the tags say so."""

    job_id: str
    source: Source
    instance: Instance
    details: Mapping[str, Any]
    from_search: bool = False


class JobsOfRuns:
    """Finds the jobs of runs. One for an API server: it remembers clients, looks and searches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hooks: TTLCache[Source, BatchCancelHook] = TTLCache(64, _CLIENT_SECONDS)
        self._looks = Looks()
        self._searches: TTLCache[Any, tuple[list[_Claim], list[str]]] = TTLCache(256, _SEARCH_SECONDS)

    def run(self, dag_id: str, run_id: str) -> Run:
        """Return the run of this deployment; a wrong setting is the error of a request, not of the server."""
        return Run(deployment_id(), dag_id, run_id)

    def listing(
        self, session: Session, run: Run, task_id: str | None = None, map_index: int | None = None
    ) -> Listing:
        """
        Return the jobs of a run, or of one of its tasks or task instances.

        What AWS does not answer is a problem in the listing, not an error.

        :raises ArgumentError: when there is no such run
        """
        listing = Listing()
        instances = instances_of_run(session, run, task_id, map_index)
        claims = self._claims(session, run, instances)
        searched, problems = self._search(session, run, instances)
        session.rollback()  # no transaction is held while AWS is asked
        listing.problems += problems
        known = {claim.job_id for claim in claims}
        claims += [claim for claim in searched if claim.job_id not in known]
        by_source: dict[Source, list[_Claim]] = defaultdict(list)
        for claim in claims:
            by_source[claim.source].append(claim)
        for source, of_source in by_source.items():
            self._describe(source, of_source, run, listing)
        return listing

    def hook(self, source: Source) -> BatchCancelHook:
        """
        Return a hook for a source.

        :raises BatchCancelError: when there is no such connection, or no client can be made of it
        """
        with self._lock:
            hook = self._hooks.get(source)
        if hook is None:
            hook = BatchCancelHook(
                aws_conn_id=source.aws_conn_id, region_name=source.region_name, config=_PATIENCE
            )
            try:
                hook.get_conn()
            except (AirflowException, BotoCoreError, ClientError) as error:
                raise BatchCancelError(f"no client can be made: {error}") from error
            with self._lock:
                self._hooks[source] = hook
        return hook

    def gateway(self, source: Source) -> BatchGateway:
        """Return a gateway to look through; :meth:`hook` says what it raises."""
        return BatchGateway(self.hook(source).get_conn(), attempts=FEW_ATTEMPTS)

    def _claims(self, session: Session, run: Run, instances: Iterable[Instance]) -> list[_Claim]:
        """Return what the XComs of the latest tries say."""
        submitted = [one for one in instances if _job_id(one.details)]
        examples = {one.task_id: (one.task_id, one.map_index) for one in reversed(submitted)}
        fields = rendered_fields(session, run, examples.values())
        return [
            _Claim(
                _job_id(one.details),
                _source(fields.get(examples[one.task_id], {}), one.details.get("region_name")),
                one,
                one.details,
            )
            for one in submitted
        ]

    def _search(
        self, session: Session, run: Run, instances: Sequence[Instance]
    ) -> tuple[list[_Claim], list[str]]:
        """Look for the jobs of earlier tries, and of tries that never said what they submitted, by name."""
        about = [one for one in instances if one.try_number > (1 if _job_id(one.details) else 0)]
        key = (run, tuple((one.task_id, one.map_index, one.try_number) for one in about))
        with self._lock:
            remembered = self._searches.get(key)
        if remembered is not None:
            return remembered
        found: list[_Claim] = []
        problems: list[str] = []
        fields = rendered_fields(session, run, ((one.task_id, one.map_index) for one in about))
        named = [one for one in about if _is_batch(fields.get((one.task_id, one.map_index), {}))]
        if len(named) > _SEARCHES:
            problems.append(
                f"Earlier tries were looked for in {_SEARCHES} of {len(named)} task instances; open a task "
                "instance to see all of its jobs"
            )
        for one in named[:_SEARCHES]:
            found += self._search_one(run, one, fields[(one.task_id, one.map_index)], problems)
        with self._lock:
            self._searches[key] = found, problems
        return found, problems

    def _search_one(
        self, run: Run, one: Instance, fields: Mapping[str, Any], problems: list[str]
    ) -> list[_Claim]:
        owner = Owner(run.deployment, run.dag_id, run.run_id, one.task_id, one.map_index, one.try_number)
        source = _source(fields, None)
        try:
            gateway = self.gateway(source)
            job_ids = gateway.list_job_ids_by_name(
                fields["job_queue"], owner.job_name(fields["job_name"]), finished_too=True
            )
        except BatchCancelError as error:
            problem = f"Earlier tries can not be looked for: {source}: {error}"
            if problem not in problems:
                problems.append(problem)
            return []
        return [_Claim(job_id, source, one, {}, from_search=True) for job_id in job_ids]

    def _describe(self, source: Source, claims: list[_Claim], run: Run, listing: Listing) -> None:
        """Add the jobs of one source to the listing, those that are somebody else's left out."""
        try:
            job_ids = [claim.job_id for claim in claims]
            described = self._looks.look(source, job_ids, lambda: self.gateway(source))
        except BatchCancelError as error:
            described = Described()
            listing.problems.append(f"{source}: {error}")
        else:
            listing.problems += _problems(source, described, {claim.job_id for claim in claims})
        for claim in claims:
            job = described.jobs.get(claim.job_id)
            ownership = Ownership.from_tags(job.tags) if job else None
            if ownership and (ownership.owner.dag_id, ownership.owner.run_id) != (run.dag_id, run.run_id):
                listing.problems.append(
                    f"Task {claim.instance.task_id} names the job {claim.job_id}, which belongs to "
                    f"{ownership.owner}; it is left out"
                )
            elif ownership or not claim.from_search:
                listing.jobs.append(
                    RunJob(
                        claim.job_id,
                        source,
                        claim.instance,
                        ownership.owner.try_number if ownership else claim.instance.try_number,
                        job,
                        claim.details or self._details(source, claim.job_id),
                    )
                )

    def _details(self, source: Source, job_id: str) -> Mapping[str, Any]:
        """Return what the operator would have pushed."""
        try:
            hook = self.hook(source)
        except (ArgumentError, BatchApiError):
            return {}
        domain = BatchJobDetailsLink.get_aws_domain(hook.conn_partition)
        return {"job_id": job_id, "region_name": hook.conn_region_name, "aws_domain": domain}


def _problems(source: Source, described: Described, job_ids: Set[str]) -> list[str]:
    """Say what could not be seen at a source, each thing once."""
    problems = sorted({str(error) for error in described.errors.values()})
    unknown = job_ids - described.jobs.keys() - described.errors.keys()
    if unknown:
        problems.append(
            f"AWS Batch does not know {len(unknown)} of the jobs there: it forgets jobs some days after they "
            "have ended, and shows those of one account and Region only"
        )
    return [f"{source}: {problem}" for problem in problems]


def _job_id(details: Any) -> str:
    """Return the id in a ``batch_job_details`` XCom; empty when it is none of BatchOperator's."""
    if not isinstance(details, Mapping) or not isinstance(details.get("job_id"), str):
        return ""
    try:
        return next(iter(normalise_job_ids(details["job_id"])), "")
    except ArgumentError:
        return ""


def _source(fields: Mapping[str, Any], region_name: Any) -> Source:
    """Return where a task with these rendered fields submits."""
    region = region_name or fields.get("region_name")
    aws_conn_id = fields.get("aws_conn_id", BatchCancelHook.default_conn_name)
    return Source(
        aws_conn_id if isinstance(aws_conn_id, str) else None,
        region if isinstance(region, str) and region else None,
    )


def _is_batch(fields: Mapping[str, Any]) -> bool:
    return all(isinstance(fields.get(name), str) for name in ("job_name", "job_queue", "job_definition"))
