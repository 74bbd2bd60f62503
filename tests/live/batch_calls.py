"""What tests ask the simulated AWS Batch beside a cluster for: what really is, and what is to go wrong."""

from __future__ import annotations

from typing import Any

from tests.live.wire import http


class BatchCalls:
    """
    The simulator's own paths.

    :ivar simulator_url: where it is
    """

    simulator_url: str

    def simulator(self, method: str, path: str, json: Any = None) -> Any:
        """Call the simulator's own paths; ``path`` is relative to ``/_simulator``."""
        return http(method, f"{self.simulator_url}/_simulator{path}", json, {})

    def batch_jobs(self) -> list[dict[str, Any]]:
        """Return the simulator's jobs as they really are, array children counted in their parent."""
        return list(self.simulator("GET", "/jobs"))

    def batch_alive(self) -> list[dict[str, Any]]:
        """Return the jobs that have not ended."""
        return [job for job in self.batch_jobs() if job["status"] not in ("SUCCEEDED", "FAILED")]

    def batch_calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the API calls that reached Batch since the start or :meth:`reset_batch_calls`."""
        return [call for call in self.simulator("GET", "/calls") if operation in (None, call["operation"])]

    def reset_batch_calls(self) -> None:
        """Forget the API calls so far."""
        self.simulator("POST", "/calls/reset")

    def batch_faults(self, **rule: Any) -> None:
        """Let something go wrong: ``kind="throttle", operation="TerminateJob"``; no argument ends all."""
        self.simulator("POST", "/faults" if rule else "/faults/clear", rule)

    def batch_queue(self, name: str, slots: int | None = None) -> None:
        """Add a queue; ``slots`` is how many of its jobs may run at once."""
        self.simulator("POST", "/queues", {"name": name, "slots": slots})
