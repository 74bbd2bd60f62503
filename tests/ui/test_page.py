"""The tab in a real browser, on a real API server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.live.cluster import Cluster
from tests.ui.looking import names, open_dialog, row
from tests.ui.site import Run, start_run

SHOTS = os.environ.get("SCREENSHOTS")
"""Where ``make screenshots`` puts the pictures for the docs."""


def shoot(page: Page, name: str, tmp_path: Path) -> None:
    page.wait_for_timeout(400)  # a dialog that opens moves for a moment
    path = Path(SHOTS or tmp_path) / f"{name}.png"
    page.screenshot(path=path)
    assert 20_000 < path.stat().st_size < 200_000, "an empty page is smaller, and the docs want no larger one"


def test_shows_the_jobs_of_a_run(busy, open_page):
    """State, name, id, task, try, queue, times, array progress, and the way to the AWS console."""
    page = open_page(busy.page)
    expect(page.get_by_role("heading", name="5 Batch jobs")).to_be_visible()
    array = row(page, "train-model")
    expect(array).to_contain_text("20 of 20 running, 0 ended")
    stock = row(page, "load-orders")
    for text in ("Running", "stock", "default", "ago"):
        expect(stock).to_contain_text(text)
    expect(stock.get_by_role("link", name="AWS console")).to_have_attribute(
        "href", re.compile("#jobs/detail/")
    )
    expect(row(page, "part-b")).to_contain_text("many [1]")


def test_follows_the_jobs(busy, open_page):
    """A job that ends meanwhile is shown so, without a reload."""
    page = open_page(busy.page)
    expect(row(page, "part-b")).to_contain_text("Running", timeout=30_000)


def test_filters_and_sorts(busy, open_page):
    """By text, by state, by any column."""
    page = open_page(busy.page)
    expect(row(page, "part-a")).to_be_visible()
    page.get_by_label("Search jobs").fill("part")
    assert sorted(names(page)) == ["part-a", "part-b", "part-c"]
    page.get_by_label("State", exact=True).select_option("FAILED")
    assert names(page) == ["part-c"]
    page.get_by_label("Search jobs").fill("nothing like that")
    expect(page.get_by_text("No job is like that.")).to_be_visible()
    page.get_by_label("Search jobs").fill("")
    page.get_by_label("State", exact=True).select_option("")
    page.get_by_role("button", name="Job", exact=True).click()
    assert [name.partition("-")[0] for name in names(page)] == ["load", "part", "part", "part", "train"]
    page.get_by_role("button", name=re.compile("Show Succeeded only")).click()
    assert names(page) == ["part-a"]


def test_the_dialog_shows_the_plan_first(busy, open_page):
    """And another one when started jobs are to be treated otherwise."""
    page = open_page(busy.page)
    expect(row(page, "part-b")).to_contain_text("Running", timeout=30_000)
    dialog = open_dialog(page, "Cancel all (3)")
    expect(dialog.get_by_role("table", name="Plan").get_by_role("row")).to_have_count(3)
    expect(dialog.get_by_role("table", name="Plan")).to_contain_text("20 of 20 children have started")
    dialog.get_by_text("Leave them running").click()
    expect(dialog.get_by_role("table", name="Plan").get_by_text("Leave", exact=True)).to_have_count(3)
    expect(dialog.get_by_role("button", name="Cancel 0 jobs")).to_be_disabled()
    dialog.get_by_text("Let them finish").click()
    expect(dialog.get_by_role("table", name="Plan")).to_contain_text("it may finish within 0:10:00")
    dialog.get_by_label("Minutes").fill("0")
    expect(dialog.get_by_text("from 1 to 10,080")).to_be_visible()
    expect(dialog.get_by_role("button", name=re.compile("^Cancel"))).to_be_disabled()
    dialog.get_by_role("button", name="Close").last.click()
    expect(dialog).to_be_hidden()


def test_cancels_one_job(busy, open_page):
    """With a reason; the others go on."""
    page = open_page(busy.page)
    row(page, "load-orders").get_by_role("button", name="Cancel load-orders").click()
    dialog = page.get_by_role("dialog")
    reason = dialog.get_by_label("Reason")
    expect(reason).to_have_value("Cancelled by admin in the Airflow UI")
    expect(dialog.get_by_test_id("reason-counter")).to_have_text("36 / 1024")
    reason.fill("")
    expect(dialog.get_by_role("button", name="Cancel 1 job")).to_be_disabled()
    reason.fill("wrong input")
    dialog.get_by_role("button", name="Cancel 1 job").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text("All jobs are stopped as asked")
    expect(dialog.get_by_role("table", name="Outcomes")).to_contain_text("Terminated")
    dialog.get_by_role("button", name="Close").last.click()
    expect(row(page, "load-orders")).to_contain_text("Terminated")
    expect(row(page, "load-orders")).to_contain_text("wrong input")
    expect(row(page, "train-model")).to_contain_text("20 of 20 running")
    assert [entry["owner"] for entry in busy.audit_rows()] == ["admin"]


def test_cancels_selected_jobs(busy, open_page):
    """Those with a tick, and no other; what has finished can not be ticked."""
    page = open_page(busy.page)
    expect(page.get_by_role("checkbox", name="Select part-a")).to_be_disabled()
    for name in ("load-orders", "part-b"):
        row(page, name).locator("[data-part=control]").click()
    dialog = open_dialog(page, "Cancel selected (2)")
    dialog.get_by_role("button", name="Cancel 2 jobs").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text("All jobs are stopped as asked")
    dialog.get_by_role("button", name="Close").last.click()
    expect(row(page, "train-model")).to_contain_text("20 of 20 running")
    expect(page.get_by_role("button", name="Cancel selected (0)")).to_be_disabled()


def test_cancels_all_jobs(busy, open_page, site):
    """Of this run; another run's go on."""
    other = start_run(site, "other")
    alive = other.submit("stock", status="RUNNING")
    page = open_page(busy.page)
    dialog = open_dialog(page, "Cancel all (3)")
    dialog.get_by_role("button", name="Cancel 3 jobs").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text("All jobs are stopped as asked")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.get_by_role("button", name="Cancel all (0)")).to_be_disabled()
    assert alive in {job["jobId"] for job in site.batch_alive()}


