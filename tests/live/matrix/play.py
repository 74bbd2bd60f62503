"""Plays rows of the kill matrix on a real Airflow, and says what came of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live.cluster import Cluster
from tests.live.matrix.modes import QUEUES
from tests.live.matrix.rows import DEFERRABLE, NO_WAIT, ROWS, Ending, Row
from tests.live.matrix.scene import LONGEST_OVERLAP_SECONDS, Scene

DAGS = Path(__file__).parents[1] / "dags"
PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "kill-matrix.md"
SIDE_BY_SIDE = 8
_READY_SECONDS = 600
_STOP_SECONDS = 200
_WATCH_SECONDS = 20
_SETTINGS = {
    "AIRFLOW__BATCH_CANCEL__SWEEP_MIN_AGE": "5",
    "AIRFLOW__CORE__PARALLELISM": "40",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "40",
}


@dataclass(frozen=True)
class Played:
    """
    A row in one mode, as it was played.

    :param problem: what is wrong with it; empty when nothing is
    """

    row: Row
    mode: str
    stopped_by: str = ""
    seconds: float | None = None
    problem: str = ""


@contextmanager
def matrix_cluster(keep_home: bool = False) -> Iterator[Cluster]:
    """The Airflow that the matrix is played on; its sweep runs every minute."""
    with Cluster(DAGS, settings=_SETTINGS, postgres=True, keep_home=keep_home) as cluster:
        for queue in QUEUES:
            cluster.batch_queue(queue, slots=0 if queue.startswith("full") else None)
        yield cluster


def play(cluster: Cluster, row: Row, modes: Iterable[str]) -> list[Played]:
    """Play a row in some of its modes, at the same time where that is how it happens."""
    modes = [mode for mode in row.ends if mode in modes]
    scenes: dict[str, Scene] = {}
    problems: dict[str, str] = {}

    def guarded(mode: str, work: Callable[[], None]) -> None:
        if mode not in problems:
            try:
                work()
            except Exception as error:
                problems[mode] = str(error).splitlines()[0]

    for mode in modes:
        guarded(mode, lambda mode=mode: scenes.update({mode: _start(cluster, row, mode)}))
    for mode in modes:
        guarded(mode, lambda mode=mode: _wait_until_ready(row, mode, scenes[mode]))
    ready = [scenes[mode] for mode in modes if mode not in problems]
    for scene in ready:
        scene.died()
    if row.event:
        row.event(cluster, ready)
    for mode in modes:
        guarded(mode, lambda mode=mode: _act(row, scenes[mode]))
    for mode in modes:
        guarded(mode, lambda mode=mode: _check(row, mode, scenes[mode]))
    return [_played(row, mode, scenes.get(mode), problems.get(mode, "")) for mode in modes]


def _start(cluster: Cluster, row: Row, mode: str) -> Scene:
    conf = dict(row.conf)
    if "queue" in conf:
        conf["queue"] = f"{conf['queue']}-{mode}"
        for fault in row.faults:
            cluster.batch_faults(**fault, queue=conf["queue"])
    return Scene(cluster, f"{row.variant}__{mode.replace('-', '_')}", conf)


def _wait_until_ready(row: Row, mode: str, scene: Scene) -> None:
    count = 20 if row.variant == "mapped" else 1

    def ready() -> bool:
        if row.until == "deferred":
            return bool(scene.task() == "deferred")
        jobs = scene.jobs()
        if not jobs and scene.task() in ("success", "failed"):
            raise AssertionError(f"the task is {scene.task()}, and has submitted no job")
        if row.until == "SUBMITTED":
            return bool(jobs)
        return sum(job["status"] == row.until for job in jobs) == count

    scene.wait(f"the job to be {row.until}", _READY_SECONDS, ready)
    settled = {DEFERRABLE: "deferred", NO_WAIT: "success"}.get(mode)
    if row.until in ("RUNNING", "RUNNABLE") and settled and row.variant != "mapped":
        scene.wait(f"the task to be {settled}", 60, lambda: scene.task() == settled)
    if row.until in ("RUNNING", "RUNNABLE") and mode == DEFERRABLE and row.variant != "mapped":
        scene.wait("a triggerer to take it up", 60, lambda: scene.task("triggerer_job"))
        time.sleep(4)  # it has the trigger on its list then, and starts it
    elif mode == DEFERRABLE and row.variant == "mapped":
        time.sleep(15)


def _act(row: Row, scene: Scene) -> None:
    if row.act is not None:
        scene.died()
        row.act(scene)


def _check(row: Row, mode: str, scene: Scene) -> None:
    _CHECKS[row.ends[mode]](scene)
    longest = max(scene.overlaps(), default=0.0)
    if longest > LONGEST_OVERLAP_SECONDS:
        raise AssertionError(f"two jobs of one task instance were alive for {longest:.0f} s")


def _stopped(scene: Scene) -> None:
    scene.wait("every job to end", _STOP_SECONDS, lambda: not scene.alive())
    time.sleep(5)
    if scene.alive():
        raise AssertionError("LEAK: a job came up after the others had ended")
    scene.wait("the task to be over", 60, lambda: scene.task() not in ("running", "deferred"))


def _replaced(scene: Scene) -> None:
    def replaced() -> bool:
        alive = scene.alive()
        return len(alive) == 1 and alive[0]["jobId"] not in scene.at_risk and alive[0]["status"] == "RUNNING"

    scene.wait("the next try's job to be the only one", _STOP_SECONDS, replaced)
    _end(scene)


def _lives(scene: Scene) -> None:
    ends = time.monotonic() + _WATCH_SECONDS
    while time.monotonic() < ends:
        alive = [job["jobId"] for job in scene.alive()]
        expected = scene.at_risk or alive
        if len(alive) != 1 or alive != expected:
            raise AssertionError(f"the job of a living task was stopped by {scene.stopped_by()}")
        time.sleep(1)
    if scene.task() in ("failed", None):
        raise AssertionError(f"the task is {scene.task()}")
    _end(scene)


def _reattached(scene: Scene) -> None:
    scene.wait("the next try", _STOP_SECONDS, lambda: (scene.task("try_number") or 0) > 1)
    scene.wait("the next try to run", _STOP_SECONDS, lambda: scene.task() == "running")
    _lives(scene)


def _end(scene: Scene) -> None:
    """Leave no job of the row behind, and mind that this works, too."""
    scene.cluster.mark_run(scene.dag_id, scene.run_id, "failed")


_CHECKS: dict[Ending, Callable[[Scene], None]] = {
    Ending.STOPPED: _stopped,
    Ending.REPLACED: _replaced,
    Ending.LIVES: _lives,
    Ending.REATTACHED: _reattached,
}


def _played(row: Row, mode: str, scene: Scene | None, problem: str) -> Played:
    if scene is None or problem:
        return Played(row, mode, problem=problem or "not started")
    if row.ends[mode] in (Ending.LIVES, Ending.REATTACHED):
        return Played(row, mode)
    by_itself = row.act is not None and row.act.__name__ == "nothing"
    return Played(row, mode, scene.stopped_by(), None if by_itself else scene.seconds_to_the_stop())


def play_all(rows: Sequence[Row], say: Callable[[str], None], keep_home: bool = False) -> list[Played]:
    """
    Play rows on several Airflows at once: those that concern the cluster one by one, the others side by side.

    :param say: is told of each result
    :param keep_home: leave logs behind, and say where
    """
    alone = [row for row in rows if row.event or row.variant == "mapped"]
    beside = [row for row in rows if row not in alone]
    casts = [one for one in ((alone[::2], 1), (alone[1::2], 1), (beside, SIDE_BY_SIDE)) if one[0]]
    with ThreadPoolExecutor(len(casts)) as pool, ExitStack() as stack:
        stages = [stack.enter_context(matrix_cluster(keep_home)) for _ in casts]
        for stage in stages:
            say(f"an Airflow is up{f', logs in {stage.home}' if keep_home else ''}")
        plays = [
            pool.submit(_play_on, stage, cast, width, say)
            for stage, (cast, width) in zip(stages, casts, strict=True)
        ]
        found = [played for one in plays for played in one.result()]
    order = [(row.name, mode) for row in rows for mode in row.ends]
    return sorted(found, key=lambda played: order.index((played.row.name, played.mode)))


def _play_on(cluster: Cluster, rows: Sequence[Row], width: int, say: Callable[[str], None]) -> list[Played]:
    """
    Play first with the sweep turned off, then what only the sweep can see to.

    :param width: how many rows are played at the same time
    """
    found = _play_side_by_side(cluster, rows, width, lambda row: set(row.ends) - set(row.swept), say)
    cluster.pause("sweep", False)
    found += _play_side_by_side(cluster, rows, width, lambda row: set(row.ends) & set(row.swept), say)
    cluster.wait("every job to have ended", _STOP_SECONDS, lambda: not cluster.batch_alive())
    return found


def _play_side_by_side(
    cluster: Cluster,
    rows: Sequence[Row],
    width: int,
    modes: Callable[[Row], set[str]],
    say: Callable[[str], None],
) -> list[Played]:
    def one(row: Row) -> list[Played]:
        played = play(cluster, row, modes(row))
        for result in played:
            say(_line(result))
        return played

    with ThreadPoolExecutor(width) as pool:
        return [result for played in pool.map(one, filter(modes, rows)) for result in played]


def _line(result: Played) -> str:
    done = result.problem or " ".join(_cells(result)[2:4])
    return f"{'FAIL' if result.problem else 'ok  '} {result.row.name} [{result.mode}]: {done}"


def _cells(result: Played) -> tuple[str, str, str, str, str]:
    ending = result.row.ends[result.mode]
    became = result.problem or f"{ending}" + (f" by {result.stopped_by}" if result.stopped_by else "")
    seconds = "" if result.seconds is None else f"{result.seconds:.0f} s"
    return result.row.name, result.mode, became, seconds, result.row.stock.get(result.mode, "")


def as_markdown(played: Sequence[Played]) -> str:
    """Return the matrix as a page."""
    from importlib.metadata import version

    lines = [
        "# What becomes of the job, whatever becomes of the task",
        "",
        "Each row is the death of a real process, or what a real user does, on a real Airflow "
        f"{version('apache-airflow-core')} (scheduler with LocalExecutor, API server, DAG processor, one or "
        "two triggerers, PostgreSQL) against a simulated AWS Batch. `make matrix` plays them and writes this "
        "page.",
        "",
        "*Became* is what happened to the job of a `CancellableBatchOperator`, *seconds* from the death "
        "until it had ended; in the simulator a stop takes one second. The sweep runs every minute, but only "
        "for the rows that nothing else sees to: the others are played without it. *Stock* is what becomes "
        "of the job of the amazon provider's own operator. *sync* is the default, *reattach* is sync with "
        '`previous_try="reattach"`, *no-wait* is `wait_for_completion=False`.',
        "",
        "| what happens | mode | became | seconds | stock |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(result))} |" for result in played),
        "",
    ]
    return "\n".join(lines)


def play_arguments(page: Path) -> argparse.Namespace:
    """Read which rows to play, and whether to write the page that they make."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="rows whose names contain this")
    parser.add_argument("--write", action="store_true", help=f"write {page.name}")
    parser.add_argument("--keep", action="store_true", help="leave logs behind, and say where")
    return parser.parse_args()


def main() -> int:
    """Play the matrix, or the rows whose names contain a word; return how many went wrong."""
    arguments = play_arguments(PAGE)
    rows = [row for row in ROWS if arguments.only in row.name]
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    say(f"{len(rows)} rows")
    played = play_all(rows, say, arguments.keep)
    print(as_markdown(played))
    if arguments.write and not arguments.only:
        PAGE.write_text(as_markdown(played))
    failed = [result for result in played if result.problem]
    for result in failed:
        print(_line(result))
    print(f"{len(played)} played, {len(failed)} wrong, {time.monotonic() - began:.0f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
