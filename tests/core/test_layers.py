"""Imports point down."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_batch_cancel"
LOWEST = {"core", "exceptions"}
ALLOWED = {
    "exceptions": LOWEST,
    "core": LOWEST,
    "aws": LOWEST | {"aws"},
    "simulator": {"simulator"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_imports_only_what_is_below_it(layer):
    """Core knows nothing, the gateway knows the core and botocore, the simulator none of them."""
    place = PACKAGE / layer
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for path in files:
        for name in imports(path):
            top, _, rest = name.partition(".")
            if top == "airflow_batch_cancel":
                assert rest.split(".")[0] in ALLOWED[layer] or not rest, f"{path}: {name}"
            assert top != "airflow", f"{path}: {name}"
            if layer in LOWEST:
                assert top in sys.stdlib_module_names or top == "airflow_batch_cancel", f"{path}: {name}"
