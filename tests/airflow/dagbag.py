"""Where each version of Airflow has the reading of DAGs into its database."""

from __future__ import annotations

try:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
except ModuleNotFoundError:  # before 3.2
    from airflow.models import dagbag
    from airflow.models.dagbag import DagBag

    def sync_bag_to_db(bag: DagBag, bundle: str, version: str | None) -> None:
        """Write what was read."""
        if hasattr(dagbag, "sync_bag_to_db"):
            dagbag.sync_bag_to_db(bag, bundle, version)
        else:  # before 3.1
            for dag in bag.dags.values():
                dag.relative_fileloc = "dag.py"  # a DAG out of no file can not be written otherwise
            bag.sync_to_db(bundle, version)


__all__ = ("DagBag", "sync_bag_to_db")
