"""What a process of the cluster calls the machine that it is on: each has one to itself."""

from __future__ import annotations

import os


def name() -> str:
    """Return the name of this process's node."""
    return os.environ["NODE"]
