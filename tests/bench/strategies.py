"""How people stop many jobs and wait until they have ended: what they do today, and this package."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from botocore.exceptions import ClientError

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.policy import Policy
from tests.bench.service import CALLS_PER_SECOND

REASON = "the benchmark"
_THREADS = 16
_CONNECTIONS = 17
"""One for each thread, and one for whoever watches."""
_PAUSE_SECONDS = 1.0
"""How long the strategies of others wait between two looks, and after a call that was refused for good."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """
    One way to stop jobs and to see them ended.

    :param name: what it is called in the tables
    :param what: what it does, in a sentence
    :param run: stops these jobs, and returns when all have ended
    :param most_jobs: with how many jobs it is measured at most; what it takes for more is extrapolated
    :param quick_jobs: with how many at most it is measured in every round, and not in the first only
    :param bulk: whether its client has bulk calls
    :param connections: how many its client keeps open
    """

    name: str
    what: str
    run: Callable[[Any, list[str]], None]
    most_jobs: int
    quick_jobs: int
    bulk: bool = False
    connections: int = 10

    @property
    def config(self) -> dict[str, Any]:
        """What its client is made with, beside connections: ours as the hook makes it."""
        return {"retries": {"total_max_attempts": 1}} if self.ours else {}

    @property
    def ours(self) -> bool:
        """Whether it is this package."""
        return self.run is ours


def ours(client: Any, ids: list[str]) -> None:
    """Stop jobs as this package does."""
    procedure = StopProcedure(BatchGateway(client), ids, Policy(REASON))
    report = procedure.run()
    assert report.ok, report.summary()


def serial_loop(client: Any, ids: list[str]) -> None:
    """Terminate one job after the other, then describe one after the other until all have ended."""
    for job_id in ids:
        _terminate(client, job_id)
    _until_ended(lambda left: [job_id for job_id in left if not _has_ended(client, job_id)], ids)


def threaded_loop(client: Any, ids: list[str]) -> None:
    """Do the same in threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(partial(_terminate, client), ids))
        _until_ended(lambda left: _not_ended(pool, client, left), ids)


def paced_singles(client: Any, ids: list[str]) -> None:
    """Do the same in threads that share the API's rate."""
    turn = _FixedRate(CALLS_PER_SECOND)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda job_id: turn.then(_terminate, client, job_id), ids))
        _until_ended(lambda left: _not_ended(pool, client, left, turn), ids)


def kill_pool(client: Any, ids: list[str]) -> None:
    """Terminate at a fixed rate in a pool; meanwhile describe those that were asked, 100 a call."""
    turn = _FixedRate(CALLS_PER_SECOND)
    asked: SimpleQueue[str] = SimpleQueue()

    def kill(job_id: str) -> None:
        turn.then(_terminate, client, job_id)
        asked.put(job_id)

    with ThreadPoolExecutor(_THREADS) as pool:
        for job_id in ids:
            pool.submit(kill, job_id)
        left = len(ids)
        watched: list[str] = []
        while left:
            time.sleep(_PAUSE_SECONDS)
            watched += [asked.get() for _ in range(asked.qsize())]
            ended = _ended_among(client, watched)
            watched = [job_id for job_id in watched if job_id not in ended]
            left -= len(ended)


def provider_hook(client: Any, ids: list[str]) -> None:
    """Use the amazon provider's hook: its ``terminate_job``, then its ``wait_for_job``."""
    from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

    hook = BatchClientHook(aws_conn_id=None, region_name="us-east-1")
    hook.conn = client
    for job_id in ids:
        hook.terminate_job(job_id, REASON)
    for job_id in ids:
        hook.wait_for_job(job_id, delay=0)


class _FixedRate:
    """Spaces calls, whatever the service says."""

    def __init__(self, calls_per_second: float) -> None:
        self._seconds = 1 / calls_per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def then(self, call: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            turn = self._next = max(time.monotonic(), self._next + self._seconds)
        time.sleep(max(0.0, turn - time.monotonic()))
        return call(*args)


def _terminate(client: Any, job_id: str) -> None:
    _patiently(client.terminate_job, jobId=job_id, reason=REASON)


def _has_ended(client: Any, job_id: str) -> bool:
    return job_id in _ended_among(client, [job_id])


def _ended_among(client: Any, ids: Sequence[str]) -> set[str]:
    chunks = (ids[start : start + 100] for start in range(0, len(ids), 100))
    answers = (_patiently(client.describe_jobs, jobs=chunk) for chunk in chunks)
    return {
        job["jobId"]
        for answer in answers
        for job in answer["jobs"]
        if job["status"] in ("SUCCEEDED", "FAILED")
    }


def _not_ended(
    pool: ThreadPoolExecutor, client: Any, ids: Sequence[str], turn: _FixedRate | None = None
) -> list[str]:
    def look(job_id: str) -> bool:
        return turn.then(_has_ended, client, job_id) if turn else _has_ended(client, job_id)

    return [job_id for job_id, ended in zip(ids, pool.map(look, ids), strict=True) if not ended]


def _until_ended(still_alive: Callable[[Sequence[str]], list[str]], ids: Iterable[str]) -> None:
    left = list(ids)
    while left := still_alive(left):
        time.sleep(_PAUSE_SECONDS)


def _patiently(call: Callable[..., Any], **parameters: Any) -> Any:
    """Make a call until it is served: botocore gives up after a few tries, and the job would be left."""
    while True:
        try:
            return call(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            time.sleep(_PAUSE_SECONDS)


STRATEGIES = (
    Strategy(
        "this package, bulk calls",
        "StopProcedure with a client that has TerminateJobs",
        ours,
        10_000,
        10_000,
        bulk=True,
    ),
    Strategy(
        "this package, single calls",
        "the same with a client from before botocore 1.43.93",
        ours,
        1_000,
        100,
    ),
    Strategy(
        "kill pool, describe by 100",
        "one TerminateJob a job at 50 a second from a pool, and DescribeJobs for 100 jobs every second",
        kill_pool,
        1_000,
        100,
        connections=_CONNECTIONS,
    ),
    Strategy(
        "single calls at a fixed rate",
        "one TerminateJob and one DescribeJobs a job, 16 threads that share 50 calls a second",
        paced_singles,
        1_000,
        100,
        connections=_CONNECTIONS,
    ),
    Strategy(
        "boto3 in 16 threads",
        "one TerminateJob and one DescribeJobs a job, as fast as 16 threads can",
        threaded_loop,
        1_000,
        100,
        connections=_CONNECTIONS,
    ),
    Strategy(
        "boto3 loop",
        "one TerminateJob a job, then one DescribeJobs a job until it has ended",
        serial_loop,
        100,
        10,
    ),
    Strategy(
        "amazon provider's hook",
        "BatchClientHook.terminate_job, then wait_for_job with the shortest delay it takes",
        provider_hook,
        10,
        0,
    ),
)
