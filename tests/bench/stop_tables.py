"""Stopping many jobs, as tables and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.report import Section, Table, seconds, times
from tests.bench.service import BURST, CALLS_PER_SECOND, LATENCY_SECONDS, STOP_SECONDS
from tests.bench.stop import SHARED_JOBS, Result, Sample, limit
from tests.bench.strategies import STRATEGIES

_BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}
_BEST = STRATEGIES[0].name
_INTRODUCTION = f"""\
The same jobs are stopped and seen to have ended by every strategy, each against a service of its own: of
twenty, ten run, two start, four are queued, one is just submitted, one depends on another, one is an array
of ten, and one has ended. The service answers a call after {LATENCY_SECONDS * 1000:.0f} ms, and a started job
ends {STOP_SECONDS:g} s after it was terminated (a real one needs half a minute or more, whoever stops it).
The limit is the calls that the API needs (100 ids a look before and after, 50 or 1 a stop) at
{CALLS_PER_SECOND:.0f} calls a second, and one chain of look, stop, the job's end, look. Figures with a ~ are
in proportion to a measurement with fewer jobs. Making a client, and the first call of a process, which take
botocore half a second together, are not in the figures of anybody."""


_GOALS = """\
The goals: at most 1.25 times the limit, at least 20 times faster than the best of the others under the
token bucket, and 100 times faster than the boto3 loop. The last line of the next table is the limit itself:
where even that is not 20 or 100 times faster, nobody can be, because looking, stopping and looking again
are three answers to wait for however few the jobs are."""


def stop_section(results: Sequence[Result], shared: Mapping[float, Mapping[str, Sample]]) -> Section:
    """Return the section about stopping jobs."""
    bucket = [result for result in results if result.throttled]
    free = [result for result in results if not result.throttled]
    return Section(
        "Stop many jobs and see them ended",
        [
            _INTRODUCTION,
            "![Seconds to stop so many jobs](../images/bench-stop.png)",
            _GOALS,
            f"How many times as long as this package with bulk calls, when the service answers 429 beyond "
            f"{CALLS_PER_SECOND:.0f} calls a second (a token bucket of {BURST}):",
            _against_ours(bucket, with_limit=True),
            "How many times the limit, of bulk and of single calls:",
            _against_limit(bucket),
            "The same without a token bucket. This package keeps to the rate by itself:",
            _against_ours(free),
            f"Where others use most of the account's calls, and 429 comes sooner ({SHARED_JOBS:,} jobs with "
            f"bulk calls, {SHARED_JOBS // 10} with single ones; all were stopped):",
            _shared(shared),
            "Seconds and calls with the token bucket:",
            _figures(bucket),
            "And without:",
            _figures(free),
            "The strategies:",
            Table(["strategy", "what it does"], [[one.name, one.what] for one in STRATEGIES]),
        ],
        {
            "strategies": [result.as_dict() for result in results],
            "shared": {
                str(rate): {name: asdict(one) for name, one in by_name.items()}
                for rate, by_name in shared.items()
            },
        },
    )


def plot(results: Iterable[Result], path: Path) -> None:
    """Draw seconds over jobs, with the token bucket."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    sizes: list[int] = []
    for name, by_size in _by_strategy(result for result in results if result.throttled).items():
        sizes = list(by_size)
        ours = _BY_NAME[name].ours
        (line,) = axes.plot(
            sizes, [one.seconds for one in by_size.values()], label=name, linewidth=2.5 if ours else 1.2
        )
        for size, one in by_size.items():
            fill = "white" if one.extrapolated else line.get_color()
            axes.plot(size, one.seconds, "o", color=line.get_color(), markerfacecolor=fill)
    limits = [limit(size, bulk=True).seconds for size in sizes]
    axes.plot(sizes, limits, "--", color="black", linewidth=1, label="limit of the API, bulk calls")
    axes.set(xscale="log", yscale="log", xlabel="jobs (hollow: extrapolated)", ylabel="seconds")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _against_ours(results: Sequence[Result], *, with_limit: bool = False) -> Table:
    by_strategy = _by_strategy(results)
    best = by_strategy[_BEST]
    table = _by_size(
        by_strategy, lambda one: _mark(one, times(one.seconds / best[one.jobs].seconds)), list(best)
    )
    if not with_limit:
        return table
    limits = [times(limit(size, bulk=True).seconds / one.seconds) for size, one in best.items()]
    return Table(table.head, [*table.rows, ["limit of the API, bulk calls", *limits]])


def _shared(shared: Mapping[float, Mapping[str, Sample]]) -> Table:
    rows = [
        [f"{rate:g}", name, seconds(one.seconds), f"{one.calls:,}", f"{one.refused / one.calls:.0%}"]
        for rate, by_name in shared.items()
        for name, one in by_name.items()
    ]
    return Table(["calls a second left", "strategy", "seconds", "calls", "of them refused"], rows)


def _against_limit(results: Sequence[Result]) -> Table:
    def cell(one: Result) -> str:
        least = limit(one.jobs, bulk=_BY_NAME[one.strategy].bulk)
        return _mark(one, times(one.seconds / least.seconds))

    by_strategy = _by_strategy(one for one in results if _BY_NAME[one.strategy].ours)
    return _by_size(by_strategy, cell, list(by_strategy[_BEST]))


def _by_size(by_strategy: Mapping[str, Mapping[int, Result]], cell, sizes: Sequence[int]) -> Table:
    rows = [
        [name, *(cell(by_size[size]) if size in by_size else "" for size in sizes)]
        for name, by_size in by_strategy.items()
    ]
    return Table(["strategy", *(f"{size:,} jobs" for size in sizes)], rows)


def _figures(results: Sequence[Result]) -> Table:
    head = ["jobs", "strategy", "seconds: median", "min", "max", "calls", "of them refused", "runs"]
    rows = []
    for one in results:
        share = one.jobs / one.measured_jobs
        taken = [sample.seconds * share for sample in one.samples]
        refused = sum(sample.refused for sample in one.samples) / sum(sample.calls for sample in one.samples)
        rows.append(
            [
                f"{one.jobs:,}",
                one.strategy,
                _mark(one, seconds(one.seconds)),
                _mark(one, seconds(min(taken))),
                _mark(one, seconds(max(taken))),
                _mark(one, f"{one.calls:,.0f}"),
                f"{refused:.0%}",
                str(len(one.samples)),
            ]
        )
    return Table(head, rows)


def _by_strategy(results: Iterable[Result]) -> dict[str, dict[int, Result]]:
    found: dict[str, dict[int, Result]] = {}
    for result in results:
        found.setdefault(result.strategy, {})[result.jobs] = result
    return found


def _mark(one: Result, text: str) -> str:
    return f"~ {text}" if one.extrapolated else text
