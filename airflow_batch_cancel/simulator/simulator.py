"""The simulated service as its users hold it: worlds, time, faults, calls, and the truth about every job."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from airflow_batch_cancel.simulator.api import Operations
from airflow_batch_cancel.simulator.clock import VirtualClock
from airflow_batch_cancel.simulator.engine import Engine
from airflow_batch_cancel.simulator.faults import Faults
from airflow_batch_cancel.simulator.model import Behaviour, Queue, ServiceError, SimulatedJob, Transition
from airflow_batch_cancel.simulator.scenario import build, read_scenario
from airflow_batch_cancel.simulator.shapes import Account


class Call(NamedTuple):
    """One request that reached the service."""

    operation: str
    params: dict[str, Any]
    at: float
    status_code: int
    error_code: str


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the service answers.

    :param lost: the connection is lost before the client has it
    :param drip: seconds between two bytes
    """

    status: int
    body: dict[str, Any]
    error_code: str = ""
    lost: bool = False
    seconds: float = field(default=0.0, compare=False)
    drip: float = field(default=0.0, compare=False)


class BatchSimulator:
    """
    A local AWS Batch. Safe to use from several threads.

    :param seed: of job ids and faults: the same calls give the same world
    :param clock: a :class:`VirtualClock`; one that moves by hand when None
    :param visibility_lag: seconds for which a job does not show after it was submitted
    :param retention: seconds for which a finished job shows; None for ever
    :param summary_lag: seconds for which an array parent shows the same ``statusSummary``
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: VirtualClock | None = None,
        region: str = "us-east-1",
        account: str = "123456789012",
        visibility_lag: float = 0.0,
        retention: float | None = None,
        summary_lag: float = 0.0,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.account = Account(region, account)
        self.faults = Faults(self.clock, seed)
        self.calls: list[Call] = []
        self._retired_keys: set[str] = set()
        self._lock = threading.RLock()
        self._engine = Engine(self.clock)
        self._operations = Operations(
            self._engine, self.faults, self.account, seed, visibility_lag, retention, summary_lag
        )

    @property
    def operations(self) -> Iterable[str]:
        """The names of the operations that are simulated."""
        return tuple(self._operations.by_name)

    @property
    def history(self) -> list[Transition]:
        """Every change of a job's status so far."""
        with self._lock:
            self._engine.settle()
            return list(self._engine.history)

    def client(self, *, bulk: bool = True, **config: Any) -> Any:
        """
        Return a botocore client that is answered in process.

        :param bulk: False for a client without CancelJobs and TerminateJobs, as before botocore 1.43.93
        :param config: arguments of ``botocore.config.Config``
        """
        from airflow_batch_cancel.simulator.client import make_client

        return make_client(self, bulk, config)

    def add_queue(self, name: str, *, slots: int | None = None) -> None:
        """Add a queue; ``slots`` is how many of its jobs may have started at once."""
        with self._lock:
            self._operations.queues[name] = Queue(name, slots)

    def add_job_definition(self, name: str, **behaviour: Any) -> None:
        """Add a job definition; the arguments are those of :class:`~.model.Behaviour`."""
        with self._lock:
            self._operations.definitions[name] = Behaviour(**behaviour)

    def submit(
        self,
        name: str = "job",
        *,
        queue: str = "default",
        definition: str = "default",
        status: str | None = None,
        depends_on: Iterable[str] = (),
        array_size: int | None = None,
        tags: Mapping[str, str] | None = None,
        attempts: int = 1,
        **behaviour: Any,
    ) -> str:
        """
        Submit a job without a call being counted, and return its id.

        :param status: put it into this state at once
        :param behaviour: as of :class:`~.model.Behaviour`
        """
        request: dict[str, Any] = {
            "jobName": name,
            "jobQueue": queue,
            "jobDefinition": definition,
            "dependsOn": [{"jobId": job_id} for job_id in depends_on],
            "tags": dict(tags or {}),
            "retryStrategy": {"attempts": attempts},
            "parameters": {key: str(value) for key, value in behaviour.items()},
        }
        if array_size is not None:
            request["arrayProperties"] = {"size": array_size}
        with self._lock:
            self._engine.settle()
            job_id: str = self._operations.submit_job(request)["jobId"]
            if status is not None:
                self._engine.put(self._engine.jobs[job_id], status)
            return job_id

    def load(self, scenario: str | Mapping[str, Any]) -> dict[str, str]:
        """
        Add a named world, one out of a JSON file, or a given one; returns the job ids by job name.

        :param scenario: see :mod:`~airflow_batch_cancel.simulator.scenario`
        """
        return build(self, read_scenario(scenario) if isinstance(scenario, str) else scenario)

    def job(self, job_id: str) -> SimulatedJob:
        """Return a job as it really is."""
        with self._lock:
            self._engine.settle()
            return self._engine.jobs[job_id]

    def jobs(self) -> list[SimulatedJob]:
        """Return all jobs, array parents with their children inside."""
        with self._lock:
            self._engine.settle()
            return [job for job in self._engine.jobs.values() if job.parent is None]

    def alive(self) -> list[SimulatedJob]:
        """Return the jobs that have not ended."""
        return [job for job in self.jobs() if not job.finished]

    def count(self, operation: str) -> int:
        """Return how many calls of an operation have reached the service."""
        with self._lock:
            return sum(call.operation == operation for call in self.calls)

    def reset_calls(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self.calls.clear()

    def retire_key(self, access_key: str) -> None:
        """Answer 403 ``UnrecognizedClientException`` to calls signed with this access key from now on."""
        with self._lock:
            self._retired_keys.add(access_key)

    def handle(self, operation: str, request: dict[str, Any], access_key: str = "") -> Answer:
        """
        Answer one request, as the service would.

        :param access_key: what it was signed with
        """
        with self._lock:
            self._engine.settle()
            self.faults.about(self._queues_of(request))
            seconds = self.faults.seconds(operation)
            try:
                if access_key in self._retired_keys:
                    message = "The security token included in the request is invalid."
                    raise ServiceError(message, "UnrecognizedClientException", 403)
                self.faults.refuse(operation, request.get("jobId"))
                answer = Answer(
                    200,
                    self._operations.by_name[operation](request),
                    lost=self.faults.loses_answer(operation),
                    seconds=seconds,
                    drip=self.faults.seconds(operation, "drip"),
                )
            except ServiceError as error:
                answer = Answer(error.status, {"message": error.message}, error.code, seconds=seconds)
            self.calls.append(Call(operation, request, self._engine.now, answer.status, answer.error_code))
            return answer

    def _queues_of(self, request: dict[str, Any]) -> set[str]:
        """Return the names of the queues that a request is about."""
        ids = [request.get("jobId"), *(request.get("jobs") or ())]
        jobs = (self._engine.jobs.get(job_id) for job_id in ids if job_id)
        names = {job.queue.name for job in jobs if job}
        return names | {str(request["jobQueue"]).rpartition("/")[2]} if request.get("jobQueue") else names
