"""What the triggers of one triggerer do together: look at jobs, and stop those whose tasks were killed."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.core.audit import DecidedBy, audit
from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.core.owner import Owner, Ownership, PreviousTry
from airflow_batch_cancel.core.plan import Operation
from airflow_batch_cancel.core.policy import REASON_LENGTH
from airflow_batch_cancel.core.verdict import TaskState, Verdict, judge_owner
from airflow_batch_cancel.exceptions import BatchApiError
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.settings import poll_interval_seconds
from airflow_batch_cancel.states import AirflowStates

log = logging.getLogger(__name__)

_SLOWEST = 10.0
_GATHER_SECONDS = 0.05

# Not the loop's own pool: that one is small, and a burst of kills would wait behind whatever is in it.
_POOL = ThreadPoolExecutor(max_workers=16, thread_name_prefix="batch-cancel-trigger")
_KEPT: set[asyncio.Future[Any]] = set()

Result = TypeVar("Result")


def in_thread(work: Callable[..., Result], *args: Any) -> Awaitable[Result]:
    """
    Run blocking work in a thread of this package's own.

    What the work asks Airflow must be asked on this event loop: before Airflow 3.2 a triggerer that is asked
    on another one mistakes its answers, and ends. ``asgiref`` tells the thread which loop that is.
    """
    return sync_to_async(work, thread_sensitive=False, executor=_POOL)(*args)


def kept(awaitable: Awaitable[Result]) -> asyncio.Future[Result]:
    """Return it as a task that nobody's cancellation ends: it is referred to until it is done."""
    task = asyncio.ensure_future(awaitable)
    _KEPT.add(task)
    task.add_done_callback(_KEPT.discard)
    return task


@dataclass(frozen=True, slots=True)
class Look:
    """
    What one look at a job has shown.

    :param job: None when AWS Batch does not know it
    :param error: why it could not be looked at; not set for errors that pass
    """

    job: Job | None = None
    error: BatchApiError | None = None


class Describer:
    """
    Looks at the jobs that tasks wait for with one connection at one interval, 100 a call.

    Throttling and outages slow it down and are nobody's error: it looks again.

    :param connection: the keyword arguments of :class:`~airflow_batch_cancel.hooks.batch.BatchCancelHook`
    :param interval: seconds between two looks
    """

    def __init__(self, connection: Mapping[str, Any], interval: float) -> None:
        self._connection = connection
        self._interval = interval
        self._slowness = 1.0
        self._gateway: BatchGateway | None = None
        self._waiting: dict[str, list[asyncio.Future[Look]]] = {}
        self._task: asyncio.Future[None] | None = None

    async def look(self, job_id: str) -> Look:
        """Return what the next look shows of a job."""
        future: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(future)
        if self._task is None or self._task.done():
            self._task = kept(self._poll())
        return await future

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._interval * self._slowness * random.uniform(0.9, 1.1))
            self._forget_those_gone()
            waiting, self._waiting = self._waiting, {}
            try:
                looks = await in_thread(self._look_at, list(waiting))
            except Exception as error:
                looks = {}
                self._slow_down(error)
            self._tell(waiting, looks)
            await asyncio.sleep(0)  # those told ask for the next look now

    def _forget_those_gone(self) -> None:
        alive = {
            job_id: [future for future in futures if not future.done()]
            for job_id, futures in self._waiting.items()
        }
        self._waiting = {job_id: futures for job_id, futures in alive.items() if futures}

    def _tell(self, waiting: dict[str, list[asyncio.Future[Look]]], looks: Mapping[str, Look]) -> None:
        """Hand out what was seen; those whose job could not be looked at go on waiting."""
        for job_id, futures in waiting.items():
            if job_id not in looks:
                self._waiting.setdefault(job_id, []).extend(futures)
                continue
            for future in futures:
                if not future.done():
                    future.set_result(looks[job_id])

    def _look_at(self, job_ids: list[str]) -> dict[str, Look]:
        """Describe jobs, in a thread; those that could not be asked for just now are left out."""
        if not job_ids:
            return {}
        if self._gateway is None:
            self._gateway = BatchCancelHook(**self._connection).make_gateway(attempts=1)
        described = self._gateway.describe(job_ids)
        passing = [error for error in described.errors.values() if error.retryable]
        if passing:
            self._slow_down(passing[0])
        else:
            self._slowness = max(1.0, self._slowness / 2)
        return {
            job_id: Look(described.jobs.get(job_id), described.errors.get(job_id))
            for job_id in job_ids
            if not ((error := described.errors.get(job_id)) and error.retryable)
        }

    def _slow_down(self, error: Exception) -> None:
        self._slowness = min(_SLOWEST, self._slowness * 2)
        log.warning(
            "%s; looking again at the AWS Batch jobs in %.0f s", error, self._interval * self._slowness
        )


_DESCRIBERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, float], Describer]] = (
    WeakKeyDictionary()
)


