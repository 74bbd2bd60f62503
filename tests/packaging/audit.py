"""
Looks the pinned versions up with pip-audit, online or in a checkout of PyPA's advisory database.

The checkout is for machines whose package index knows of no vulnerabilities: pip-audit asks it what it would
ask OSV (``POST /v1/query``, https://google.github.io/osv.dev/post-v1-query/).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[2]


class Advisories:
    """
    A checkout of https://github.com/pypa/advisory-database.

    :raises ValueError: when there are none in this folder
    """

    def __init__(self, checkout: Path) -> None:
        self._vulnerabilities = checkout / "vulns"
        if not self._vulnerabilities.is_dir():
            raise ValueError(f"advisories={str(checkout)!r}: expected a checkout of PyPA's advisory database")

    def of(self, package: str, version: str) -> list[dict[str, Any]]:
        """Return the advisories for a version of a package."""
        name = canonicalize_name(package)
        read = [
            yaml.load(path.read_text(), Loader=yaml.CBaseLoader)  # versions stay text
            for path in sorted((self._vulnerabilities / name).glob("*.yaml"))
        ]
        return [
            one
            for one in read
            if any(is_affected(version, part) for part in one["affected"] if part["package"]["name"] == name)
        ]


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """
    Whether a version is among the affected ones, by name or range.

    The rule is OSV's (https://ossf.github.io/osv-schema/#evaluation).
    """
    if version in affected.get("versions", ()):
        return True
    return any(
        _is_within(Version(version), events["events"])
        for events in affected.get("ranges", ())
        if events["type"] == "ECOSYSTEM"
    )


def _is_within(version: Version, events: list[dict[str, str]]) -> bool:
    within = False
    bounds = [(_version(bound), kind) for event in events for kind, bound in event.items()]
    for bound, kind in sorted(bounds):
        if kind == "introduced" and version >= bound:
            within = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            within = False
    return within


def _version(text: str) -> Version:
    """Read a bound; some carry more than a version has: ``3.0.3-NA``, ``2.6.0-cu124``."""
    try:
        return Version(text)
    except InvalidVersion:
        leading = re.match(r"\d+(\.\d+)*", text)
        if leading is None:
            raise
        return Version(leading[0])


@contextmanager
def served(advisories: Advisories) -> Iterator[str]:
    """Answer as OSV does, on loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = advisories.of(query["package"]["name"], query["version"])
            body = json.dumps({"vulns": found} if found else {}, default=str).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audit(requirements: Path, *service: str) -> int:
    """Run pip-audit on a file of pinned versions, and return its exit code: 1 when it has found something."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--desc", "off", "--requirement", str(requirements), *service]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Audit the constraints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--advisories", type=Path, help="a checkout of PyPA's advisory database")
    parser.add_argument("--requirements", type=Path, default=ROOT / ".constraints.txt")
    arguments = parser.parse_args()
    if arguments.advisories is None:
        return audit(arguments.requirements)
    with served(Advisories(arguments.advisories)) as url:
        return audit(arguments.requirements, "--vulnerability-service", "osv", "--osv-url", url)


if __name__ == "__main__":
    sys.exit(main())
