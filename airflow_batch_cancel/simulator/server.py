"""The door over HTTP: the service's own paths, and ``/_simulator/`` for whoever plays the world."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from airflow_batch_cancel.simulator.model import SimulatedJob
from airflow_batch_cancel.simulator.simulator import BatchSimulator
from airflow_batch_cancel.simulator.wire import access_key, find_operation


class _LostAnswer(Response):
    """An answer that breaks off: the client sees the connection close."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError("the answer is lost")


class _DrippingAnswer(JSONResponse):
    """An answer that comes byte by byte, so that no read of the client's times out."""

    def __init__(self, content: Any, seconds: float) -> None:
        super().__init__(content)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for byte in bytes(self.body):
            await anyio.sleep(self._seconds)
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def make_app(sim: BatchSimulator) -> Starlette:
    """Return the ASGI application."""

    async def service(request: Request) -> Response:
        found = find_operation(request.method, request.scope["path"])
        if found is None or found[0] not in sim.operations:
            message = f"not simulated: {request.method} {request.url.path}"
            return JSONResponse({"message": message}, 404, {"x-amzn-errortype": "NotSimulated"})
        operation, from_path = found
        parameters = {**json.loads(await request.body() or "{}"), **from_path}
        key = access_key(request.headers.get("authorization", ""))
        return await run_in_threadpool(_answer, sim, operation, parameters, key)

    return Starlette(
        routes=[
            *_control_routes(sim),
            Route("/{path:path}", service, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


def _answer(sim: BatchSimulator, operation: str, request: dict[str, Any], key: str) -> Response:
    answer = sim.handle(operation, request, key)
    if answer.seconds:
        threading.Event().wait(answer.seconds)
    if answer.lost:
        return _LostAnswer()
    if answer.drip:
        return _DrippingAnswer(answer.body, answer.drip)
    headers = {"x-amzn-errortype": answer.error_code} if answer.error_code else {}
    return JSONResponse(answer.body, answer.status, headers)


def _control_routes(sim: BatchSimulator) -> list[Route]:
    def add_queue(name: str, slots: int | None = None) -> None:
        sim.add_queue(name, slots=slots)

    return [
        _read("/_simulator/jobs", lambda: [_job(job) for job in sim.jobs()]),
        _read("/_simulator/calls", lambda: [call._asdict() for call in sim.calls]),
        _read("/_simulator/history", lambda: [change._asdict() for change in sim.history]),
        _write("/_simulator/clock/jump", sim.clock.jump),
        _write("/_simulator/queues", add_queue),
        _write("/_simulator/definitions", sim.add_job_definition),
        _write("/_simulator/jobs/submit", sim.submit),
        _write("/_simulator/scenario", sim.load),
        _write("/_simulator/faults", sim.faults.add),
        _write("/_simulator/faults/clear", sim.faults.clear),
        _write("/_simulator/calls/reset", sim.reset_calls),
        _write("/_simulator/keys/retire", sim.retire_key),
    ]


def _read(path: str, read: Callable[[], Any]) -> Route:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(read())

    return Route(path, endpoint, methods=["GET"])


def _write(path: str, write: Callable[..., Any]) -> Route:
    async def endpoint(request: Request) -> Response:
        arguments = json.loads(await request.body() or "{}")
        try:
            return JSONResponse({"result": write(**arguments)})
        except (TypeError, ValueError) as error:
            return JSONResponse({"message": str(error)}, 400)

    return Route(path, endpoint, methods=["POST"])


def _job(job: SimulatedJob) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "jobName": job.name,
        "status": job.status,
        "statusReason": job.status_reason,
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
        "queue": job.queue.name,
        "tags": job.tags,
        "createdAt": job.created_at,
        "startedAt": job.started_at,
        "stoppedAt": job.stopped_at,
        "arraySize": job.array_size,
        "children": {status: count for status, count in job.child_counts.items() if count},
    }


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a listening socket and its address; port 0 takes a free one."""
    listener = socket.create_server((host, port))
    return listener, f"http://{host}:{listener.getsockname()[1]}"


def make_server(sim: BatchSimulator) -> uvicorn.Server:
    """Return the server, to be run on a socket of :func:`listen`."""
    return uvicorn.Server(uvicorn.Config(make_app(sim), log_level="critical", lifespan="off"))


@contextlib.contextmanager
def serve(sim: BatchSimulator, port: int = 0) -> Iterator[str]:
    """Serve from a thread of this process, on loopback; yields the address."""
    listener, url = listen("127.0.0.1", port)
    server = make_server(sim)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
