"""What is published is the wheel, so the wheel is what is tested here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from airflow_batch_cancel.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel installed into it, and nothing else."""
    dist = tmp_path_factory.mktemp("dist")
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(ROOT))
    (wheel,) = dist.glob("*.whl")
    assert wheel.name == "airflow_batch_cancel-0.1.0-py3-none-any.whl"
    site = tmp_path_factory.mktemp("site")
    _run("-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline", "--target", str(site), str(wheel))
    return site


@pytest.fixture(scope="module")
def installed(site: Path) -> Distribution:
    (found,) = distributions(name="airflow-batch-cancel", path=[str(site)])
    return found


def test_carries_every_module_and_the_type_marker(site: Path, installed: Distribution) -> None:
    """Every tracked kind of file in the package is in the wheel, and nothing from beside it."""
    package = ROOT / "airflow_batch_cancel"
    expected = {str(file.relative_to(ROOT)) for file in _shipped(package)}
    carried = {str(file) for file in installed.files or () if file.parts[0] == "airflow_batch_cancel"}
    assert "airflow_batch_cancel/py.typed" in carried
    assert {name for name in carried if not name.endswith(".pyc")} == expected
    assert {path.name for path in site.iterdir() if not path.name.startswith(".")} <= {
        "airflow_batch_cancel",
        "airflow_batch_cancel-0.1.0.dist-info",
    }


def test_metadata(installed: Distribution) -> None:
    """The requirements are the two that the code was written against, and no more."""
    assert installed.version == "0.1.0"
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert installed.metadata["Requires-Python"] == ">=3.11"
    assert set(installed.requires or ()) == {
        "apache-airflow>=3.0.6",
        "apache-airflow-providers-amazon>=9.12.0",
    }


def test_entry_points_load(installed: Distribution) -> None:
    """Airflow finds the provider by its entry point, and each entry point leads somewhere."""
    found = {point.group: point for point in installed.entry_points}
    assert (
        found["apache_airflow_provider"].value == "airflow_batch_cancel.get_provider_info:get_provider_info"
    )
    assert found["airflow.policy"].load().task_policy
    assert found["apache_airflow_provider"].load()()["package-name"] == "airflow-batch-cancel"


def test_airflow_lists_the_settings(site: Path, tmp_path: Path) -> None:
    """``airflow config list`` shows every one, and ``get-value`` the default."""
    shown = _airflow(site, tmp_path, "config", "list", "--section", "batch_cancel")
    for name in get_provider_info()["config"]["batch_cancel"]["options"]:
        assert f"{name} =" in shown
    assert "100" in _airflow(site, tmp_path, "config", "get-value", "batch_cancel", "sweep_max_jobs")


def test_airflow_lists_the_provider(site: Path, tmp_path: Path) -> None:
    """``airflow providers get`` shows the package that was installed from the wheel."""
    assert "0.1.0" in _airflow(site, tmp_path, "providers", "get", "airflow-batch-cancel")


def test_airflow_shows_the_setting(site: Path, tmp_path: Path) -> None:
    """``airflow config list`` knows the setting with its description and its example."""
    shown = _airflow(
        site, tmp_path, "config", "list", "--section", "batch_cancel",
        "--include-descriptions", "--include-examples",
    )  # fmt: skip
    assert "airflow_deployment" in shown
    assert "Example: deployment_id = prod-eu" in shown


def _shipped(package: Path) -> Iterator[Path]:
    for file in package.rglob("*"):
        ignored = {"__pycache__", "node_modules"} & set(file.parts)
        if file.is_file() and not ignored:
            yield file


def _airflow(site: Path, home: Path, *arguments: str) -> str:
    """Run ``airflow`` with the wheel's directory ahead of the source tree."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "PYTHONPATH": str(site),
    }
    return _run("-m", "airflow", *arguments, cwd=home, env=environment)


def _run(*arguments: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=110, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)
