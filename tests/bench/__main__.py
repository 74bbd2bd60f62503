"""``make bench``: measure everything, print the tables, and write them as JSON, as a page and as a plot."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.footprint import footprint_section, measure_footprint
from tests.bench.kills import kill_deferred, kill_in_workers, kills_section
from tests.bench.report import Section, machine, machine_sentence
from tests.bench.showing import measure_pages, showing_section
from tests.bench.site import make_site
from tests.bench.sizes import KILLED_DEFERRED, SHOWN, SWEPT, WAITING
from tests.bench.stop import SIZES, measure_all, measure_shared
from tests.bench.stop_tables import plot, stop_section
from tests.bench.sweeping import measure_sweeps, sweep_section
from tests.bench.waiting import measure_waiting, stock_in_its_environment, waiting_section
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
    failed: list[str] = []
    try:
        sections = list(_sections(arguments.quick, arguments.only, target, failed))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _write(sections, target)
    if failed:
        sys.exit(f"These parts have failed, and are not in the page: {', '.join(failed)}")


def _sections(quick: bool, only: str, target: Path, failed: list[str]) -> Iterator[Section]:
    """Yield what each part has found; one that fails is noted, and the others go on."""
    for name, part in _PARTS.items():
        if only not in name:
            continue
        _say(f"--- {name}")
        try:
            section = part(quick, target)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            print(section.markdown(), flush=True)
            yield section


def _stop(quick: bool, target: Path) -> Section:
    results = measure_all(SIZES[:2] if quick else SIZES, 1 if quick else 3, _say)
    plot(results, target / "images" / "bench-stop.png")
    return stop_section(results, measure_shared(_say))


def _kills(quick: bool, _: Path) -> Section:
    with make_site() as cluster:
        return kills_section(kill_deferred(cluster, KILLED_DEFERRED), kill_in_workers(cluster))


def _waiting(quick: bool, _: Path) -> Section:
    with make_site() as cluster:
        ours = measure_waiting(cluster, "ours", WAITING[:1] if quick else WAITING)
    return waiting_section(ours + stock_in_its_environment())


def _sweep(quick: bool, _: Path) -> Section:
    with make_site() as cluster:
        return sweep_section(measure_sweeps(cluster, SWEPT[:1] if quick else SWEPT))


def _page(quick: bool, _: Path) -> Section:
    with make_site() as cluster:
        return showing_section(measure_pages(cluster, SHOWN[:1] if quick else SHOWN))


def _installed(quick: bool, _: Path) -> Section:
    return footprint_section(measure_footprint())


_PARTS: dict[str, Callable[[bool, Path], Section]] = {
    "stop": _stop,
    "kills": _kills,
    "waiting": _waiting,
    "sweep": _sweep,
    "page": _page,
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
