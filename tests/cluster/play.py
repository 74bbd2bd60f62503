"""Plays what happens on a large installation, and writes down what became of the jobs."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from airflow_batch_cancel.core.owner import Owner, Ownership
from tests.cluster.cluster import DEPLOYMENT, CeleryCluster
from tests.live.matrix.play import play_arguments
from tests.live.matrix.scene import Scene
from tests.live.wire import http

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "on-a-cluster.md"
MANY = 200
_SECONDS = 240
_WATCH_SECONDS = 20
_NOTICED_SECONDS = 40
"""How long Airflow takes to find out that a triggerer is gone, and another to take over."""


def node_lost(cluster: CeleryCluster) -> str:
    """A worker and all its processes are gone at once; the sweep finds the job."""
    scene = _running(cluster, "sync")
    worker = cluster.worker_of(scene.processes()["runner"])
    cluster.lose_node(worker)
    cluster.start_worker(worker)
    scene.wait("the task to be over", _SECONDS, lambda: scene.task() != "running")
    assert scene.alive(), "something has stopped the job before the sweep"
    cluster.wait_for_run("sweep", cluster.trigger("sweep"), _SECONDS)
    scene.wait("the job to end", 60, lambda: not scene.alive())
    return f"stopped by {scene.stopped_by()}"


def node_lost_with_retries(cluster: CeleryCluster) -> str:
    """The same with a task that has retries: its next try, on the other worker, ends the job."""
    scene = _running(cluster, "retried")
    worker = cluster.worker_of(scene.processes()["runner"])
    cluster.lose_node(worker)
    try:
        scene.wait("the next try's job", _SECONDS, lambda: len(scene.jobs()) == 2)
        scene.wait("the first job to end", 60, lambda: len(scene.alive()) == 1)
        assert scene.alive()[0]["jobId"] not in scene.at_risk, "the wrong one of two jobs was stopped"
        assert max(scene.overlaps()) <= 5, "two jobs of one task instance were alive side by side"
        by = scene.stopped_by()
    finally:
        cluster.start_worker(worker)
    cluster.mark_run(scene.dag_id, scene.run_id, "failed")
    return f"stopped by {by}, on the other worker"


def warm_shutdown(cluster: CeleryCluster) -> str:
    """A worker is told to end: it finishes its tasks first, and takes no more."""
    scene = _running(cluster, "sync")
    worker = cluster.worker_of(scene.processes()["runner"])
    cluster.processes[worker].terminate()
    try:
        became = _untouched(scene)
        cluster.processes[worker].wait(120)
    finally:
        cluster.start_worker(worker)
    return became


def owner_killed(cluster: CeleryCluster) -> str:
    """The triggerer that has the trigger is killed; the other takes over."""
    scene = _running(cluster, "deferrable")
    with _without_its_triggerer(scene, cluster.kill):
        return _untouched(scene)


def owner_ended(cluster: CeleryCluster) -> str:
    """The triggerer that has the trigger is told to end, and cancels what it runs; the other takes over."""
    scene = _running(cluster, "deferrable")
    with _without_its_triggerer(scene, lambda owner: cluster.kill(owner, signal.SIGTERM)):
        return _untouched(scene)


def owner_frozen(cluster: CeleryCluster) -> str:
    """The triggerer that has the trigger is frozen, the other takes over, and it goes on."""
    scene = _running(cluster, "deferrable")
    with _without_its_triggerer(scene, cluster.freeze, cluster.thaw):
        time.sleep(_WATCH_SECONDS)
    return _untouched(scene)


def killed_after_takeover(cluster: CeleryCluster) -> str:
    """A task that another triggerer has taken over is marked failed: that one stops its job."""
    scene = _running(cluster, "deferrable")
    with _without_its_triggerer(scene, cluster.kill):
        time.sleep(5)
        scene.died()
        cluster.mark_task(scene.dag_id, scene.run_id, "job", "failed")
        scene.wait("the job to end", 60, lambda: not scene.alive())
    return f"stopped by {scene.stopped_by()}"


def rolling_restart(cluster: CeleryCluster) -> str:
    """Everything is restarted, one after the other, while 200 jobs run."""
    scene = Scene(cluster, "many", {})
    scene.wait(f"{MANY} jobs to run", 900, lambda: len(_of_status(scene, "RUNNING")) == MANY)
    scene.wait("their tasks to be deferred", 300, lambda: _deferred(scene) == MANY)
    scene.died()
    cluster.roll()
    time.sleep(_NOTICED_SECONDS)
    jobs = scene.jobs()
    assert len(jobs) == MANY, f"{len(jobs)} jobs of {MANY} tasks"
    assert len(scene.alive()) == MANY, f"{MANY - len(scene.alive())} stopped by {scene.stopped_by()}"
    assert _deferred(scene) == MANY, f"{_deferred(scene)} tasks are deferred"
    scene.died()
    cluster.mark_run("many", scene.run_id, "failed")
    scene.wait(f"the {MANY} jobs to end", _SECONDS, lambda: not scene.alive())
    stop = f"stopped by {scene.stopped_by()} in {scene.seconds_to_the_stop():.0f} s"
    return f"all go on, none twice; the run is marked failed then, and all {MANY} are {stop}"


def two_sweeps(cluster: CeleryCluster) -> str:
    """Two sweeps of one queue at once: of three jobs, the orphan is stopped, once."""
    living = _running(cluster, "deferrable")
    orphan, strangers = (_owned_by_nobody(cluster, name) for name in (DEPLOYMENT, "another"))
    time.sleep(10)  # the age below which no job is judged
    cluster.reset_batch_calls()
    sweeps = [cluster.trigger("sweep"), cluster.trigger("sweep")]
    assert {cluster.wait_for_run("sweep", run_id, _SECONDS) for run_id in sweeps} == {"success"}
    alive = {job["jobId"] for job in cluster.batch_alive()}
    assert orphan not in alive, "the orphan was not stopped"
    assert strangers in alive, "another deployment's job was stopped"
    return f"the orphan alone is stopped; the job of a living task {_untouched(living)}"


def two_deployments(cluster: CeleryCluster) -> str:
    """Another deployment sweeps the same queue: it stops its own orphan."""
    living = _running(cluster, "deferrable")
    ours, theirs = (_owned_by_nobody(cluster, name) for name in (DEPLOYMENT, "another"))
    time.sleep(10)
    cluster.airflow_as("another", "batch-cancel", "sweep", "--job-queue", "default", "--yes")
    alive = {job["jobId"] for job in cluster.batch_alive()}
    assert theirs not in alive, "its own orphan was not stopped"
    assert ours in alive, "this deployment's orphan was stopped by another"
    cluster.airflow_as(DEPLOYMENT, "batch-cancel", "sweep", "--job-queue", "default", "--yes")
    assert ours not in {job["jobId"] for job in cluster.batch_alive()}, "its own orphan was not stopped"
    return f"each stops its own orphan; the job of a living task {_untouched(living)}"


def followed_elsewhere(cluster: CeleryCluster) -> str:
    """A cancel that one API server has begun is followed through the other."""
    scene = _running(cluster, "deferrable")
    path = f"/batch-cancel/dags/deferrable/dagRuns/{scene.run_id}/cancels"
    token = {"Authorization": f"Bearer {http('GET', f'{cluster.url}/auth/token', None, {})['access_token']}"}
    begun = http("POST", f"{cluster.url}{path}", {"reason": "no longer needed"}, token)
    told: list[str] = []

    def over() -> bool:
        told.append(http("GET", f"{cluster.second_url}{path}/{begun['cancel_id']}", None, token)["state"])
        return told[-1] != "RUNNING"

    cluster.wait("the cancel to be over", 60, over)
    assert told[-1] == "OVER", told[-1]
    assert not scene.alive(), "the job is alive"
    return "stopped, and told by the other"


ROWS: dict[str, Callable[[CeleryCluster], str]] = {
    "a worker node is lost with all its processes": node_lost,
    "a worker node is lost, the task has retries": node_lost_with_retries,
    "warm shutdown of the task's worker": warm_shutdown,
    "the triggerer that has the trigger is killed": owner_killed,
    "the triggerer that has the trigger is told to end": owner_ended,
    "the triggerer that has the trigger freezes, its work is taken over, it goes on": owner_frozen,
    "marked failed after another triggerer has taken over": killed_after_takeover,
    "two sweeps at once, an orphan and another deployment's job in the queue": two_sweeps,
    "two deployments sweep one queue": two_deployments,
    "a cancel, begun on one API server and followed through the other": followed_elsewhere,
    f"everything is restarted, one after the other, while {MANY} jobs run": rolling_restart,
}


def _running(cluster: CeleryCluster, dag_id: str) -> Scene:
    """Start a run, and wait until its job runs and its task is where it waits for it."""
    scene = Scene(cluster, dag_id, {})
    state = "deferred" if dag_id == "deferrable" else "running"
    scene.wait("the job to run", _SECONDS, lambda: [job["status"] for job in scene.jobs()] == ["RUNNING"])
    scene.wait(f"the task to be {state}", _SECONDS, lambda: scene.task() == state)
    if dag_id == "deferrable":
        scene.wait("a triggerer to take it up", _SECONDS, lambda: scene.task("triggerer_job"))
        time.sleep(4)  # it has the trigger on its list then, and starts it
    scene.died()
    return scene


def _untouched(scene: Scene) -> str:
    """Watch a job for a while, which has to go on; then end it by way of its task."""
    ends = time.monotonic() + _WATCH_SECONDS
    while time.monotonic() < ends:
        alive = [job["jobId"] for job in scene.alive()]
        assert alive == scene.at_risk, f"the job of a living task was stopped by {scene.stopped_by()}"
        time.sleep(1)
    assert len(scene.jobs()) == 1, "the task has submitted twice"
    scene.cluster.mark_run(scene.dag_id, scene.run_id, "failed")
    scene.wait("the job to end, its run marked failed", 60, lambda: not scene.alive())
    return "goes on"


@contextmanager
def _without_its_triggerer(
    scene: Scene, stop: Callable[[str], object], go_on: Callable[[str], object] | None = None
) -> Iterator[None]:
    """
    Stop the triggerer that has the trigger of a run's task, and wait until the other has taken over.

    :param go_on: lets it work again in the end; None starts it
    """
    owner = _triggerer(scene)
    stop(owner)
    try:
        scene.wait("the other to take over", _SECONDS, lambda: _triggerer(scene) not in ("", owner))
        yield
    finally:
        (go_on or scene.cluster.start)(owner)


def _triggerer(scene: Scene) -> str:
    """Return which triggerer has the trigger of a run's task."""
    job = scene.task("triggerer_job")
    return str(job["hostname"]) if job else ""


