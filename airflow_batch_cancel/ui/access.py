"""Who may do what: the one module that uses the insides of Airflow's API server."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from airflow.providers.common.compat.sdk import conf
from fastapi import Depends, HTTPException, Request

__all__ = ["CanEdit", "GetUserDep", "MayEditRun", "MaySeeJobs", "OwnPage", "SessionDep"]

MaySeeJobs = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))
"""The permission with which Airflow shows the task instances of the DAG in the path, ``dag_id``."""
MayEditRun = Depends(requires_access_dag("PUT", DagAccessEntity.RUN))
"""The permission with which Airflow lets somebody set the state of a run of that DAG."""


def _can_edit(dag_id: str, user: GetUserDep) -> bool:
    return get_auth_manager().is_authorized_dag(
        method="PUT",
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


CanEdit = Annotated[bool, Depends(_can_edit)]
"""Whether the user has what ``MayEditRun`` asks for."""


def _refuse_foreign_pages(request: Request) -> None:
    """
    Refuse a request that a page of another site makes with the user's cookie.

    Airflow has no CSRF token. Its cookie is ``SameSite=Lax``, which a page on another port or subdomain of
    the same site gets around; such a page can not send JSON without asking first, and browsers say where a
    request comes from.
    """
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise HTTPException(415, "Content-Type: expected application/json")
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site in ("same-origin", "none") or (site is None and origin is None):
        return
    own = {request.url.netloc, urlsplit(conf.get("api", "base_url", fallback="") or "").netloc}
    if site is None and origin is not None and urlsplit(origin).netloc in own:
        return
    raise HTTPException(403, f"a page of {origin or 'another site'} may not cancel jobs here")


OwnPage = Depends(_refuse_foreign_pages)
"""For every route that changes something."""
