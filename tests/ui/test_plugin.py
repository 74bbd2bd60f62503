"""The plugin, as every process of Airflow loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LOAD = """
import json, sys
from airflow import plugins_manager
before = set(sys.modules)
names = [one.name for one in plugins_manager._get_plugins()[0]]
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([names, sorted(new)]))
"""


def test_loading_the_plugins_imports_neither_fastapi_nor_boto3(tmp_path):
    """Workers, triggerer and scheduler load every plugin, and serve no page."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, env=environment, check=True
    )
    names, imported = json.loads(done.stdout.splitlines()[-1])
    assert "airflow_batch_cancel" in names
    assert {"airflow_batch_cancel"} <= set(imported)
    assert not {"fastapi", "starlette", "boto3", "botocore"} & set(imported)


def test_the_app_that_an_api_server_mounts_imports_no_boto3(tmp_path):
    """The first request does."""
    code = (
        "import sys; from airflow_batch_cancel.ui.plugin import BatchCancelPlugin; "
        "assert BatchCancelPlugin().fastapi_apps; "
        "assert not {'boto3', 'botocore'} & set(sys.modules), 'boto3 is imported'"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_tab_is_on_two_pages_only():
    """Those of a DAG run and of a task instance; a plugin on ``base`` would be loaded with every page."""
    from airflow_batch_cancel.ui.plugin import BatchCancelPlugin

    assert [app["destination"] for app in BatchCancelPlugin().react_apps] == ["dag_run", "task_instance"]