def _of_status(scene: Scene, status: str) -> list[str]:
    return [job["jobId"] for job in scene.jobs() if job["status"] == status]


def _deferred(scene: Scene) -> int:
    """Return how many of the run's tasks are deferred."""
    path = f"/dags/{scene.dag_id}/dagRuns/{scene.run_id}/taskInstances?state=deferred&limit=1"
    return int(scene.cluster.api("GET", path)["total_entries"])


def _owned_by_nobody(cluster: CeleryCluster, deployment: str) -> str:
    """Submit a job whose tags name a task that a deployment does not have; return its id."""
    owner = Owner(deployment, "gone", "gone", "job", -1, 1)
    job = {"name": owner.job_name("job"), "status": "RUNNING", "tags": Ownership(owner).tags()}
    return str(cluster.simulator("POST", "/jobs/submit", job)["result"])


def as_markdown(lines: list[str]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# On a cluster",
            "",
            f"What becomes of the jobs on Airflow {version('apache-airflow-core')} with the CeleryExecutor "
            f"(Celery {version('celery')}, Redis, PostgreSQL): two workers, two triggerers, two API servers, "
            "one scheduler, one DAG processor, each a real process, against a simulated AWS Batch. "
            "`make cluster` plays the rows one after the other and writes this page.",
            "",
            "| what happens | what became of the jobs | seconds |",
            "|---|---|---:|",
            *lines,
            "",
        ]
    )


def main() -> int:
    """Play the rows, or those whose names contain a word; return whether one went wrong."""
    arguments = play_arguments(PAGE)
    wrong, lines = 0, []
    with CeleryCluster(arguments.keep) as cluster:
        print(f"all of it is up, in {cluster.home}", flush=True)
        for name, row in ROWS.items():
            if arguments.only not in name:
                continue
            began = time.monotonic()
            try:
                became = row(cluster)
            except Exception as error:
                traceback.print_exc()
                wrong, became = wrong + 1, f"**wrong**: {type(error).__name__}: {error}".splitlines()[0]
            lines.append(f"| {name} | {became} | {time.monotonic() - began:.0f} |")
            print(lines[-1], flush=True)
    if arguments.write and not arguments.only:
        PAGE.write_text(as_markdown(lines))
    print(f"{len(lines)} played, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