def shared_describer(connection: Mapping[str, Any], poll_interval: float) -> Describer:
    """
    Return the describer that all the triggers of this loop share, for a connection and interval.

    :param poll_interval: seconds; not faster than ``[batch_cancel] poll_interval``
    """
    interval = max(poll_interval, poll_interval_seconds())
    describers = _DESCRIBERS.setdefault(asyncio.get_running_loop(), {})
    key = (_key(connection), interval)
    if key not in describers:
        describers[key] = Describer(connection, interval)
    return describers[key]


@dataclass(frozen=True, slots=True)
class Kill:
    """A deferred task was killed: its job, and whose it is."""

    job_id: str
    owner: Owner
    previous_try: PreviousTry


class Killer:
    """
    Stops the jobs of deferred tasks that were killed; those killed at the same time in the same calls.

    It first asks Airflow what has become of each task: a kill also comes when a trigger is merely handed to
    another triggerer, and then the task is still deferred and its job is not touched.

    :param connection: the keyword arguments of :class:`~airflow_batch_cancel.hooks.batch.BatchCancelHook`
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._gathering: asyncio.Future[None] | None = None
        self._kills: list[Kill] = []
        self._readiness: asyncio.Future[None] | None = None
        self._hook = BatchCancelHook(**connection)

    def get_ready(self, owner: Owner) -> None:
        """
        Do before the first kill what would delay it for seconds: make the client, and ask Airflow something.

        The first question of all makes a triggerer build the API that answers it.

        :param owner: whose state is asked for
        """
        if self._readiness is None:
            self._readiness = kept(self._get_ready(owner))

    async def _get_ready(self, owner: Owner) -> None:
        try:
            await in_thread(lambda: self._hook.gateway)
        except Exception as error:
            log.warning("No client to kill jobs with yet, the first kill will make one: %s", error)
        await in_thread(AirflowStates().task_instances, [owner])

    async def stop(self, kill: Kill) -> None:
        """Stop a job unless its task is alive; goes on when the caller is cancelled. Raises nothing."""
        self._kills.append(kill)
        if self._gathering is None:
            self._gathering = kept(self._stop_gathered())
        await asyncio.shield(self._gathering)

    async def _stop_gathered(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        kills, self._kills, self._gathering = self._kills, [], None
        try:
            await in_thread(self._stop_all, kills)
        except Exception:
            ids = ", ".join(kill.job_id for kill in kills)
            log.exception("AWS Batch jobs were not stopped, which is left to the sweep: %s", ids)

    def _stop_all(self, kills: Iterable[Kill]) -> None:
        kills = list(kills)
        states = AirflowStates().task_instances([kill.owner for kill in kills])
        together: dict[str, list[Kill]] = defaultdict(list)
        for kill in kills:
            state = states[kill.owner]
            if _is_alive(kill, state):
                log.info("AWS Batch job %s is spared: its task %s is %s", kill.job_id, kill.owner, state)
            else:
                together[f"{kill.owner.dag_id}/{kill.owner.run_id}"].append(kill)
        for run, group in together.items():
            self._stop_group(run, group, states)

    def _stop_group(self, run: str, kills: list[Kill], states: Mapping[Owner, TaskState]) -> None:
        if len(kills) == 1:
            owner = kills[0].owner
            reason = f"Airflow task {owner} was killed while deferred, and is {states[owner]} now"
        else:
            reason = f"Airflow killed {len(kills)} deferred tasks of {run}"
        ids = [kill.job_id for kill in kills]
        answers = self._hook.gateway.stop(Operation.TERMINATE, ids, reason[:REASON_LENGTH])
        for kill in kills:
            error = answers[kill.job_id]
            why = f"its task was killed while deferred, and is {states[kill.owner]} now"
            audit(DecidedBy.ON_KILL_TRIGGERER, kill.job_id, str(kill.owner), why, str(error or "accepted"))


def _is_alive(kill: Kill, state: TaskState) -> bool:
    """
    Whether the job of a trigger that was killed is to go on.

    A task that is deferred has merely moved to another triggerer. In any other state, that of a next try
    included, nobody waits for this job any more, unless the next try will re-attach to it.
    """
    if kill.previous_try is PreviousTry.REATTACH:
        ownership = Ownership(kill.owner, previous_try=kill.previous_try)
        return judge_owner(ownership, state).verdict is not Verdict.ORPHAN
    return state in (TaskState.DEFERRED, TaskState.UNKNOWN)


_KILLERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Killer]] = WeakKeyDictionary()


def shared_killer(connection: Mapping[str, Any]) -> Killer:
    """Return the killer that all the triggers of this loop share, for a connection."""
    killers = _KILLERS.setdefault(asyncio.get_running_loop(), {})
    return killers.setdefault(_key(connection), Killer(connection))


def _key(connection: Mapping[str, Any]) -> str:
    return json.dumps(connection, sort_keys=True, default=str)
