"""The kill matrix: every way a task dies, and what has to become of its job."""

from __future__ import annotations

import signal
import time
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.live.cluster import Cluster
from tests.live.matrix.scene import Scene

SYNC, DEFERRABLE, NO_WAIT, REATTACH = "sync", "deferrable", "no-wait", "reattach"


class Ending(StrEnum):
    """What has to become of the job."""

    STOPPED = "stopped"
    """The task is dead: its job ends."""
    REPLACED = "next try"
    """The next try has a job of its own, and the earlier one has ended."""
    LIVES = "goes on"
    """The task is alive, and so is its job, untouched."""
    REATTACHED = "re-attached"
    """The next try waits for the same job."""


Act = Callable[[Scene], None]
Event = Callable[[Cluster, Sequence[Scene]], None]


@dataclass(frozen=True)
class Row:
    """
    One death.

    :param ends: the ending by mode
    :param act: what happens to one run; rows with one may be played side by side
    :param event: what happens to the cluster, for the runs of all modes at once
    :param variant: how the task is set up
    :param conf: of the run
    :param faults: what AWS does wrong from the beginning, in the run's queue
    :param until: what the job has to have come to before something happens
    :param swept: the modes in which only the sweep can stop the job
    :param stock: what becomes of the stock operator's job, by mode (measured, Airflow 3.3.2)
    :param in_test: whether ``make test`` plays it, too
    """

    name: str
    ends: dict[str, Ending]
    act: Act | None = None
    event: Event | None = None
    variant: str = "plain"
    conf: dict[str, Any] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    until: str = "RUNNING"
    swept: tuple[str, ...] = ()
    stock: dict[str, str] = field(default_factory=dict)
    in_test: tuple[str, ...] = ()


def mark_task(state: str) -> Act:
    """Somebody marks the task."""
    return lambda scene: scene.cluster.mark_task(scene.dag_id, scene.run_id, "job", state)


def mark_run(state: str) -> Act:
    """Somebody marks the run."""
    return lambda scene: scene.cluster.mark_run(scene.dag_id, scene.run_id, state)


def clear_task(scene: Scene) -> None:
    scene.cluster.clear_task(scene.dag_id, scene.run_id, "job")


def clear_run(scene: Scene) -> None:
    path = f"/dags/{scene.dag_id}/dagRuns/{scene.run_id}/clear"
    scene.cluster.api("POST", path, {"dry_run": False})


def delete_run(scene: Scene) -> None:
    scene.cluster.mark_run(scene.dag_id, scene.run_id, "failed")
    time.sleep(0.5)
    scene.cluster.api("DELETE", f"/dags/{scene.dag_id}/dagRuns/{scene.run_id}")


def delete_dag(scene: Scene) -> None:
    try:
        scene.cluster.api("DELETE", f"/dags/{scene.dag_id}")
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def pause_dag(scene: Scene) -> None:
    scene.cluster.pause(scene.dag_id)


def nothing(scene: Scene) -> None:
    """It happens by itself."""


def kill_process(*which: str, number: signal.Signals = signal.SIGKILL) -> Act:
    """A signal to the task's processes: its ``runner``, its ``supervisor``."""

    def act(scene: Scene) -> None:
        processes = scene.processes()
        for name in which:
            processes[name].send_signal(number)

    return act


def aws_goes_wrong(**fault: Any) -> Act:
    """From now on, AWS does something wrong in the run's queue."""
    return lambda scene: scene.fault(**fault)


def after(*acts: Act) -> Act:
    """One thing after the other."""

    def act(scene: Scene) -> None:
        for one in acts:
            one(scene)

    return act


def restart(component: str, number: signal.Signals, down: float = 0) -> Event:
    """A component ends by a signal, and is started again."""

    def event(cluster: Cluster, scenes: Sequence[Scene]) -> None:
        cluster.kill(component, number)
        time.sleep(down)
        cluster.start(component)
        if component == "api-server":
            cluster.wait_for_api()

    return event


def while_triggerer_is_down(act: Act) -> Event:
    """Something happens to the run while nobody watches its trigger."""

    def event(cluster: Cluster, scenes: Sequence[Scene]) -> None:
        cluster.kill("triggerer", signal.SIGTERM)
        for scene in scenes:
            act(scene)
        time.sleep(15)
        cluster.start("triggerer")

    return event


