"""The ``[batch_cancel]`` section of Airflow's configuration, read in one place."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

SECTION = "batch_cancel"


def deployment_id() -> str:
    """Return the name that tells this Airflow's jobs from those of another one; empty when it is not set."""
    return str(conf.get(SECTION, "deployment_id", fallback="")).strip()
