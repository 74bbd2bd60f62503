"""The Airflow plugin of the API and the tab; nothing of either is imported before it is asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow_batch_cancel import __version__
from airflow_batch_cancel.compat import AirflowPlugin, has_tab

URL_PREFIX = "/batch-cancel"
_TAB = "Batch jobs"


class BatchCancelPlugin(AirflowPlugin):
    """
    A tab on the pages of DAG runs and task instances.

    Airflow makes an instance of a plugin that comes by the entry point ``airflow.plugins``, and reads
    ``fastapi_apps`` and ``react_apps`` in the API server only.
    """

    name = "airflow_batch_cancel"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The HTTP API."""
        if not has_tab():
            return []
        from airflow_batch_cancel.ui.app import create_app

        return [{"app": create_app(), "url_prefix": URL_PREFIX, "name": _TAB}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:
        """The tab, on both pages; they must have one name, as the host keeps the bundle by it."""
        if not has_tab():
            return []
        from urllib.parse import urlsplit

        from airflow_batch_cancel.compat import conf

        root = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        bundle = f"{root}{URL_PREFIX}/static/batch-jobs.js?v={__version__}"
        return [
            {
                "name": _TAB,
                "bundle_url": bundle,
                "destination": destination,
                "url_route": f"batch-jobs-{destination.replace('_', '-')}",
            }
            for destination in ("dag_run", "task_instance")
        ]
