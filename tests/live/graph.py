"""Take the picture of the example DAG's graph: ``make screenshots``."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.live.cluster import ROOT, Cluster
from tests.live.demo import DAG_ID, QUEUE, Demo


def main() -> None:
    """Play the demo, and take a picture of its run in each theme."""
    demo = Demo()
    with Cluster(ROOT / "example_dags", {"BATCH_NARROW_QUEUE": QUEUE}, demo.say) as cluster:
        if not demo.run(cluster):
            sys.exit("the demo has failed")
        (run,) = cluster.api("GET", f"/dags/{DAG_ID}/dagRuns")["dag_runs"]
        for theme in ("light", "dark"):
            address = f"{cluster.url}/dags/{DAG_ID}/runs/{run['dag_run_id']}"
            take(address, theme, ROOT / "docs" / "images" / f"graph-{theme}.png")


def take(address: str, theme: str, picture: Path) -> None:
    """Open the page with its graph shown, and take the picture of that."""
    show_graph = f"localStorage.setItem('dagView-{DAG_ID}', JSON.stringify('graph'));"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 640}, color_scheme=theme)  # type: ignore[arg-type]
        page.add_init_script(f"localStorage.setItem('theme', '{theme}');{show_graph}")
        page.goto(address)
        page.get_by_test_id("node-cancel").or_(page.locator(".react-flow__node").first).first.wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