def test_tells_which_jobs_are_not_stopped(busy, open_page, site):
    """A partial cancel is no success, and says what AWS has answered."""
    site.batch_faults(kind="deny", operation="TerminateJobs")
    page = open_page(busy.page)
    dialog = open_dialog(page, "Cancel all (3)")
    dialog.get_by_role("button", name="Cancel 3 jobs").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text("Some jobs are not stopped")
    expect(dialog.get_by_role("table", name="Outcomes").get_by_text("Denied", exact=True)).to_have_count(3)
    expect(dialog).to_contain_text("AccessDenied")


def test_a_viewer_sees_but_can_not_cancel(busy, open_page):
    """Every button is off, and says why."""
    page = open_page(busy.page, role="viewer")
    expect(page.get_by_role("heading", name="5 Batch jobs")).to_be_visible()
    expect(page.get_by_text("You may not cancel jobs here").first).to_be_visible()
    for button in page.get_by_role("button", name=re.compile("^Cancel")).all():
        expect(button).to_be_disabled()
        assert "permission" in (button.get_attribute("title") or "")
    expect(page.get_by_role("checkbox", name="Select load-orders")).to_be_disabled()


@pytest.mark.parametrize("path", ["tasks/stock", "tasks/many/mapped/1"], ids=["plain", "mapped"])
def test_shows_the_jobs_of_a_task_instance(busy, open_page, site, path):
    """Its own only."""
    base = f"{site.url}/dags/tab/runs/{quote(busy.run_id)}/{path}"
    page = open_page(f"{base}/plugin/batch-jobs-task-instance")
    expect(page.get_by_role("heading", name="1 Batch job")).to_be_visible()
    assert names(page) == ["part-b" if "many" in path else "load-orders"]
    expect(page.get_by_role("columnheader", name="Task")).to_have_count(0)


