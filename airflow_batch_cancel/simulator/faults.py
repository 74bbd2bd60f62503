"""What may go wrong between a client and the service, on request."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_batch_cancel.simulator.clock import VirtualClock
from airflow_batch_cancel.simulator.model import ServiceError

KINDS = (
    "throttle",
    "server_error",
    "latency",
    "drip",
    "drop_answer",
    "deny",
    "bulk_errors",
    "visibility_lag",
)

_MESSAGES = {"ExpiredTokenException": "The security token included in the request is expired"}


@dataclass(slots=True)
class Fault:
    """
    One rule.

    :param operation: the API operation it concerns; None for all
    :param code: of ``bulk_errors``, or of ``deny``: ``ExpiredTokenException``
    :param probability: of a call (for ``bulk_errors`` of a job in it) to be hit
    :param times: how many hits are left; None for ever
    :param seconds: that a call takes; for ``drip`` between two bytes of its answer, for ``visibility_lag``
        until a submitted job shows
    :param code: of ``deny`` and ``bulk_errors``
    :param job_ids: for ``deny``: only these jobs
    :param queue: only calls about this queue, or about a job in it
    :param lasts: seconds until it is over; None for ever
    """

    kind: str
    operation: str | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    code: str = ""
    job_ids: frozenset[str] = field(default_factory=frozenset)
    queue: str | None = None
    lasts: float | None = None
    began: float = 0.0


class Faults:
    """
    The rules in force; ``sim.faults.throttle(probability=0.3)``.

    :param seed: of the randomness
    """

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._queues: set[str] = set()
        self.clear()

    def clear(self) -> None:
        """End all faults."""
        self.rules: list[Fault] = []
        self._rate: tuple[float, float] | None = None
        self._tokens = 0.0
        self._filled_at = self._clock.now()

    def add(self, kind: str, job_ids: Iterable[str] = (), **rule: Any) -> None:
        """Add a rule by its kind, one of ``KINDS``; the arguments are those of :class:`Fault`."""
        if kind == "rate_limit":
            self.rate_limit(**rule)
            return
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r}: expected one of {', '.join((*KINDS, 'rate_limit'))}")
        self.rules.append(Fault(kind, job_ids=frozenset(job_ids), began=self._clock.now(), **rule))

    def about(self, queues: set[str]) -> None:
        """Take note of which queues the call is about that is answered next."""
        self._queues = queues

    def throttle(
        self, operation: str | None = None, probability: float = 1.0, times: int | None = None
    ) -> None:
        """Answer 429 ``TooManyRequestsException``."""
        self.add("throttle", operation=operation, probability=probability, times=times)

    def server_error(
        self, operation: str | None = None, probability: float = 1.0, times: int | None = None
    ) -> None:
        """Answer 500 ``ServerException``."""
        self.add("server_error", operation=operation, probability=probability, times=times)

    def latency(self, seconds: float, operation: str | None = None) -> None:
        """Let every call take ``seconds``."""
        self.add("latency", operation=operation, seconds=seconds)

    def drip(self, seconds: float, operation: str | None = None) -> None:
        """Send the answer byte by byte, with ``seconds`` between two of them; over HTTP only."""
        self.add("drip", operation=operation, seconds=seconds)

    def visibility_lag(self, seconds: float) -> None:
        """Let DescribeJobs and ListJobs show a job only ``seconds`` after its submit."""
        self.add("visibility_lag", seconds=seconds)

    def drop_answer(self, operation: str, times: int = 1) -> None:
        """Do what was asked, and lose the connection before the answer."""
        self.add("drop_answer", operation=operation, times=times)

    def deny(self, operation: str | None = None, job_ids: Iterable[str] = ()) -> None:
        """Answer 403 ``AccessDeniedException``, or ``AccessDenied`` for these jobs of a bulk call."""
        self.add("deny", job_ids, operation=operation)

    def bulk_errors(
        self, code: str = "ThrottlingException", probability: float = 1.0, times: int | None = None
    ) -> None:
        """Put an error for some jobs into the 200 of a bulk call."""
        self.add("bulk_errors", code=code, probability=probability, times=times)

    def rate_limit(self, per_second: float, burst: float | None = None) -> None:
        """Answer 429 to what exceeds a token bucket."""
        self._rate = (per_second, burst or per_second)
        self._tokens = self._rate[1]
        self._filled_at = self._clock.now()

    def seconds(self, operation: str, kind: str = "latency") -> float:
        """Return how long this call takes, or what another ``kind`` of rule with seconds says."""
        return sum(rule.seconds for rule in self._of(kind, operation))

    def lag_seconds(self, operation: str) -> float:
        """Return how old a job must be for this call to show it; lags do not add up."""
        return max((rule.seconds for rule in self._of("visibility_lag", operation)), default=0.0)

    def refuse(self, operation: str, job_id: str | None) -> None:
        """
        Raise the error that this call is answered with, if any.

        :param job_id: the job that a single call is about
        """
        if not self._take_token() or self._hits("throttle", operation):
            raise ServiceError("Too Many Requests", "TooManyRequestsException", 429)
        if self._hits("server_error", operation):
            raise ServiceError("internal error", "ServerException", 500)
        for rule in self._of("deny", operation):
            if not rule.job_ids or job_id in rule.job_ids:
                message = f"User: simulated is not authorized to perform: batch:{operation}"
                raise ServiceError(
                    _MESSAGES.get(rule.code, message), rule.code or "AccessDeniedException", 403
                )

    def loses_answer(self, operation: str) -> bool:
        """Whether the answer to this call is lost."""
        return self._hits("drop_answer", operation)

    def bulk_error(self, operation: str, job_id: str) -> str | None:
        """Return the code that a bulk call answers for this job, if it is an error."""
        single = operation.removesuffix("s")
        denied = [*self._of("deny", operation), *self._of("deny", single)]
        if any(job_id in rule.job_ids for rule in denied):
            return "AccessDenied"
        for rule in self._of("bulk_errors", operation):
            if self._hit(rule):
                return rule.code
        return None

    def _of(self, kind: str, operation: str) -> list[Fault]:
        return [
            rule
            for rule in self.rules
            if rule.kind == kind
            and rule.operation in (None, operation)
            and (rule.queue is None or rule.queue in self._queues)
            and (rule.lasts is None or self._clock.now() - rule.began < rule.lasts)
        ]

    def _hits(self, kind: str, operation: str) -> bool:
        return any(self._hit(rule) for rule in self._of(kind, operation))

    def _hit(self, rule: Fault) -> bool:
        if rule.times == 0 or self._random.random() >= rule.probability:
            return False
        if rule.times is not None:
            rule.times -= 1
        return True

    def _take_token(self) -> bool:
        if self._rate is None:
            return True
        per_second, burst = self._rate
        now = self._clock.now()
        self._tokens = min(burst, self._tokens + (now - self._filled_at) * per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
