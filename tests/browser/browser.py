"""Chromium without a window, as tests and benchmarks drive it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing but the pages that a test opens: no updates, no accounts, no look-ups.
OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The first of Chromium's usual names on PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page at a time, each opened as by somebody who was never there.

    `page`: Playwright's own, for clicks, frames and whatever else is not here. `errors`: what the page has reported as
    errors, `requests`: the addresses that it has asked for, both in order.
    """

    page: Page

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self.errors: list[str] = []
        self.requests: list[str] = []

    def open(
        self, url: str, *, width: int = 1400, height: int = 900, before: str = "", own_clock: bool = False
    ) -> None:
        """Load a page in an empty profile.

        `before`: JavaScript that runs ahead of the page's own; `own_clock`: `page.clock` can move the page's time.
        """
        self.close_page()
        self.errors, self.requests = [], []
        self.follow(self._chromium.new_context(viewport={"width": width, "height": height}).new_page())
        if before:
            self.page.add_init_script(before)
        if own_clock:
            self.page.clock.install()
        self.page.goto(url)

    def follow(self, page: Page) -> None:
        """Go on with this page, and listen to it as well."""
        self.page = page
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    @property
    def unexpected(self) -> list[str]:
        """Errors of the page but for MLflow's own: who is logged in, and a resize that took two frames."""
        known = ("/mlflow/users/current", "ResizeObserver loop completed with undelivered notifications")
        return [error for error in self.errors if not any(part in error for part in known)]

    def evaluate(self, javascript: str) -> Any:
        """The value of an expression, of what JSON can hold."""
        return self.page.evaluate(javascript)

    def wait_for(self, javascript: str, seconds: float = 20.0) -> Any:
        """The value of an expression as soon as it is true; raises Playwright's TimeoutError if it never is."""
        return self.page.wait_for_function(javascript, timeout=1000 * seconds).json_value()

    def screenshot(self, path: Path) -> None:
        """Write what is in the window as PNG."""
        self.page.screenshot(path=path)

    def close_page(self) -> None:
        """Leave the page that is open, and forget what it stored."""
        for context in self._chromium.contexts:
            context.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")


@contextmanager
def running_browser(executable: str) -> Iterator[Browser]:
    """Chromium with a new profile; on leaving, it has ended."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=[*OPTIONS])
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
