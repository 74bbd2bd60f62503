"""The tab when something is wrong, or there is nothing to follow."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import time
from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import expect

from tests.ui.looking import open_dialog, row


def test_asks_for_nothing_while_nobody_looks(busy, open_page):
    """The browser tab is hidden: no request; shown again: one at once."""
    page = open_page(busy.page)
    expect(row(page, "load-orders")).to_be_visible()
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    changed = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "true" + changed)
    page.wait_for_timeout(500)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/batch-cancel/" in request.url else None)
    page.wait_for_timeout(5000)
    assert asked == []
    page.evaluate(hide % "false" + changed)
    page.wait_for_timeout(500)
    assert len(asked) == 1


def test_asks_ever_more_slowly_while_nothing_changes(run, open_page):
    """After 3 seconds, then after 4, and so on, up to half a minute."""
    run.submit("stock", status="RUNNING", name="load-orders")
    page = open_page(run.page)
    expect(row(page, "load-orders")).to_contain_text("Running")
    asked: list[float] = []
    page.on("request", lambda one: asked.append(time.monotonic()) if "/batch-cancel/" in one.url else None)
    page.wait_for_timeout(15_000)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert len(pauses) >= 1
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4


def test_asks_no_more_when_all_have_finished(run, open_page):
    """There is nothing to follow."""
    run.submit("many", 0, status="SUCCEEDED", name="part-a")
    page = open_page(run.page)
    expect(row(page, "part-a")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/batch-cancel/" in request.url else None)
    page.wait_for_timeout(4500)
    assert asked == []
    page.get_by_role("button", name="Refresh").click()
    page.wait_for_timeout(500)
    assert len(asked) == 1


def test_a_run_without_jobs(run, open_page):
    """Says so."""
    page = open_page(run.page)
    expect(page.get_by_text("No Batch jobs", exact=True)).to_be_visible()


def test_a_run_that_was_deleted(busy, open_page, site):
    """While the page is open."""
    page = open_page(busy.page)
    expect(row(page, "load-orders")).to_be_visible()
    site.api("DELETE", f"/dags/tab/dagRuns/{busy.run_id}")
    expect(page.get_by_text("This run is not there any more")).to_be_visible()


def test_aws_that_does_not_answer(run, open_page, site):
    """The jobs stay on the page, with what is wrong above them, and come back by themselves."""
    run.submit("stock", status="RUNNING", name="load-orders")
    page = open_page(run.page)
    expect(row(page, "load-orders")).to_contain_text("Running")
    site.batch_faults(kind="server_error")
    expect(page.get_by_text("Not all can be seen")).to_be_visible()
    expect(page.get_by_text("AWS connection aws_default")).to_be_visible()
    expect(page.get_by_text("Not visible").first).to_be_visible()
    site.batch_faults()
    expect(page.get_by_text("Not all can be seen")).to_be_hidden()
    expect(row(page, "load-orders")).to_contain_text("Running")


def test_aws_that_is_out_of_reach(run, open_page, site):
    """The page stays usable while nobody answers, and says so."""
    run.submit("stock", status="RUNNING", name="load-orders")
    page = open_page(run.page)
    expect(row(page, "load-orders")).to_contain_text("Running")
    site.kill("simulator")
    try:
        page.get_by_role("button", name="Refresh").click()
        expect(page.get_by_text("Could not connect to the endpoint")).to_be_visible()
        dialog = open_dialog(page, "Cancel all (1)")
        expect(dialog.get_by_role("table", name="Plan")).to_contain_text("Could not connect to the endpoint")
    finally:
        site.start("simulator")
        site.wait("the simulator", 30, lambda: is_there(site.batch_jobs))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("AWS Batch does not know 1 of the jobs there")).to_be_visible()


def is_there(ask: Callable[[], object]) -> bool:
    with contextlib.suppress(OSError):
        ask()
        return True
    return False


def test_an_api_server_that_goes_away_in_mid_cancel(run, open_page, site):
    """The dialog says so, and after the restart that the cancel was interrupted."""
    run.submit("stock", status="RUNNING", name="load-orders")
    page = open_page(run.page)
    dialog = open_dialog(page, "Cancel all (1)")
    dialog.get_by_text("Let them finish").click()
    expect(dialog.get_by_role("table", name="Plan")).to_contain_text("it may finish within")
    dialog.get_by_role("button", name="Cancel 1 job").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text("0 of 1 job settled")
    site.kill("api-server", signal.SIGTERM)
    expect(dialog.get_by_text("The Airflow API server does not answer")).to_be_visible()
    site.start("api-server")
    site.wait_for_api()
    expect(dialog.get_by_text("The cancel was not carried out to its end")).to_be_visible(timeout=40_000)
    dialog.get_by_role("button", name="Close").last.click()
    expect(row(page, "load-orders")).to_contain_text("Running")


def test_an_error_of_its_own_stays_in_the_tab(run, open_page, site):
    """The rest of Airflow's page is not touched by it."""
    page = open_page(f"{site.url}/dags/tab/runs/{quote(run.run_id)}")
    page.route("**/batch-cancel/**/jobs", lambda route: route.fulfill(json={"jobs": [None], "problems": []}))
    page.get_by_role("link", name="Batch jobs").click()
    expect(page.get_by_role("alert").filter(has_text="The Batch jobs can not be shown")).to_be_visible()
    expect(page.get_by_role("link", name="Dags")).to_be_visible()


def test_a_host_that_is_too_old(run, open_page):
    """Airflow before 3.2 lends no components: a sentence, and no broken page."""
    hidden = "Object.defineProperty(globalThis, 'ChakraUI', {get: () => undefined, set: () => undefined});"
    page = open_page(run.page, script=hidden)
    expect(page.get_by_text("This Airflow is too old to show Batch jobs")).to_be_visible()


def test_an_expired_login_leads_to_the_login_page(busy, open_page):
    """As everywhere in Airflow."""
    page = open_page(busy.page)
    expect(row(page, "load-orders")).to_be_visible()
    page.context.clear_cookies()
    page.wait_for_url(re.compile("/login"))
