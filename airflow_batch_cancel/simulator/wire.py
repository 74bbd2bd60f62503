"""Which HTTP request is which operation, out of botocore's own model of the service."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import botocore.session


class Route(NamedTuple):
    """Where an operation is called."""

    operation: str
    method: str
    path: re.Pattern[str]


@functools.cache
def session() -> botocore.session.Session:
    """Return one botocore session, whose loader keeps the models it has read."""
    return botocore.session.Session()


@functools.cache
def service_model() -> Any:
    """Return botocore's model of Batch."""
    return session().get_service_model("batch")


@functools.cache
def routes() -> tuple[Route, ...]:
    """Return the routes of all operations of the service."""
    model = service_model()
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", http["requestUri"])
        found.append(Route(name, http["method"], re.compile(pattern)))
    return tuple(found)


def access_key(authorization: str) -> str:
    """Return the access key in an ``Authorization`` header; empty when there is none."""
    found = re.search(r"Credential=([^/,]+)/", authorization)
    return found[1] if found else ""


def find_operation(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """
    Return the operation that a request calls, and what its path says.

    :param path: without host and query
    """
    for route in routes():
        match = route.path.fullmatch(path)
        if match and method == route.method:
            return route.operation, {key: unquote(value) for key, value in match.groupdict().items()}
    return None
