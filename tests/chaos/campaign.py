"""A campaign: lets happen on a real Airflow what the plan of a seed says."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from tests.chaos.judge import Happened, Json
from tests.chaos.plan import AWS, CALM, ROUGH, USER, PlannedEvent, PlannedRun, make_plan
from tests.live.cluster import AIRFLOW, Cluster

MIN_AGE_SECONDS = 30
"""How old a job is that a sweep judges."""
CANCEL_SECONDS = 150.0
"""As long as the run of a cancel may take."""
TARGET_SECONDS = 30.0
"""How long something that is to happen to a task waits for one, on a machine that is slow to start them."""
CONNECTIONS = {CALM: "aws_default", ROUGH: "aws_rough"}
"""Which connection the tasks of a queue use; that of the rough one is in Airflow's database."""
SIGNALS = {"sigkill": signal.SIGKILL, "sigterm": signal.SIGTERM}


class Run:
    """A run that was started."""

    def __init__(self, planned: PlannedRun, run_id: str) -> None:
        self.planned = planned
        self.dag_id = planned.dag_id
        self.run_id = run_id


class Campaign:
    """
    One seed's plan, played.

    :param say: is told what goes on
    """

    def __init__(self, cluster: Cluster, seed: int, say: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.plan = make_plan(seed)
        self.say = say
        self.happened: list[Happened] = []
        self.cancels: list[str] = []
        self.runs: list[Run] = []
        self._jumped = 0.0
        self._began = time.monotonic()
        self._keys = 1
        self._restarts = threading.Lock()
        self.over = threading.Event()

    def now(self) -> float:
        """Return Batch's time."""
        return time.time() + self._jumped

    def play(self) -> None:
        """Let everything happen that is planned."""
        for queue in (CALM, ROUGH):
            self.cluster.batch_queue(queue)
        self.cluster.api("POST", "/connections", self._rough_connection())
        self.cluster.wait("the DAGs", 90, self._dags_are_there)
        self._began = time.monotonic()
        threading.Thread(target=self._supervise, daemon=True).start()
        lanes = [threading.Thread(target=self._start_runs, daemon=True)]
        lanes += [
            threading.Thread(target=self._play_lane, args=(lane,), daemon=True)
            for lane in self.plan.lanes.values()
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()

    def _supervise(self) -> None:
        """Start what has crashed, as whatever runs an Airflow does: a deleted run can crash its scheduler."""
        while not self.over.wait(2):
            with self._restarts:
                for component in AIRFLOW:
                    if self.cluster.processes[component].poll() is not None and not self.over.is_set():
                        self.say(f"the {component} has crashed, and is started again")
                        kind = f"{component.replace('-', '_')}_crash"
                        self.happened.append(Happened(kind, self.now() - 10, self.now()))
                        self.cluster.start(component)

    def settle(self) -> None:
        """End what AWS does wrong, let Airflow find out who is dead, and sweep once."""
        self.cluster.batch_faults()
        self.cluster.wait_for_api()
        # Younger jobs are not judged, and by Batch's clock, which has jumped, a job was made later.
        time.sleep(60 + MIN_AGE_SECONDS + self._jumped)
        self._patiently("the last sweep", self._sweep)
        time.sleep(3)

    def _sweep(self) -> bool:
        run_id = self.cluster.trigger("sweep")
        self.say(f"the last sweep: {self.cluster.wait_for_run('sweep', run_id, 180)}")
        return True

    def _patiently(self, what: str, act: Callable[[], bool]) -> None:
        """Do something with an API server that may be slow or away."""

        def done() -> bool:
            try:
                return act()
            except OSError:
                return False

        self.cluster.wait(what, 300, done)

    def _dags_are_there(self) -> bool:
        dags = self.cluster.api("GET", "/dags?limit=100")["dags"]
        return len(dags) >= 14

    def _start_runs(self) -> None:
        for planned in self.plan.runs:
            self._wait_until(planned.at)
            conf = {
                "queue": planned.queue,
                "connection": CONNECTIONS[planned.queue],
                "run_seconds": planned.run_seconds,
            }
            for _ in range(60):
                try:
                    self.runs.append(Run(planned, self.cluster.trigger(planned.dag_id, conf)))
                    break
                except (OSError, TimeoutError):
                    time.sleep(1)

    def _play_lane(self, lane: tuple[PlannedEvent, ...]) -> None:
        for event in lane:
            self._wait_until(event.at)
            began = self.now()
            try:
                happened = self._play(event, began)
            except (OSError, LookupError, psutil.Error) as error:
                self.say(f"{event.kind} came to nothing: {error}")
                continue
            self.happened.append(happened)

    def _play(self, event: PlannedEvent, began: float) -> Happened:
        if event.kind in AWS:
            return self._aws(event, began)
        if event.kind in USER:
            return self._user(event, began)
        self._airflow(event)
        return Happened(event.kind, began, self.now())

    def _aws(self, event: PlannedEvent, began: float) -> Happened:
        if event.kind == "clock_jump":
            self.cluster.simulator("POST", "/clock/jump", event.details)
            self._jumped += event.details["seconds"]
            return Happened(event.kind, began, self.now())
        if event.kind == "rotate":
            return self._rotate(began)
        self.cluster.batch_faults(**event.details)
        lasts = event.details.get("lasts", 60)
        note = event.details.get("operation", "")
        return Happened(event.kind, began, began + lasts, queue=ROUGH, note=note)

    def _rough_connection(self) -> Json:
        extra = {"region_name": "us-east-1", "endpoint_url": self.cluster.simulator_url}
        return {
            "connection_id": CONNECTIONS[ROUGH],
            "conn_type": "aws",
            "login": f"key-{self._keys}",
            "password": "test",
            "extra": json.dumps(extra),
        }

    def _rotate(self, began: float) -> Happened:
        """Replace the key in the rough queue's connection, and retire the old one at once."""
        old = self._keys
        self._keys += 1
        self.cluster.api("PATCH", f"/connections/{CONNECTIONS[ROUGH]}", self._rough_connection())
        self.cluster.simulator("POST", "/keys/retire", {"access_key": f"key-{old}"})
        return Happened("rotate", began, self.now(), queue=ROUGH)

    def _airflow(self, event: PlannedEvent) -> None:
        component, _, how = event.kind.rpartition("_")
        component = component.replace("_", "-")
        if how == "freeze":
            self.cluster.freeze(component)
            time.sleep(20)
            self.cluster.thaw(component)
            return
        with self._restarts:
            self.cluster.kill(component, SIGNALS[how])
            self.cluster.start(component)
        if component == "api-server":
            self.cluster.wait_for_api()

    def _user(self, event: PlannedEvent, began: float) -> Happened:
        run, task = self._picked(event)
        index = task["map_index"] if event.kind in ONE_TASK else None
        note = ""
        try:
            USER_ACTS[event.kind](self, run, task)
        except (OSError, psutil.Error) as error:
            note = str(error)  # what was asked may happen although the answer is an error
        lasts = CANCEL_SECONDS if event.kind == "cancel" else 0
        return Happened(event.kind, began, self.now() + lasts, run.run_id, index, note=note)

    def _picked(self, event: PlannedEvent) -> tuple[Run, dict[str, Any]]:
        """Return one of the runs with a job that lives, and one of its tasks, as soon as there is one."""
        ends = time.monotonic() + TARGET_SECONDS
        while time.monotonic() < ends:
            target = self._target(event)
            if target:
                return target
            time.sleep(1)
        raise LookupError("there is no such run or task")

    def _target(self, event: PlannedEvent) -> tuple[Run, dict[str, Any]] | None:
        """Return what is there to be hit; for a kill it is a task in a worker."""
        alive = {job["tags"]["airflow_run_id"] for job in self.cluster.batch_alive()}
        kill = event.kind.startswith(("kill", "term"))
        runs = [run for run in self.runs if run.run_id in alive]
        if kill:
            runs = [run for run in runs if run.planned.mode in ("sync", "reattach")]
        random.Random(event.pick).shuffle(runs)
        for run in runs:
            tasks = self.cluster.task_instances(run.dag_id, run.run_id)
            tasks = [task for task in tasks if not kill or task["state"] == "running"]
            if tasks:
                return run, random.Random(event.pick).choice(tasks)
        return None

    def cancel(self, run: Run, task: Json) -> None:
        """Cancel a run's jobs with the operator."""
        self.cancels.append(self.cluster.trigger("cancel", {"dag_id": run.dag_id, "run_id": run.run_id}))

    def kill(self, run: Run, task: Json, which: tuple[str, ...], number: signal.Signals) -> None:
        """Send a signal to a task's processes."""
        processes = self.cluster.task_processes(run.dag_id, run.run_id, "job", task["map_index"])
        if not processes:
            raise LookupError("the task has no process")
        for name in which:
            processes[name].send_signal(number)

    def _wait_until(self, at: float) -> None:
        time.sleep(max(0.0, self._began + at - time.monotonic()))


def _delete_run(campaign: Campaign, run: Run, task: Json) -> None:
    campaign.cluster.mark_run(run.dag_id, run.run_id, "failed")
    time.sleep(0.5)
    campaign.cluster.api("DELETE", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")
    campaign.runs.remove(run)


def _clear_run(campaign: Campaign, run: Run, task: Json) -> None:
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/clear"
    campaign.cluster.api("POST", path, {"dry_run": False, "only_failed": False})


Act = Callable[[Campaign, Run, dict[str, Any]], None]


def _mark_task(state: str) -> Act:
    return lambda campaign, run, task: campaign.cluster.mark_task(
        run.dag_id, run.run_id, "job", state, task["map_index"]
    )


def _mark_run(state: str) -> Act:
    return lambda campaign, run, task: campaign.cluster.mark_run(run.dag_id, run.run_id, state)


def _kill(*which: str, number: signal.Signals = signal.SIGKILL) -> Act:
    return lambda campaign, run, task: campaign.kill(run, task, which, number)


USER_ACTS: dict[str, Act] = {
    "mark_task_failed": _mark_task("failed"),
    "mark_task_success": _mark_task("success"),
    "clear_task": lambda campaign, run, task: campaign.cluster.clear_task(
        run.dag_id, run.run_id, "job", task["map_index"]
    ),
    "mark_run_failed": _mark_run("failed"),
    "mark_run_success": _mark_run("success"),
    "clear_run": _clear_run,
    "delete_run": _delete_run,
    "cancel": Campaign.cancel,
    "kill_runner": _kill("runner"),
    "kill_supervisor": _kill("supervisor"),
    "kill_both": _kill("supervisor", "runner"),
    "term_supervisor": _kill("supervisor", number=signal.SIGTERM),
}
ONE_TASK = [kind for kind in USER if kind.startswith(("mark_task", "clear_task", "kill", "term"))]
