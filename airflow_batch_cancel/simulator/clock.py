"""Virtual time: by hand, or at any rate."""

from __future__ import annotations

import threading
import time

_START = 1_800_000_000.0


class VirtualClock:
    """
    Seconds since the epoch that pass as fast as they are told to.

    :param rate: how many seconds pass in one; None stops the clock, and it moves by :meth:`jump` and
        :meth:`sleep` only
    """

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._jumped = 0.0
        self._began = time.monotonic()
        self._start = _START if rate is None else time.time()

    def now(self) -> float:
        """Return the seconds since the epoch."""
        with self._lock:
            passed = (time.monotonic() - self._began) * self.rate if self.rate else 0.0
            return self._start + self._jumped + passed

    def jump(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        with self._lock:
            self._jumped += seconds

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``: at once when the clock moves by hand."""
        if self.rate is None:
            self.jump(seconds)
        else:
            time.sleep(seconds / self.rate)