def owner_dies_another_lives(cluster: Cluster, scenes: Sequence[Scene]) -> None:
    """The triggerer that has the trigger is killed; two seconds later the task is marked failed."""
    cluster.start("triggerer-2")
    time.sleep(8)
    cluster.kill("triggerer", signal.SIGKILL)
    time.sleep(2)
    for scene in scenes:
        mark_task("failed")(scene)
    time.sleep(20)
    cluster.start("triggerer")
    cluster.kill("triggerer-2", signal.SIGTERM)


def owner_freezes_and_thaws(cluster: Cluster, scenes: Sequence[Scene]) -> None:
    """The triggerer that has the trigger is frozen until another has taken over, and then goes on."""
    cluster.start("triggerer-2")
    time.sleep(8)
    cluster.freeze("triggerer")
    try:
        time.sleep(35)
    finally:
        cluster.thaw("triggerer")
    time.sleep(15)
    cluster.kill("triggerer-2", signal.SIGTERM)


def same(ending: Ending, *modes: str) -> dict[str, Ending]:
    return dict.fromkeys(modes, ending)


LEAK, OK, GOES_ON, KILLED = "LEAK", "ok", "goes on", "healthy job killed"
STOPPED, REPLACED, LIVES, REATTACHED = Ending
BOTH = (SYNC, DEFERRABLE)

