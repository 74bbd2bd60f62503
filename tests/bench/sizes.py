"""How many tasks the parts of the benchmark use that run on an Airflow."""

from __future__ import annotations

WAITING = (100, 1_000, 5_000)
"""Deferred tasks of this package in one triggerer."""
WAITING_STOCK = (100,)
"""Those of the stock operator: each makes a client of its own, so that many more take minutes to begin."""
KILLED_DEFERRED = 500
KILLED_IN_WORKERS = 8
SWEPT = (1_000, 3_000, 10_000)
SHOWN = (1_000, 10_000)
RUNS = sorted({*WAITING, *WAITING_STOCK, KILLED_DEFERRED, *SWEPT, *SHOWN})
"""The sizes of the mapped tasks of the benchmark's DAGs."""
POLL_SECONDS = 10
"""How often the deferred tasks look."""
