"""Notes what it costs a process to import this package. On the path of a measured Airflow only."""

from __future__ import annotations

import importlib.abc
import json
import os
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "airflow_batch_cancel"


class _Watch(importlib.abc.MetaPathFinder):
    """Times the imports of the package's modules that no other of its imports has begun."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._busy = False

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if self._busy or name.partition(".")[0] != _PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self._time(execute, module)  # type: ignore[method-assign]
        return spec

    def _time(self, execute: Any, module: ModuleType) -> None:
        before, began, self._busy = set(sys.modules), time.perf_counter(), True
        try:
            execute(module)
        finally:
            self._busy = False
            seconds, added = time.perf_counter() - began, set(sys.modules) - before
            self._note(module.__name__, seconds, added)

    def _note(self, name: str, seconds: float, added: set[str]) -> None:
        title = Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        note = {
            "process": title,
            "argv": sys.argv[1:],
            "module": name,
            "seconds": seconds,
            "own": 1 + sum(one.startswith(_PACKAGE) for one in added),
            "others": sorted(one for one in added if not one.startswith(_PACKAGE)),
        }
        with (self._notes / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps(note) + "\n")


if "IMPORT_NOTES" in os.environ:
    sys.meta_path.insert(0, _Watch(Path(os.environ["IMPORT_NOTES"])))