ROWS = (
    Row(
        "mark task failed",
        same(STOPPED, *BOTH, NO_WAIT, REATTACH),
        mark_task("failed"),
        swept=(NO_WAIT, REATTACH),
        stock={SYNC: OK, DEFERRABLE: LEAK},
        in_test=(DEFERRABLE,),
    ),
    Row(
        "mark task success",
        same(STOPPED, *BOTH),
        mark_task("success"),
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "mark task failed, job not started",
        same(STOPPED, *BOTH),
        mark_task("failed"),
        conf={"queue": "full"},
        until="RUNNABLE",
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "clear task",
        same(REPLACED, *BOTH, NO_WAIT),
        clear_task,
        stock={SYNC: OK, DEFERRABLE: f"{LEAK}, two jobs", NO_WAIT: f"{LEAK}, two jobs"},
        in_test=(DEFERRABLE, NO_WAIT),
    ),
    Row(
        "clear run",
        same(REPLACED, *BOTH, NO_WAIT),
        clear_run,
        stock={SYNC: OK, DEFERRABLE: f"{LEAK}, two jobs"},
    ),
    Row(
        "mark run failed",
        same(STOPPED, *BOTH, NO_WAIT),
        mark_run("failed"),
        swept=(NO_WAIT,),
        stock={SYNC: OK, DEFERRABLE: LEAK, NO_WAIT: LEAK},
    ),
    Row("mark run success", same(STOPPED, *BOTH), mark_run("success"), stock={SYNC: OK, DEFERRABLE: LEAK}),
    Row(
        "delete run",
        same(STOPPED, *BOTH, NO_WAIT),
        delete_run,
        swept=(NO_WAIT,),
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "delete DAG",
        {SYNC: LIVES, DEFERRABLE: STOPPED, NO_WAIT: STOPPED},
        delete_dag,
        variant="delete",
        swept=(NO_WAIT,),
        stock={SYNC: GOES_ON, DEFERRABLE: LEAK},
    ),
    Row("pause DAG", same(LIVES, *BOTH), pause_dag, variant="pause", stock=dict.fromkeys(BOTH, GOES_ON)),
    Row(
        "DAG run timeout",
        same(STOPPED, *BOTH),
        nothing,
        variant="run_timeout",
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "execution timeout",
        same(STOPPED, *BOTH),
        nothing,
        variant="timeout",
        stock={SYNC: OK, DEFERRABLE: LEAK},
        in_test=(DEFERRABLE,),
    ),
    Row(
        "execution timeout, retries=1",
        same(REPLACED, DEFERRABLE),
        nothing,
        variant="timeout_retry",
        stock={DEFERRABLE: f"{LEAK} of both"},
    ),
    Row(
        "SIGKILL runner",
        same(STOPPED, SYNC),
        kill_process("runner"),
        swept=(SYNC,),
        stock={SYNC: LEAK},
        in_test=(SYNC,),
    ),
    Row(
        "SIGKILL supervisor",
        same(STOPPED, SYNC),
        kill_process("supervisor"),
        swept=(SYNC,),
        stock={SYNC: LEAK},
    ),
    Row(
        "SIGKILL runner and supervisor",
        same(STOPPED, SYNC),
        kill_process("supervisor", "runner"),
        swept=(SYNC,),
        stock={SYNC: LEAK},
    ),
    Row(
        "SIGTERM supervisor",
        same(STOPPED, SYNC),
        kill_process("supervisor", number=signal.SIGTERM),
        stock={SYNC: "ok, task failed"},
    ),
    Row(
        "SIGTERM supervisor, retries=1",
        {SYNC: REPLACED, REATTACH: LIVES},
        kill_process("supervisor", number=signal.SIGTERM),
        variant="retry",
        stock={SYNC: OK},
    ),
    Row(
        "SIGKILL runner, retries=1",
        {SYNC: REPLACED, REATTACH: REATTACHED},
        kill_process("runner"),
        variant="retry",
        stock={SYNC: f"{LEAK}, two jobs"},
        in_test=(SYNC, REATTACH),
    ),
    Row(
        "scheduler SIGTERM and restart",
        {SYNC: REPLACED, DEFERRABLE: LIVES, REATTACH: REATTACHED},
        event=restart("scheduler", signal.SIGTERM),
        variant="retry",
        stock={SYNC: KILLED, DEFERRABLE: GOES_ON},
    ),
    Row(
        "scheduler SIGKILL and restart",
        {SYNC: REPLACED, DEFERRABLE: LIVES, REATTACH: REATTACHED},
        event=restart("scheduler", signal.SIGKILL),
        variant="retry",
        stock={SYNC: KILLED, DEFERRABLE: GOES_ON},
    ),
    Row(
        "API server down for a minute",
        {SYNC: REPLACED, DEFERRABLE: LIVES, REATTACH: REATTACHED},
        event=restart("api-server", signal.SIGTERM, down=60),
        variant="retries",
        stock={SYNC: KILLED, DEFERRABLE: GOES_ON},
    ),
    Row(
        "triggerer SIGTERM and restart",
        same(LIVES, DEFERRABLE),
        event=restart("triggerer", signal.SIGTERM),
        stock={DEFERRABLE: GOES_ON},
    ),
    Row(
        "triggerer SIGKILL and restart",
        same(LIVES, DEFERRABLE),
        event=restart("triggerer", signal.SIGKILL),
        stock={DEFERRABLE: GOES_ON},
    ),
    Row(
        "mark task failed, triggerer down",
        same(STOPPED, DEFERRABLE),
        event=while_triggerer_is_down(mark_task("failed")),
        stock={DEFERRABLE: LEAK},
    ),
    Row(
        "clear task, triggerer down",
        same(REPLACED, DEFERRABLE),
        event=while_triggerer_is_down(clear_task),
        stock={DEFERRABLE: f"{LEAK}, two jobs"},
    ),
    Row(
        "mark task failed, its triggerer dead, another alive",
        same(STOPPED, DEFERRABLE),
        event=owner_dies_another_lives,
        swept=(DEFERRABLE,),
        stock={DEFERRABLE: LEAK},
    ),
    Row(
        "triggerer frozen, its work taken over, thawed",
        same(LIVES, DEFERRABLE),
        event=owner_freezes_and_thaws,
        stock={DEFERRABLE: f"{GOES_ON} ({KILLED} with a plain on_kill)"},
        in_test=(DEFERRABLE,),
    ),
    Row(
        "mark task failed while SubmitJob is in flight",
        same(STOPPED, *BOTH, NO_WAIT),
        mark_task("failed"),
        conf={"queue": "submit-slow"},
        faults=({"kind": "latency", "operation": "SubmitJob", "seconds": 6},),
        until="SUBMITTED",
        swept=(NO_WAIT,),
        stock=dict.fromkeys(BOTH, LEAK),
        in_test=(SYNC,),
    ),
    Row(
        "execution timeout while SubmitJob is in flight",
        same(STOPPED, *BOTH),
        nothing,
        variant="timeout_in_submit",
        conf={"queue": "submit-slower"},
        faults=({"kind": "latency", "operation": "SubmitJob", "seconds": 45},),
        until="SUBMITTED",
        stock=dict.fromkeys(BOTH, LEAK),
    ),
    Row(
        "SIGKILL runner while SubmitJob is in flight",
        same(STOPPED, *BOTH, NO_WAIT),
        kill_process("runner"),
        conf={"queue": "submit-slower"},
        faults=({"kind": "latency", "operation": "SubmitJob", "seconds": 45},),
        until="SUBMITTED",
        swept=(*BOTH, NO_WAIT),
        stock={SYNC: LEAK},
    ),
    Row(
        "SubmitJob's answer lost",
        same(LIVES, *BOTH, NO_WAIT),
        nothing,
        conf={"queue": "submit-lost"},
        faults=({"kind": "drop_answer", "operation": "SubmitJob", "times": 1},),
        stock={},
        in_test=(SYNC,),
    ),
    Row(
        "mark task failed right after the deferral",
        same(STOPPED, DEFERRABLE),
        mark_task("failed"),
        until="deferred",
        swept=(DEFERRABLE,),
        stock={DEFERRABLE: LEAK},
        in_test=(DEFERRABLE,),
    ),
    Row(
        "20 mapped tasks, mark run failed",
        same(STOPPED, *BOTH),
        mark_run("failed"),
        variant="mapped",
        stock={SYNC: OK, DEFERRABLE: f"{LEAK} of all"},
    ),
    Row(
        "fail_fast: a sibling fails",
        same(STOPPED, *BOTH),
        nothing,
        variant="fail_fast",
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "TerminateJob takes 8 s to take effect",
        same(STOPPED, *BOTH),
        mark_task("failed"),
        conf={"queue": "terminate-slow", "stop_seconds": "8"},
        faults=(
            {"kind": "latency", "operation": "TerminateJob", "seconds": 8},
            {"kind": "latency", "operation": "TerminateJobs", "seconds": 8},
        ),
        stock={SYNC: LEAK, DEFERRABLE: LEAK},
    ),
    Row(
        "TerminateJob throttled for a minute",
        same(STOPPED, *BOTH),
        after(
            aws_goes_wrong(kind="throttle", operation="TerminateJob", lasts=60),
            aws_goes_wrong(kind="throttle", operation="TerminateJobs", lasts=60),
            mark_task("failed"),
        ),
        conf={"queue": "terminate-throttled"},
        swept=BOTH,
        stock=dict.fromkeys(BOTH, LEAK),
    ),
    Row(
        "TerminateJob answers 500 three times",
        same(STOPPED, *BOTH),
        after(
            aws_goes_wrong(kind="server_error", operation="TerminateJob", times=3),
            aws_goes_wrong(kind="server_error", operation="TerminateJobs", times=3),
            mark_task("failed"),
        ),
        conf={"queue": "terminate-failing"},
        stock={SYNC: OK, DEFERRABLE: LEAK},
    ),
    Row(
        "DescribeJobs answers 500",
        {SYNC: STOPPED, DEFERRABLE: LIVES},
        aws_goes_wrong(kind="server_error", operation="DescribeJobs", lasts=60),
        conf={"queue": "describe-failing", "connection": "aws_second"},
        stock={SYNC: LEAK, DEFERRABLE: GOES_ON},
    ),
    Row(
        "DescribeJobs throttled",
        {SYNC: STOPPED, DEFERRABLE: LIVES},
        aws_goes_wrong(kind="throttle", operation="DescribeJobs", lasts=150),
        conf={"queue": "describe-throttled", "connection": "aws_second"},
        stock={SYNC: LEAK, DEFERRABLE: GOES_ON},
    ),
    Row(
        "DescribeJobs denied",
        same(STOPPED, *BOTH),
        aws_goes_wrong(kind="deny", operation="DescribeJobs", lasts=60),
        conf={"queue": "describe-denied", "connection": "aws_third"},
        stock=dict.fromkeys(BOTH, LEAK),
    ),
    Row("polls used up", same(STOPPED, *BOTH), nothing, variant="polls", stock=dict.fromkeys(BOTH, LEAK)),
)
