"""JSON over HTTP to loopback."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


def http(method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
    """Make one request; ``HTTPError`` carries the answer's text as a note."""
    data = None if body is None else json.dumps(body).encode()
    headers = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(url.replace("+", "%2B"), data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            error.add_note(error.read().decode(errors="replace")[:2000])
        raise
    return json.loads(text) if text else None


def is_found(get: Callable[[], Any]) -> bool:
    """Return whether a request does not end in 404."""
    try:
        get()
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def unused_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
