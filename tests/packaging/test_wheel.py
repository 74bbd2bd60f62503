"""What is published is the wheel, so the wheel is what is tested here."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
    assert found["airflow.plugins"].load().name == "airflow_batch_cancel"
    assert found["apache_airflow_provider"].load()()["package-name"] == "airflow-batch-cancel"


def test_nothing_is_pulled_in_that_the_amazon_provider_does_not_pull_in(installed: Distribution) -> None:
    """Whoever has the provider installs this package alone."""
    amazon = "apache-airflow-providers-amazon"
    assert _names(installed) - _names(distribution(amazon)) == {amazon}


def test_carries_the_tab(site: Path) -> None:
    """The page's code, built, and nothing of what builds it."""
    bundle = site / "airflow_batch_cancel" / "ui" / "dist" / "batch-jobs.js"
    assert "AirflowPlugin" in bundle.read_text()
    assert not list(site.rglob("node_modules"))


def test_every_module_is_imported_from_the_wheel_in_an_environment_of_its_own(
    site: Path, tmp_path: Path
) -> None:
    """Airflow is there, the source tree is not."""
    _run("-m", "uv", "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"))
    (packages,) = (tmp_path / "venv").glob("lib/*/site-packages")
    # What a .pth leads to has its own .pth files not read: no editable install comes in.
    (packages / "wheel-and-airflow.pth").write_text(f"{site}\n{sysconfig.get_path('purelib')}\n")
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": ""}
    command = [str(tmp_path / "venv" / "bin" / "python"), "-c", _IMPORT_ALL]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    imported = dict(
        line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("airflow_batch")
    )
    assert len(imported) > 50
    assert {name for name, file in imported.items() if not file.startswith(str(site))} == set()


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


_IMPORT_ALL = """
import importlib, pkgutil, airflow_batch_cancel as package
for found in pkgutil.walk_packages(package.__path__, "airflow_batch_cancel."):
    if not found.name.endswith("__main__"):
        print(f"{found.name}={importlib.import_module(found.name).__file__}")
"""


def _names(found: Distribution) -> set[str]:
    """Return what a distribution requires, extras excepted."""
    required = [Requirement(text) for text in found.requires or ()]
    return {one.name for one in required if not (one.marker and "extra" in str(one.marker))}


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
