"""The real review app behind a real uvicorn, and people in a real Chromium, for tests and for screenshots."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.store.database import Database
from promedical_review.web.serving import Address, listen, server
from promedical_review.web.telemetry import Metrics

CHROMIUM = Path("/usr/bin/chromium")
SCREEN = {"width": 1280, "height": 900}
WAIT_MS = 30_000
"""Machines that run this are shared: a page that is slow is no fault of the code."""
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def served(database: Database, *, port: int = 0) -> Iterator[str]:
    """Serve the app of a database; gives its address."""
    address = Address(port=port)
    with closing(listen(address)) as listening:
        running = server(database, Metrics(), address)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not running.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def person(
    browser: Browser, address: str, database: Database | None = None, name: str | None = None, **options: Any
) -> Iterator[Page]:
    """Somebody at a browser of their own; with a name, signed in. Scripts that fail and refused loads are errors."""
    context: BrowserContext = browser.new_context(base_url=address, **({"viewport": SCREEN} | options))
    context.set_default_timeout(WAIT_MS)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    if database is not None and name is not None:
        token = Sessions(database).open(Users(database).named(name))
        context.add_cookies([{"name": "session", "value": token, "url": address, "httpOnly": True, "sameSite": "Lax"}])
    try:
        yield context.new_page()
        assert faults == []
    finally:
        context.close()


def pressed(page: Page, key: str) -> None:
    """Press a key that leads to another page."""
    before = page.url
    page.keyboard.press(key)
    page.wait_for_function("before => location.href !== before", arg=before)
    page.wait_for_load_state()


def ready(page: Page) -> None:
    """Wait until the scripts of a page of work have begun: one criterion is the current one."""
    page.wait_for_selector(".criterion.current")


def violations(page: Page) -> list[str]:
    """What axe finds on a page, by its rules for WCAG 2.2 AA and its good practice."""
    found = Axe().run(page, options={"runOnly": AXE_RULES}).response["violations"]
    return [f"{each['id']}: {node['target']} {node['html'][:120]}" for each in found for node in each["nodes"]]


def wider_than_the_screen(page: Page) -> int:
    """By how many pixels a page must be scrolled sideways."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width
