"""What Airflow asks an installed provider about itself."""

from __future__ import annotations

from typing import Any

from airflow_batch_cancel import __version__


def get_provider_info() -> dict[str, Any]:
    """Return the provider's name, its version and its settings."""
    return {
        "package-name": "airflow-batch-cancel",
        "name": "AWS Batch cancel",
        "description": "Cancels AWS Batch jobs, and never leaves one behind.",
        "versions": [__version__],
        "config": {"batch_cancel": {"description": "How AWS Batch jobs are owned.", "options": _OPTIONS}},
    }


_OPTIONS = {
    "deployment_id": {
        "description": (
            "The name that tells this Airflow's Batch jobs from those of another one on the same AWS "
            "account. It is written on every job as the tag airflow_deployment; set it alike on every "
            "component."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "prod-eu",
        "default": "",
    },
}
