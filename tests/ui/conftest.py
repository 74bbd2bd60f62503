"""One Airflow for all the tests of the API and the page; each makes a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.live.cluster import Cluster
from tests.ui.site import Run, as_user, simple_site, start_run

VIEW = {"width": 1440, "height": 860}


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, site: Cluster) -> Iterator[Callable[..., Page]]:
    """Open the tab of a run as a user of some role; no error may be left in the console."""
    contexts = []
    errors: list[str] = []

    def open_page(address: str, role: str = "admin", theme: str = "light", script: str = "") -> Page:
        context = browser.new_context(viewport=VIEW, color_scheme=theme, permissions=["clipboard-write"])
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": site.token(role, role), "url": site.url}])
        context.add_init_script(f"localStorage.setItem('theme', '{theme}');{script}")
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    expect.set_options(timeout=20_000)
    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def busy(run: Run) -> Run:
    """A run with jobs in many states."""
    run.submit("stock", status="RUNNING", name="load-orders")
    run.submit("owned", owned=1, status="RUNNING", name="train-model", array_size=20)
    run.submit("many", 0, status="SUCCEEDED", name="part-a")
    run.submit("many", 1, name="part-b")
    run.submit("many", 2, status="FAILED", name="part-c")
    return run
