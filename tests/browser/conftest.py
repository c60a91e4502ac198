"""One Chromium and one MLflow server for all the tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import NAMES, Browser, find_chromium, running_browser


@dataclass(frozen=True, slots=True)
class Server:
    """MLflow's server, and the store behind it, which may also be written directly."""

    address: str
    store: str


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; skips where there is none."""
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(NAMES)})")
    pytest.importorskip("playwright.sync_api", reason="Playwright, which drives Chromium, is not installed")
    with running_browser(executable) as running:
        yield running


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on an empty store; only where there is a browser to look at it."""
    from mlflow_study import mlflow_server

    folder: Path = tmp_path_factory.mktemp("mlflow")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with mlflow_server(store, folder) as address:
        yield Server(address, store)


@pytest.fixture
def keep(browser: Browser, request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves a picture of the page, as it is at the test's end, in build/screenshots."""
    yield
    folder = request.config.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    browser.screenshot(folder / f"{request.node.name}.png")