def test_stays_quick_with_a_thousand_jobs(site, open_page):
    """Fifty on a page; searching and sorting work on all of them."""
    run = start_run(site, "thousand")
    for index in range(1000):
        run.submit("many", index, name=f"part-{index:04}", status="RUNNING" if index % 3 else "SUCCEEDED")
    page = open_page(run.page)
    expect(page.get_by_role("heading", name="1,000 Batch jobs")).to_be_visible()
    expect(page.get_by_text("1 to 50 of 1,000")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51 to 100 of 1,000")).to_be_visible()
    page.get_by_label("Search jobs").fill("part-0777")
    assert names(page) == ["part-0777"]
    page.get_by_label("Search jobs").fill("")
    dialog = open_dialog(page, "Cancel all (666)")
    dialog.get_by_role("button", name="Cancel 666 jobs").click()
    expect(dialog.get_by_test_id("cancel-progress")).to_have_text(
        "All jobs are stopped as asked", timeout=40_000
    )
    assert {job["status"] for job in site.batch_jobs() if job["jobName"].startswith("part-0")} <= {
        "SUCCEEDED",
        "FAILED",
    }


def test_works_without_a_mouse(busy, open_page):
    """Focus goes into the dialog and comes back; Escape closes it."""
    page = open_page(busy.page)
    button = page.get_by_role("button", name="Cancel all (3)")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel all jobs of this run")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    header = page.get_by_role("columnheader", name="Job", exact=True)
    expect(header).to_have_attribute("aria-sort", "none")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")


@pytest.fixture
def nightly(site: Cluster) -> Run:
    """A run as people have them, for the pictures."""
    run = start_run(site, "nightly_orders")
    run.submit("load_orders", status="SUCCEEDED", name="load-orders")
    run.submit("train_model", owned=1, status="RUNNING", name="train-model", array_size=20)
    site.batch_queue("spot", slots=0)
    run.submit("score", 0, status="RUNNING", name="score-north")
    run.submit("score", 1, queue="spot", name="score-south")
    run.submit("score", 2, status="FAILED", name="score-west")
    for index in range(3):
        run.set_task("score", "running", map_index=index)
    run.set_task("load_orders", "success")
    run.set_task("train_model", "running")
    return run


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_looks_like_airflow(nightly, open_page, tmp_path, theme):
    """Light and dark: the page, the dialog, the outcome."""
    page = open_page(nightly.page, theme=theme)
    expect(row(page, "score-south")).to_contain_text("Runnable")
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (theme == "dark")
    shoot(page, f"batch-jobs-{theme}", tmp_path)
    dialog = open_dialog(page, "Cancel all (3)")
    expect(dialog.get_by_role("table", name="Plan").get_by_role("row")).to_have_count(3)
    assert dialog.evaluate("one => getComputedStyle(one).backgroundColor") != "rgba(0, 0, 0, 0)"
    dialog.get_by_label("Reason").fill("The orders of the north are incomplete")
    shoot(page, f"cancel-plan-{theme}", tmp_path)
    dialog.get_by_role("button", name="Cancel 3 jobs").click()
    expect(dialog.get_by_role("table", name="Outcomes").get_by_role("row")).to_have_count(3)
    expect(page.get_by_role("table", name="Batch jobs").get_by_text("Stopping")).to_have_count(0)
    shoot(page, f"cancel-outcome-{theme}", tmp_path)


def test_an_example_in_the_graph(site, open_page, tmp_path):
    """The operators among other tasks, as Airflow draws them."""
    run = start_run(site, "cancel_a_run")
    for task_id in ("running", "array", "pending_on_running", "until_they_run"):
        run.set_task(task_id, "success")
    for index in range(2):
        run.set_task("in_the_queue", "success", map_index=index)
    run.set_task("cancel", "running")
    page = open_page(f"{site.url}/dags/{run.dag_id}/runs/{quote(run.run_id)}")
    page.get_by_label("Show Graph").click()
    graph = page.locator(".react-flow")
    for text in ("BatchCancelOperator", "BatchCancelSensor", "wait_until_stopped"):
        expect(graph).to_contain_text(text)
    page.wait_for_timeout(1000)  # the graph is moved into view
    box = graph.bounding_box()
    middle = {**box, "y": box["y"] + box["height"] * 0.3, "height": box["height"] * 0.38}
    path = Path(SHOTS or tmp_path) / "example-graph.png"
    page.screenshot(path=path, clip=middle)
    assert 10_000 < path.stat().st_size < 200_000
