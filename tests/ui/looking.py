"""Where things are on the page."""

from __future__ import annotations

from playwright.sync_api import Page


def row(page: Page, text: str):
    return page.get_by_role("table", name="Batch jobs").get_by_role("row").filter(has_text=text)


def names(page: Page) -> list[str]:
    cells = page.get_by_role("table", name="Batch jobs").locator("tbody tr td:nth-child(3) p:first-child")
    return [text.strip() for text in cells.all_inner_texts()]


def open_dialog(page: Page, button: str):
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")
