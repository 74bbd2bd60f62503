"""The cost of being installed: what each kind of Airflow process imports of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.bench.report import Section, Table
from tests.live.cluster import ROOT, Cluster

_HERE = Path(__file__).parent
_KINDS = {
    "airflow scheduler": "scheduler",
    "airflow dag-processor": "DAG processor",
    "airflow triggerer": "triggerer",
    "airflow api-server": "API server",
    "airflow api_server": "API server",
    "airflow worker": "worker",
    "airflow version": "command line",
}
_HEAVY = ("boto3", "botocore", "fastapi")


def measure_footprint() -> list[dict[str, Any]]:
    """Run a DAG that has nothing to do with AWS Batch, and note what every process imports."""
    with Cluster(_HERE / "plain_dags") as cluster:
        notes = cluster.home / "imports"
        notes.mkdir()
        path = f"{_HERE / 'watch'}:{ROOT}"
        cluster.settings |= {"IMPORT_NOTES": str(notes), "PYTHONPATH": path}
        for component in list(cluster.processes):
            if component != "simulator":
                cluster.restart(component)
        assert cluster.wait_for_run("plain", cluster.trigger("plain")) == "success"
        cluster.airflow("version")
        return [_sum(kind, _notes(notes, kind)) for kind in dict.fromkeys(_KINDS.values())]


def footprint_section(found: list[dict[str, Any]]) -> Section:
    """Return the section about the cost of being installed."""
    rows = [
        [
            one["kind"],
            f"{one['milliseconds']:.1f}",
            str(one["own"]),
            str(one["others"]),
            ", ".join(one["heavy"]) or "none",
        ]
        for one in found
    ]
    text = (
        "Real processes, with a DAG that has nothing to do with AWS Batch: how long the imports of this "
        "package's modules take in each, with those of others that they are the first to import. A worker of "
        "the LocalExecutor is forked from the scheduler, and has imported what that has."
    )
    head = ["process", "milliseconds", "own modules", "others", f"of them {', '.join(_HEAVY)}"]
    return Section("The cost of being installed", [text, Table(head, rows)], found)


def _notes(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the notes of the process of this kind that has imported most, its parent's included."""
    by_process = [
        [json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*.jsonl")
    ]
    mine = [notes for notes in by_process if _kind_of(notes[-1]) == kind]
    return max(mine, key=lambda notes: sum(note["seconds"] for note in notes), default=[])


def _kind_of(note: dict[str, Any]) -> str | None:
    command = f"airflow {note['argv'][0]}" if note["argv"] else note["process"]
    for title in (note["process"], command):
        for start, kind in _KINDS.items():
            if title.startswith(start):
                return kind
    return None


def _sum(kind: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    others = {name for note in notes for name in note["others"]}
    return {
        "kind": kind,
        "milliseconds": sum(note["seconds"] for note in notes) * 1000,
        "own": sum(note["own"] for note in notes),
        "others": len(others),
        "heavy": sorted(name for name in _HEAVY if name in others),
        "modules": [note["module"] for note in notes],
    }
