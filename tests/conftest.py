"""Keep every test away from the Airflow of whoever runs it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Airflow reads these when it is first imported, which the import of a test module may do.
_HOME = Path(tempfile.mkdtemp(prefix="airflow-batch-cancel-"))
for _name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AWS_"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
    "AWS_EC2_METADATA_DISABLED": "true",
}


# A slow machine is no failure, and a change lands or not for what is in it.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what a version honestly lacks: Airflow, or botocore's client."""
    for marker in item.iter_markers("airflow"):
        from airflow_batch_cancel.compat import airflow_is

        if not airflow_is(marker.args[0]):
            pytest.skip(marker.kwargs["reason"])
    if item.get_closest_marker("bulk_calls") and not _has_bulk_calls():
        pytest.skip("this botocore's client can not stop jobs in bulk")


def _has_bulk_calls() -> bool:
    from airflow_batch_cancel.simulator.wire import service_model

    return "TerminateJobs" in service_model().operation_names


@pytest.fixture(scope="session", autouse=True)
def _remove_airflow_home() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)
