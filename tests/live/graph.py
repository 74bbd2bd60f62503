"""Take the picture of the example DAG's graph: ``make screenshots``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from tests.live.cluster import ROOT, Cluster

DAG_ID = "cancel_a_run"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    """Run the example in one process, and take a picture of its run in each theme."""
    with Cluster(ROOT / "example_dags", components=["api-server"], prepare=run_the_example) as cluster:
        (run,) = cluster.api("GET", f"/dags/{DAG_ID}/dagRuns")["dag_runs"]
        address = f"{cluster.url}/dags/{DAG_ID}/runs/{run['dag_run_id'].replace('+', '%2B')}?view=graph"
        for theme in THEMES:
            take(address, theme, ROOT / "docs" / "images" / f"graph-{theme}.png")


def run_the_example(cluster: Cluster) -> None:
    """Have a run of the DAG in the database."""
    cluster.airflow("dags", "reserialize")
    cluster.airflow("dags", "test", DAG_ID)


def take(address: str, theme: Literal["light", "dark"], picture: Path) -> None:
    """Open the page of the run with its graph, and take the picture of that."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 640}, color_scheme=theme)
        page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        page.goto(address)
        page.locator(".react-flow__node").first.wait_for(timeout=120_000)
        page.wait_for_timeout(4000)  # until it has been laid out and moved into view
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
