"""What differs between versions is in one place, and what is too old is told in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import airflow_batch_cancel
from airflow_batch_cancel import compat
from airflow_batch_cancel.exceptions import TooOldError
from airflow_batch_cancel.ui.plugin import BatchCancelPlugin

PACKAGE = Path(airflow_batch_cancel.__file__).parent


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        pytest.param({"airflow": "2.11.0"}, "apache-airflow 3.0.6 or newer; this is 2.11.0", id="airflow"),
        pytest.param({"airflow": "3.0.5"}, "apache-airflow 3.0.6 or newer; this is 3.0.5", id="a patch"),
        pytest.param(
            {"amazon": "9.8.0"},
            "apache-airflow-providers-amazon 9.12.0 or newer; this is 9.8.0",
            id="amazon provider",
        ),
    ],
)
def test_too_old_is_one_sentence(found, sentence):
    """It says what is too old, and what would do."""
    with pytest.raises(TooOldError) as raised:
        compat.check_versions(**found)
    assert str(raised.value) == f"airflow-batch-cancel needs {sentence}."


def test_a_pre_release_is_as_good_as_what_it_leads_to():
    """A release candidate of the oldest version passes."""
    compat.check_versions(airflow="3.0.6rc1", amazon="9.12.0rc1")


def test_too_old_is_told_at_the_import():
    """Of whatever feature is imported, by an ``ImportError``."""
    code = "import airflow; airflow.__version__ = '3.0.1'; import airflow_batch_cancel.operators.batch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.endswith("airflow-batch-cancel needs apache-airflow 3.0.6 or newer; this is 3.0.1.")


@pytest.mark.parametrize(("version", "there"), [("3.1.8", False), ("3.2.0rc1", True), ("4.0.0", True)])
def test_the_tab_is_absent_below_3_2(monkeypatch, version, there):
    """The plugin then has neither a page nor an API."""
    monkeypatch.setattr(compat, "airflow_version", version)
    plugin = BatchCancelPlugin()
    assert bool(plugin.react_apps) is there
    if not there:
        assert plugin.fastapi_apps == []


def test_version_differences_are_in_one_module():
    """No other module asks for a version or imports from where only some versions have it."""
    telling = ("common.compat.sdk", "__version__ as airflow", "hasattr(BaseTrigger")
    for path in PACKAGE.rglob("*.py"):
        if path.name != "compat.py":
            found = [word for word in telling if word in path.read_text()]
            assert not found, f"{path}: {found}"
