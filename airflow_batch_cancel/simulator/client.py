"""The door in process: a real botocore client whose requests never leave it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from airflow_batch_cancel.simulator.wire import access_key, find_operation, session

if TYPE_CHECKING:
    from airflow_batch_cancel.simulator.simulator import Answer, BatchSimulator


class _Body:
    """The body of an answer, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        yield self._content


def make_client(sim: BatchSimulator, bulk: bool, config: dict[str, Any]) -> Any:
    """Return a client for :meth:`BatchSimulator.client`."""
    client = session().create_client(
        "batch",
        region_name=sim.account.region,
        aws_access_key_id="simulated",
        aws_secret_access_key="simulated",
        config=Config(**config),
    )
    client.meta.events.register("before-send.batch", functools.partial(_before_send, sim))
    if not bulk:
        for name in ("cancel_jobs", "terminate_jobs"):
            if hasattr(client, name):  # a botocore before 1.44 has none
                delattr(type(client), name)
    return client


def _before_send(sim: BatchSimulator, request: Any, **_: Any) -> Any:
    return _answer(sim, request)


def _answer(sim: BatchSimulator, request: Any) -> AWSResponse:
    found = find_operation(request.method, urlsplit(request.url).path)
    if found is None or found[0] not in sim.operations:
        return _response(request.url, 404, {"message": f"not simulated: {request.url}"}, "NotSimulated")
    operation, from_path = found
    body = json.loads(request.body) if request.body else {}
    signed = request.headers.get("Authorization", b"")
    key = access_key(signed.decode() if isinstance(signed, bytes) else signed)
    answer: Answer = sim.handle(operation, {**body, **from_path}, key)
    if answer.seconds:
        sim.clock.sleep(answer.seconds)
    if answer.lost:
        raise ConnectionClosedError(endpoint_url=request.url)
    return _response(request.url, answer.status, answer.body, answer.error_code)


def _response(url: str, status: int, body: dict[str, Any], error_code: str) -> AWSResponse:
    headers: Any = {"content-type": "application/json"}
    if error_code:
        headers["x-amzn-errortype"] = error_code
    return AWSResponse(url, status, headers, _Body(json.dumps(body).encode()))
