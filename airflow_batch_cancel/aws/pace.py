"""How fast to call: no faster than AWS Batch takes, and slower as soon as it says so."""

from __future__ import annotations

import random
import threading

from airflow_batch_cancel.aws.clock import Clock

CALLS_PER_SECOND = 50.0
"""The rate that AWS publishes for an account and Region (re:Post, "aws-batch-requests-error")."""
_SLOWEST = 1.0
_RECOVERY_PER_CALL = 0.1
_LONGEST_BACKOFF_SECONDS = 20.0


class Pace:
    """
    Spaces the calls of one gateway, whichever thread makes them.

    The rate is halved when AWS throttles, at most once a second since the calls under way are throttled
    together, and grows back by a tenth of a call a second with every call that goes through.
    """

    def __init__(self, clock: Clock, calls_per_second: float = CALLS_PER_SECOND) -> None:
        self._clock = clock
        self._fastest = self.calls_per_second = calls_per_second
        self._next_call = 0.0
        self._last_halved = 0.0
        self._lock = threading.Lock()

    def wait_for_turn(self) -> None:
        """Return when the next call may be made."""
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next_call)
            self._next_call = turn + 1 / self.calls_per_second
        if turn > now:
            self._clock.sleep(turn - now)

    def succeeded(self) -> None:
        """Take note of a call that went through."""
        with self._lock:
            self.calls_per_second = min(self._fastest, self.calls_per_second + _RECOVERY_PER_CALL)

    def throttled(self) -> None:
        """Take note of a call that AWS refused because there were too many."""
        with self._lock:
            now = self._clock.now()
            if now - self._last_halved >= 1:
                self._last_halved = now
                self.calls_per_second = max(_SLOWEST, self.calls_per_second / 2)


def backoff_seconds(attempt: int) -> float:
    """
    Return how long to wait before repeating a call, with jitter.

    :param attempt: how often it has failed, from 1
    """
    longest = min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2 ** min(attempt, 10))
    return random.uniform(longest / 2, longest)
