"""One Airflow for all the tests of the API and the page; each makes a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.live.cluster import Cluster
from tests.ui.site import Run, as_user, simple_site, start_run


@pytest.fixture(scope="session")
def site() -> Iterator[Cluster]:
    """An API server with a user of each role."""
    with simple_site() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """No fault outlives its test."""
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").batch_faults()


@pytest.fixture
def run(site: Cluster) -> Run:
    """A run of the DAG ``tab``."""
    return start_run(site)


@pytest.fixture(scope="session")
def clients(site: Cluster) -> Iterator[Callable[[str], httpx.Client]]:
    """Clients by role."""
    made: dict[str, httpx.Client] = {}

    def client(role: str) -> httpx.Client:
        if role not in made:
            made[role] = as_user(site, role)
        return made[role]

    yield client
    for one in made.values():
        one.close()


@pytest.fixture
def admin(clients: Callable[[str], httpx.Client]) -> httpx.Client:
    """A client that may do everything."""
    return clients("admin")
