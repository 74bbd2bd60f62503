"""What tests ask an Airflow for, through its public REST API: as its page and its users do."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tests.live.wire import http, is_found

ENDED = ("success", "failed")


class AirflowApi(ABC):
    """
    Airflow's REST API.

    :ivar url: where the API server is
    :ivar bearer: the token of who asks
    """

    url: str
    bearer: str

    @abstractmethod
    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> None:
        """Wait until ``ready`` says so."""

    def api(self, method: str, path: str, json: Any = None) -> Any:
        """Call Airflow's public REST API; ``path`` is relative to ``/api/v2``."""
        return http(method, f"{self.url}/api/v2{path}", json, {"Authorization": f"Bearer {self.bearer}"})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run of a DAG, as soon as Airflow knows the DAG, and return its id."""
        self.wait(f"DAG {dag_id}", 90, lambda: is_found(lambda: self.api("GET", f"/dags/{dag_id}")))
        self.pause(dag_id, False)
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG, or let it go on; patiently, as on SQLite the DAG processor may hold the database."""

        def is_done() -> bool:
            with contextlib.suppress(TimeoutError):
                self.api("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": paused})
                return True
            return False

        self.wait(f"DAG {dag_id} to be paused={paused}", 120, is_done)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        return str(self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Wait until a run has ended, and return how."""
        self.wait(f"run {run_id} to end", timeout, lambda: self.run_state(dag_id, run_id) in ENDED)
        return self.run_state(dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        return list(
            self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        )

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance."""
        return dict(self.api("GET", _task_path(dag_id, run_id, task_id, map_index)))

    def task_state(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str | None:
        """Return the state of a task instance; None also while it is not there yet."""
        path = _task_path(dag_id, run_id, task_id, map_index)
        if not is_found(lambda: self.api("GET", path)):
            return None
        state = self.api("GET", path)["state"]
        return None if state is None else str(state)

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: str | tuple[str, ...],
        timeout: float = 60,
        map_index: int = -1,
    ) -> str:
        """Wait until a task instance is in one of the states, and return that state."""
        wanted = (states,) if isinstance(states, str) else states
        seen: list[str | None] = [None]

        def arrived() -> bool:
            seen[0] = self.task_state(dag_id, run_id, task_id, map_index)
            return seen[0] in wanted

        self.wait(f"{task_id} to be {' or '.join(wanted)}", timeout, arrived)
        return str(seen[0])

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try."""
        path = (
            f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}?full_content=true&map_index={map_index}"
        )
        lines = self.api("GET", path)["content"]
        return "\n".join(line.get("event", "") if isinstance(line, dict) else str(line) for line in lines)

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return an XCom; ``LookupError`` when there is none."""
        path = (
            f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{key}?deserialize=false&map_index={map_index}"
        )
        if not is_found(lambda: self.api("GET", path)):
            raise LookupError(f"{task_id} has no XCom {key}")
        value = self.api("GET", path)["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in ("[", "{") else value

    def clear_task(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, downstream: bool = False
    ) -> None:
        """Clear a task instance, as the button in the UI does."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id if map_index < 0 else [task_id, map_index]],
            "only_failed": False,
            "include_downstream": downstream,
        }
        self.api("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Set the state of a task instance: ``success`` or ``failed``."""
        self.api("PATCH", _task_path(dag_id, run_id, task_id, map_index), {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a run: ``success`` or ``failed``."""
        self.api("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})


def _task_path(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
    return path if map_index < 0 else f"{path}/{map_index}"
