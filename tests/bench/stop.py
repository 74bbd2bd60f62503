"""Stop and confirm so many jobs: calls and seconds of each strategy, beside the least that the API needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.bench.service import (
    BURST,
    CALLS_PER_SECOND,
    LATENCY_SECONDS,
    STOP_SECONDS,
    live_jobs,
    mixed_jobs,
    service,
)
from tests.bench.strategies import STRATEGIES, Strategy

SIZES = (10, 100, 1_000, 10_000)
SHARED_RATES = (25.0, 10.0)
"""What is left of the API's rate, in calls a second, where others use the rest."""
SHARED_JOBS = 5_000
"""With bulk calls; a tenth of them with single calls."""


@dataclass(frozen=True, slots=True)
class Limit:
    """
    The least that it takes.

    :param calls: that the API needs
    :param seconds: those calls at the API's rate, and one chain of look, stop, the job's end and look
    """

    calls: int
    seconds: float


def limit(jobs: int, *, bulk: bool) -> Limit:
    """Return the limit for so many of the mixed jobs."""
    live = live_jobs(jobs)
    calls = math.ceil(jobs / 100) + math.ceil(live / (50 if bulk else 1)) + math.ceil(live / 100)
    # The service stops a job when it takes the call, not when it has answered it.
    chain = LATENCY_SECONDS + STOP_SECONDS + LATENCY_SECONDS
    return Limit(calls, calls / CALLS_PER_SECOND + chain)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one strategy."""

    seconds: float
    calls: int
    refused: int


@dataclass(frozen=True, slots=True)
class Result:
    """
    All the runs of one strategy with so many jobs.

    :param throttled: whether the service had a token bucket
    :param measured_jobs: with how many jobs it was measured; with fewer, the figures are extrapolated
    """

    strategy: str
    jobs: int
    throttled: bool
    measured_jobs: int
    samples: tuple[Sample, ...]

    @property
    def extrapolated(self) -> bool:
        """Whether it was measured with fewer jobs."""
        return self.measured_jobs < self.jobs

    @property
    def seconds(self) -> float:
        """The median, in proportion to the jobs."""
        return median(sample.seconds for sample in self.samples) * self.jobs / self.measured_jobs

    @property
    def calls(self) -> float:
        """The median, in proportion to the jobs."""
        return median(sample.calls for sample in self.samples) * self.jobs / self.measured_jobs

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "seconds": self.seconds, "calls": self.calls}


def measure(strategy: Strategy, jobs: int, rate: float | None) -> Sample:
    """
    Let a strategy stop jobs of a new service; all of them must have ended.

    :param rate: how many calls a second the service takes before it answers 429; None for any number
    """
    with service() as batch:
        ids = list(batch.load(mixed_jobs(jobs)).values())
        client = batch.client(
            bulk=strategy.bulk, max_pool_connections=strategy.connections, **strategy.config
        )
        client.describe_jobs(jobs=ids[:1])  # the first call of a process takes longer, whoever makes it
        batch.fault(kind="latency", seconds=LATENCY_SECONDS)
        if rate:
            batch.fault(kind="rate_limit", per_second=rate, burst=BURST)
        batch.forget()
        began = time.perf_counter()
        strategy.run(client, ids)
        seconds = time.perf_counter() - began
        assert batch.alive() == 0, f"{strategy.name} left jobs behind"
        count = batch.count()
        return Sample(seconds, count.calls, count.refused)


def measure_all(sizes: tuple[int, ...], rounds: int, say: Callable[[str], None]) -> list[Result]:
    """Measure every strategy with every size, in turn, several rounds; with and without a token bucket."""
    samples: dict[tuple[str, int, bool], list[Sample]] = {}
    for number in range(rounds):
        for strategy, jobs, throttled in _cases(sizes, number):
            sample = measure(strategy, jobs, CALLS_PER_SECOND if throttled else None)
            samples.setdefault((strategy.name, jobs, throttled), []).append(sample)
            bucket = "token bucket" if throttled else "no bucket"
            say(
                f"round {number + 1}, {bucket}: {strategy.name}, {jobs} jobs: "
                f"{sample.seconds:.2f} s, {sample.calls} calls, {sample.refused} refused"
            )
    return [
        Result(strategy.name, jobs, throttled, taken, tuple(found))
        for throttled in (True, False)
        for jobs in sizes
        for strategy in STRATEGIES
        if (taken := min(jobs, strategy.most_jobs, max(sizes)))
        and (found := samples.get((strategy.name, taken, throttled)))
    ]


def measure_shared(say: Callable[[str], None]) -> dict[float, dict[str, Sample]]:
    """Measure this package where others use most of the account's calls; by rate and strategy."""
    found: dict[float, dict[str, Sample]] = {}
    for rate in SHARED_RATES:
        for strategy in (one for one in STRATEGIES if one.ours):
            jobs = SHARED_JOBS if strategy.bulk else SHARED_JOBS // 10
            sample = measure(strategy, jobs, rate)
            found.setdefault(rate, {})[strategy.name] = sample
            say(f"{rate:g} calls a second: {strategy.name}, {jobs} jobs: {sample}")
    return found


def _cases(sizes: tuple[int, ...], number: int) -> Iterator[tuple[Strategy, int, bool]]:
    """Yield what to measure in a round; what takes long is measured in the first round only."""
    for throttled in (True, False):
        for jobs in sizes:
            for strategy in STRATEGIES:
                if jobs <= (strategy.quick_jobs if number else strategy.most_jobs):
                    yield strategy, jobs, throttled
