"""What Airflow mounts: the files of the tab, and the HTTP API as soon as somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

BUNDLE = Path(__file__).parent / "dist"


class OnDemand:
    """The API, imported at its first request: boto3 would keep every start of an API server for a second."""

    def __init__(self) -> None:
        self._api: FastAPI | None = None
        self._import = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        async with self._import:
            if self._api is None:
                self._api = await asyncio.to_thread(_create_api)
        await self._api(scope, receive, send)

    async def stop(self) -> None:
        """Take note that the API server ends."""
        if self._api is not None:
            await self._api.state.cancels.stop()


def create_app() -> FastAPI:
    """Return the app, to be mounted by Airflow; it lists its routes nowhere, as that would be open to all."""
    api = OnDemand()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await api.stop()

    app = FastAPI(title="Batch jobs", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=BUNDLE, check_dir=False), name="static")
    app.mount("", api)
    return app


def _create_api() -> FastAPI:
    from airflow_batch_cancel.ui.api import create_api

    return create_api()
