"""A PostgreSQL server of a test's own, on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.live.wire import unused_port

USER = "postgres"


class Postgres:
    """
    A server with one empty database, ``airflow``; nothing of it outlives :meth:`remove`.

    PostgreSQL refuses to run as root, so root runs it as Debian's user ``postgres``.
    """

    def __init__(self) -> None:
        self.port = unused_port()
        self.directory = Path(tempfile.mkdtemp(prefix="batch-cancel-postgres-"))
        self._as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(self.directory, USER, USER)
            self._as_user = {"user": USER, "group": USER, "extra_groups": []}
        self._data = self.directory / "data"

    @property
    def url(self) -> str:
        """The address, as SQLAlchemy takes it."""
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/airflow"

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Make the data directory and start the server; it may need a moment until it is ready."""
        self._run("initdb", "--pgdata", str(self._data), "--username", USER, "--auth", "trust", "--no-sync")
        options = ["-D", self._data, "-k", self.directory, "-h", "127.0.0.1", "-p", str(self.port)]
        quick = ["-c", "fsync=off", "-c", "max_connections=400"]
        # The workers of a killed scheduler hold its socket open, and with it the locks of its transaction.
        quick += ["-c", "idle_in_transaction_session_timeout=15s"]
        with log.open("ab") as out:
            return subprocess.Popen(
                [_program("postgres"), *options, *quick],
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=self.directory,
                **self._as_user,
            )

    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        command = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def create_database(self) -> None:
        """Make the empty database."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "airflow")

    def remove(self) -> None:
        """Remove the data of the server, which has ended."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [_program(program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self._as_user)


def _program(name: str) -> Path:
    """Return Debian's newest; only its clients are on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise FileNotFoundError(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return found[-1]
