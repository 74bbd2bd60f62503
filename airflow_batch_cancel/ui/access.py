"""Who may do what: the one module that uses the insides of Airflow's API server."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_batch_cancel.compat import conf

__all__ = ["CanEdit", "GetUserDep", "MayEditRun", "MaySeeJobs", "OwnPage", "SessionDep", "ShortBodies"]

LONGEST_BODY = 2_000_000
"""In bytes; ten thousand ids of array children, written with blanks, are half of that."""
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


class ShortBodies:
    """
    Refuse a body that is longer than any request here can be, or does not say how long it is.

    FastAPI reads a body before it asks who sends it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let it through."""
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        length = headers.get("content-length", "0")
        answer: ASGIApp = self._app
        if "transfer-encoding" in headers:
            answer = JSONResponse({"detail": "Content-Length: expected the length of the body"}, 411)
        elif not length.isdecimal() or int(length) > LONGEST_BODY:
            answer = JSONResponse({"detail": f"the body is longer than {LONGEST_BODY} bytes"}, 413)
        await answer(scope, receive, send)
