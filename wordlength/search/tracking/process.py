"""A study's tracker in a process of its own: what it computes costs the search no time.

Python computes in one thread at a time; in the launch's own process, MLflow took every third second from proposing
trials (docs/benchmarks/scale.md).
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport
from wordlength.search.tracking.description import Description
from wordlength.search.trials import StudyView, TrialRow

PROGRAM = ["-m", "wordlength.search.tracking.serve"]
"""What the process runs, by this Python; then come the numbers of its two sockets."""
_END_SECONDS = 10.0


class TrackingError(Exception):
    """MLflow, or the process that writes to it, did not take something. `away`: another try may find it well."""

    def __init__(self, reason: str, away: bool) -> None:
        super().__init__(reason)
        self.reason, self.away = reason, away

    def __reduce__(self) -> tuple[type[TrackingError], tuple[str, bool]]:
        return TrackingError, (self.reason, self.away)


class TrackerProcess:
    """A Tracker elsewhere, with its methods; they raise SpecError as there, and TrackingError for all its refusals.

    It ends with this process, however that ends. `begin` comes before everything else.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None, study: str) -> None:
        self._opened = (tracking_uri, artifact_root, study)
        self._about: Description | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.experiment_id = ""
        self.trials: set[int] = set()
        """Numbers of the trials that are recorded to the end."""

    def begin(self, about: Description) -> None:
        """Open the store and describe the study: see Tracker."""
        self._about = about
        self._start()

    def reopen(self) -> None:
        """Read again what the store has."""
        if self._process is None or self._process.poll() is not None:  # It has died.
            try:
                self._start()
            except SpecError as error:  # It began once, and may do so again.
                raise TrackingError(str(error), away=True) from None
        else:
            self.trials = self._call("reopen")

    def log_trial(self, report: TrialReport, label: str = "", rungs: Sequence[float | None] = ()) -> None:
        """Record a finished trial."""
        self._call("log_trial", report, label, rungs)
        self.trials.add(report.number)

    def show(
        self,
        view: StudyView,
        weights: Callable[[int], Path] | None = None,
        final: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Make MLflow tell the study as it stands. Of its rows only those travel that have changed."""
        changed = [row for row in view.rows if self._rows.get(row.number) is not row]
        self._call("show", replace(view, rows=()), changed, weights, final, files or {})
        self._rows |= {row.number: row for row in changed}

    def finish(self, state: str = "FINISHED") -> None:
        """End the study's run."""
        self._call("finish", state)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_SECONDS)
            self._life.close()
            self._calls.close()
            self._process = None

    def _start(self) -> None:
        self.close()
        calls, theirs = socket.socketpair()
        life, their_life = socket.socketpair()
        with theirs, their_life:
            numbers = (theirs.fileno(), their_life.fileno())
            command = [sys.executable, *PROGRAM, *map(str, numbers)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=numbers)
        self._life, self._calls = life, Connection(calls.detach())
        self._rows: dict[int, TrialRow] = {}
        try:
            self.experiment_id, self.trials = self._call("begin", *self._opened, self._about)
        except BaseException:
            self.close()
            raise

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            self._calls.send((name, arguments))
            result = self._calls.recv()
        except (EOFError, OSError) as error:
            raise TrackingError(f"its process has ended ({type(error).__name__})", away=True) from None
        if isinstance(result, BaseException):
            raise result
        return result
