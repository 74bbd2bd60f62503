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
        "cli": ["airflow_batch_cancel.cli.definition.get_batch_cancel_cli_commands"],
        "notifications": ["airflow_batch_cancel.notifications.batch.BatchCancelNotifier"],
        "config": {
            "batch_cancel": {
                "description": "How AWS Batch jobs are owned, watched and stopped.",
                "options": _OPTIONS,
            }
        },
    }


_OPTIONS = {
    "deployment_id": {
        "description": (
            "The name that tells this Airflow's Batch jobs from those of another one on the same AWS "
            "account. It is written on every job as the tag airflow_deployment; set it alike on every "
            "component. A sweep refuses to run without it."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "prod-eu",
        "default": "",
    },
    "adopt_batch_operators": {
        "description": (
            "Whether every BatchOperator of the amazon provider in any DAG behaves as a "
            "CancellableBatchOperator, with no DAG edited. Set it alike on DAG processor and workers."
        ),
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "True",
        "default": "False",
    },
    "poll_interval": {
        "description": (
            "Seconds between two looks at the jobs of deferred tasks, at the least. An operator's own "
            "poll_interval can make it slower, not faster."
        ),
        "version_added": "0.1.0",
        "type": "float",
        "example": "10",
        "default": "5",
    },
    "kill_budget": {
        "description": (
            "Seconds that on_kill may take in a worker to have a job terminated. Airflow ends the process "
            "after five, so 4.5 is the most."
        ),
        "version_added": "0.1.0",
        "type": "float",
        "example": "3",
        "default": "4",
    },
    "sweep_min_age": {
        "description": "Seconds since its submit before a sweep judges a job.",
        "version_added": "0.1.0",
        "type": "float",
        "example": "300",
        "default": "60",
    },
    "sweep_max_jobs": {
        "description": "How many jobs one sweep may stop; when it would stop more, it stops none and fails.",
        "version_added": "0.1.0",
        "type": "integer",
        "example": "500",
        "default": "100",
    },
}
