"""Where a study's front can be seen: on a tracking server, or in MLflow's UI started on this machine."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from rich.console import Console

from wordlength.errors import ServerError, SpecError
from wordlength.search.home import Home, is_server, without_login
from wordlength.search.stopping import stop_signals
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.ui import UiServer
from wordlength.search.views import link


class LivePage:
    """A study's front while it is launched; use as a context manager, which ends the server that it started.

    A tracking server or a running `wordlength ui` is used as it is; else one is started, unless `serve` is False.
    """

    def __init__(self, spec: StudySpec, home: Home, serve: bool) -> None:
        self._spec, self._home, self._serve = spec, home, serve
        self._stack, self._leaving = ExitStack(), False

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving = True
        self._stack.close()

    def open(self, experiment_id: str, warn: Callable[[str], None]) -> str:
        """The link to the front, or the command that opens it. A server that does not start is no reason to stop."""
        address = self._home.tracking_address(self._spec)
        if is_server(address):
            return without_login(address) + link(experiment_id)
        known = self._home.served_at() if address == self._home.tracking_address() else None
        if known:
            return known + link(experiment_id)
        if not self._serve:
            return f"wordlength ui {self._spec.name}"
        server = self._stack.enter_context(UiServer(address, self._home.artifact_root(self._spec)))
        threading.Thread(target=self._watch, args=(server, warn), daemon=True).start()
        return server.address + link(experiment_id)

    def _watch(self, server: UiServer, warn: Callable[[str], None]) -> None:
        try:
            server.wait_until_ready()
        except (ServerError, ValueError) as error:  # ValueError: its log is closed already
            if not self._leaving:
                warn(f"the front cannot be watched: {error}")


def show_fronts(specs: Sequence[StudySpec], home: Home, port: int | None, browser: bool, console: Console) -> None:
    """Print the links to the studies' fronts, open the first and serve them until Ctrl-C.

    Studies on tracking servers get their link at once. Of the others, those in the first one's store are served.
    Raises ValueError for a port that is taken or out of range, ServerError, SpecError.
    """
    # A server that fails is to be told, not asked again for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    tell = _Teller(console, specs[0] if browser else None)
    remote = [spec for spec in specs if is_server(home.tracking_address(spec))]
    for spec in remote:
        from wordlength.search.tracking import check_server

        try:
            check_server(home.tracking_address(spec))
        except SpecError as error:
            if len(specs) == 1:
                raise
            tell.line(spec, str(error))
        else:
            tell.link(spec, home.tracking_address(spec))
    local = [spec for spec in specs if spec not in remote]
    if local:
        _serve(local, home, port, tell)


def _serve(specs: Sequence[StudySpec], home: Home, port: int | None, tell: _Teller) -> None:
    address = home.tracking_address(specs[0])
    try:
        with stop_signals(), UiServer(address, home.artifact_root(specs[0]), port) as server:
            from wordlength.search import tracking  # noqa: F401  takes as long as the server's start, so meanwhile

            server.wait_until_ready()
            for spec in specs:
                if home.tracking_address(spec) == address:
                    tell.link(spec, server.address)
                else:
                    tell.line(spec, f"is in a store of its own; wordlength ui {spec.name}")
            tell.console.print("Ctrl-C ends it.")
            with home.serving(server.address) if address == home.tracking_address() else nullcontext():
                server.wait()
    except KeyboardInterrupt:
        return


@dataclass(frozen=True)
class _Teller:
    """Prints a line per study, and opens the page of one of them in a browser."""

    console: Console
    opened: StudySpec | None

    def line(self, spec: StudySpec, text: str) -> None:
        self.console.print(f"{spec.name}: {text}", highlight=False, soft_wrap=True, markup=False)

    def link(self, spec: StudySpec, address: str) -> None:
        from wordlength.search.tracking import publish_views

        experiment_id = publish_views(address, spec.name)
        if experiment_id is None:
            self.line(
                spec, f"MLflow does not know it; launching it again records all its trials ({without_login(address)})"
            )
            return
        where = without_login(address) + link(experiment_id)
        self.line(spec, where)
        if spec is self.opened and _has_screen():
            webbrowser.open(where)


def _has_screen() -> bool:
    """Without one, `webbrowser` would start a text browser in this terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
