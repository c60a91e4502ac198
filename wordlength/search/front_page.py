"""Where a study's front can be seen: on a tracking server, or in MLflow's UI started on this machine."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from wordlength.errors import ServerError
from wordlength.search.home import Home
from wordlength.search.spec import StudySpec
from wordlength.search.ui import UiServer, is_server, stop_signals
from wordlength.search.views import link


class LivePage:
    """A study's front while it is launched; use as a context manager, which ends the server that it started.

    A tracking server or a running `wordlength ui` is used as it is; else one is started, unless `serve` is False.
    """

    def __init__(self, spec: StudySpec, home: Home, serve: bool) -> None:
        self._spec, self._home, self._serve = spec, home, serve
        self._stack = ExitStack()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, experiment_id: str, warn: Callable[[str], None]) -> str:
        """The link to the front, or the command that opens it. A server that does not start is no reason to stop."""
        address = self._home.tracking_address(self._spec)
        if is_server(address):
            return address.rstrip("/") + link(experiment_id)
        known = None if self._spec.storage.tracking else self._home.served_at()
        if known:
            return known + link(experiment_id)
        if not self._serve:
            return f"wordlength ui {self._spec.name}"
        server = self._stack.enter_context(UiServer(address, artifact_root(self._spec, self._home)))
        threading.Thread(target=_watch, args=(server, warn), daemon=True).start()
        return server.address + link(experiment_id)


def artifact_root(spec: StudySpec, home: Home) -> Path | None:
    """Where a local store's artifacts lie."""
    return None if spec.storage.tracking else home.artifacts


def _watch(server: UiServer, warn: Callable[[str], None]) -> None:
    try:
        server.wait_until_ready()
    except ServerError as error:
        warn(f"the front cannot be watched: {error}")


def show_fronts(specs: Sequence[StudySpec], home: Home, port: int | None, browser: bool, console: Console) -> int:
    """Print the links to the studies' fronts, open the first and serve them until Ctrl-C; the exit status.

    Studies on tracking servers get their link at once. Of the others, those in the first one's store are served.
    Raises ValueError for a port that is taken or out of range, ServerError, SpecError.
    """
    remote = [spec for spec in specs if is_server(home.tracking_address(spec))]
    for spec in remote:
        _tell([spec], home.tracking_address(spec), home, browser and spec is specs[0], console)
    local = [spec for spec in specs if spec not in remote]
    if not local:
        return 0
    address = home.tracking_address(local[0])
    served = [spec for spec in local if home.tracking_address(spec) == address]
    try:
        with stop_signals(), UiServer(address, artifact_root(local[0], home), port) as server:
            from wordlength.search import tracking  # noqa: F401  takes as long as the server's start, so meanwhile

            server.wait_until_ready()
            _tell(served, server.address, home, browser and served[0] is specs[0], console)
            console.print("Ctrl-C ends it.")
            with home.serving(server.address):
                return server.wait()
    except KeyboardInterrupt:
        return 0


def _tell(specs: Sequence[StudySpec], address: str, home: Home, browser: bool, console: Console) -> None:
    """One line per study; the first one's page in a browser."""
    from wordlength.search.tracking import publish_views

    for spec in specs:
        experiment_id = publish_views(address, spec.name)
        path = link(experiment_id) if experiment_id else "/"
        console.print(f"{spec.name}: {address.rstrip('/')}{path}", highlight=False, soft_wrap=True, markup=False)
        if browser and spec is specs[0] and _has_screen():
            webbrowser.open(address.rstrip("/") + path)


def _has_screen() -> bool:
    """Without one, `webbrowser` would start a text browser in this terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
