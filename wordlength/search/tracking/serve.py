"""The program of process.py: a Tracker that does what another process asks for, one call after the other."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport
from wordlength.search.tracking.description import Description
from wordlength.search.tracking.process import TrackingError
from wordlength.search.tracking.store import REFUSALS, is_away, reason_of
from wordlength.search.tracking.tracker import Tracker
from wordlength.search.trials import StudyView, TrialRow


class _Served:
    """The process' side: one call after the other."""

    def __init__(self) -> None:
        self._rows: dict[int, TrialRow] = {}
        self._tracker: Tracker

    def begin(self, tracking_uri: str, artifact_root: Path | None, study: str, about: Description) -> Any:
        self._tracker = Tracker(tracking_uri, artifact_root, study)
        self._tracker.begin(about)
        return self._tracker.experiment_id, set(self._tracker.trials)

    def reopen(self) -> set[int]:
        self._tracker.reopen()
        return set(self._tracker.trials)

    def log_trial(self, report: TrialReport, label: str, rungs: Sequence[float | None]) -> None:
        self._tracker.log_trial(report, label, rungs)

    def show(
        self,
        view: StudyView,
        changed: Sequence[TrialRow],
        weights: Callable[[int], Path] | None,
        final: bool,
        files: Mapping[str, bytes],
    ) -> None:
        self._rows |= {row.number: row for row in changed}
        rows = tuple(self._rows[number] for number in sorted(self._rows))
        self._tracker.show(replace(view, rows=rows), weights, final, lambda: files)

    def finish(self, state: str) -> None:
        self._tracker.finish(state)

    def answer(self, name: str, arguments: Sequence[Any]) -> Any:
        try:
            return getattr(self, name)(*arguments)
        except SpecError as error:
            return SpecError(str(error))
        except REFUSALS as error:
            return TrackingError(reason_of(error), is_away(error))
        except Exception:  # A fault of ours: it ends the launch, with its place.
            return RuntimeError(traceback.format_exc())


def main(calls: int, life: int) -> None:
    """Serve the process that began this one, by two sockets, until it ends."""
    # Whoever stops the launch does not mean this: what the launch still tells must arrive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    served, connection = _Served(), Connection(calls)
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(served.answer(*connection.recv()))


def _end_with(life: int) -> None:
    """End this process, whatever it does, when nobody holds the other end any more."""
    with socket.socket(fileno=life) as held:
        held.recv(1)
    os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
