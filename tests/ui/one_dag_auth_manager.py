"""An auth manager that gives people of the role ``user`` one DAG only, as per-DAG permissions do."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

THEIRS = "tab"


class OneDagAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager, but for that."""

    def is_authorized_dag(
        self, *, user: SimpleAuthManagerUser, details: DagDetails | None = None, **kwargs: Any
    ) -> bool:
        """Refuse whom the role ``user`` is given every DAG but theirs; asked about none, allow it."""
        if (user.role or "").upper() == "USER" and details and details.id not in (None, THEIRS):
            return False
        return super().is_authorized_dag(user=user, details=details, **kwargs)
