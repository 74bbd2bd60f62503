"""``make bench``: measure everything, print the tables, and write them as JSON, as a page and as a plot."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.footprint import footprint_section, measure_footprint
from tests.bench.kills import kill_deferred, kill_in_workers, kills_section
from tests.bench.report import Section, machine, machine_sentence
from tests.bench.showing import measure_pages, showing_section
from tests.bench.site import make_site
from tests.bench.sizes import KILLED_DEFERRED
from tests.bench.stop import SIZES, measure_all
from tests.bench.stop_tables import plot, stop_section
from tests.bench.sweeping import measure_sweeps, sweep_section
from tests.bench.waiting import ours_waiting, stock_in_its_environment, waiting_section
from tests.live.cluster import ROOT

_HEAD = """\
# Benchmark

`make bench` writes this page. All of it runs on one machine, against the simulated AWS Batch in a process of
its own, over HTTP; nobody has measured it against AWS. Compare ratios, which hold elsewhere, and not seconds.
"""


def main() -> None:
    """Measure, and write into ``docs``; a quick benchmark writes into ``build``."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: a minute or two")
    parser.add_argument("--only", default="", help="only the parts whose names contain this")
    arguments = parser.parse_args()
    partial = arguments.quick or arguments.only
    target = ROOT / "build" / "bench" if partial else ROOT / "docs"
    home = tempfile.mkdtemp(prefix="batch-cancel-bench-")
    os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    try:
        sections = list(_sections(arguments.quick, arguments.only, target))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _write(sections, target)


def _sections(quick: bool, only: str, target: Path) -> Iterator[Section]:
    for name, part in _PARTS.items():
        if only in name:
            _say(f"--- {name}")
            for section in part(quick, target):
                print(section.markdown(), flush=True)
                yield section


def _stop(quick: bool, target: Path) -> Iterator[Section]:
    results = measure_all(SIZES[:2] if quick else SIZES, 1 if quick else 3, _say)
    plot(results, target / "images" / "bench-stop.png")
    yield stop_section(results)


def _airflow(quick: bool, _: Path) -> Iterator[Section]:
    with make_site() as cluster:
        _say("waiting")
        waited = ours_waiting(cluster, quick)
        _say("kills")
        deferred = kill_deferred(cluster, KILLED_DEFERRED)
        yield kills_section(deferred, kill_in_workers(cluster))
        _say("sweeps")
        yield sweep_section(measure_sweeps(cluster, quick))
        _say("pages")
        yield showing_section(measure_pages(cluster, quick))
    _say("waiting, the stock operator's trigger")
    yield waiting_section(waited + stock_in_its_environment())


def _installed(quick: bool, _: Path) -> Iterator[Section]:
    yield footprint_section(measure_footprint())


_PARTS: dict[str, Callable[[bool, Path], Iterator[Section]]] = {
    "stop": _stop,
    "airflow": _airflow,
    "installed": _installed,
}


def _write(sections: list[Section], target: Path) -> None:
    page = target / "explanation" / "benchmark.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{_HEAD}\n{machine_sentence()}", *(section.markdown() for section in sections)]
    page.write_text("\n\n".join(texts) + "\n")
    data = {"machine": machine(), **{section.title: section.data for section in sections}}
    page.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    _say(f"Written: {page.relative_to(ROOT)}")


def _say(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
