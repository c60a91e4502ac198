"""Results on their way to MLflow, in order, in a thread of their own: the search never waits for tracking.

Nothing is kept here that is not in Optuna's storage and the study's folder: what a launch could not deliver, the next
one does, or `wordlength check --repair`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from wordlength.search.home import StudyFolder, Turn
from wordlength.search.tracking import TrackerProcess, TrackingError
from wordlength.search.trials import StudyView

LONGEST_PAUSE_SECONDS = 15.0
MOST_TRIES = 5
"""How often one thing is offered to a server that answers otherwise."""
_AT_A_TIME = 20
"""Trials of dead launches; the other launches wait meanwhile."""


@dataclass(frozen=True)
class _Trial:
    """A finished trial; its report is read when its turn comes."""

    number: int
    label: str
    rungs: tuple[float | None, ...]


@dataclass(frozen=True)
class _CatchUp:
    """Trials that MLflow may miss, because the launch that ran them has died."""

    trials: tuple[_Trial, ...]


@dataclass(frozen=True)
class _Show:
    """The study as it stands when this one's turn comes."""

    final: bool


@dataclass(frozen=True)
class _End:
    state: str


_Item = _Trial | _CatchUp | _Show | _End


class Delivery:
    """Delivers to a tracker what it is given, in that order; while MLflow is away it waits, and tries again.

    `folder`: the study's, with reports and weights; `shared`: other launches may record the study too. `tell`: takes a
    line when MLflow goes away or refuses something, and when it is back; called in the thread.
    """

    def __init__(
        self,
        tracker: TrackerProcess,
        folder: StudyFolder,
        shared: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._tracker, self._folder, self._shared, self._tell = tracker, folder, shared, tell
        self._items: deque[_Item] = deque()
        self._newest: tuple[StudyView, Mapping[str, bytes]] | None = None
        self._shows = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._is_away = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="delivery to MLflow", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Finished trials that MLflow does not have yet."""
        with self._changed:
            caught_up = {trial.number for item in self._items if isinstance(item, _CatchUp) for trial in item.trials}
            numbers = caught_up | {item.number for item in self._items if isinstance(item, _Trial)}
            return len(numbers - self._tracker.trials)

    def trial(self, number: int, label: str, rungs: tuple[float | None, ...] = ()) -> None:
        """Record a finished trial. Like all of these, raises what a fault of ours raised in the thread."""
        self._put(_Trial(number, label, rungs))

    def catch_up(self, trials: Iterable[tuple[int, str, tuple[float | None, ...]]]) -> None:
        """Record what a launch that died has left, as far as MLflow does not have it: number, label, rungs of each."""
        left = [_Trial(*trial) for trial in trials]
        for start in range(0, len(left), _AT_A_TIME):
            self._put(_CatchUp(tuple(left[start : start + _AT_A_TIME])))

    def show(self, view: StudyView, files: Mapping[str, bytes], final: bool = False) -> None:
        """Make MLflow tell the study as it stands. `files`: further ones beside the pictures, name → content.

        Only the newest state is of interest: one that waits already is brought up to date. The `final` one comes after
        everything that was given before it.
        """
        with self._changed:
            self._newest = view, files
            needed = final or not self._shows
            self._shows += needed
        if needed:
            self._put(_Show(final))

    def end(self, state: str, patience_seconds: float) -> int:
        """End the study's run and stop, after everything is delivered or so many seconds; trials left out."""
        self._put(_End(state))
        until = time.monotonic() + patience_seconds
        with self._changed:
            while self._items and self._error is None and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
        self.close()
        self._raise()
        return self.waiting

    def close(self) -> None:
        """Stop at once, whatever is being delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._tracker.close()

    def _put(self, item: _Item) -> None:
        self._raise()
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None and self._deliver(item):
                with self._changed:
                    self._items.popleft()
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if self._closed:
                return None
            self._shows -= isinstance(self._items[0], _Show)
            return self._items[0]

    def _deliver(self, item: _Item) -> bool:
        """Whether the next one's turn has come: this one is delivered, or refused by a server that answers."""
        pause, answered = 0.5, 0
        while not self._closed:
            try:
                if self._is_away:
                    self._tracker.reopen()  # What was under way may be there, half or whole.
                    answered += 1
                self._hand_over(item)
            except TrackingError as error:
                if self._closed:
                    return False
                if not error.away or answered >= MOST_TRIES:
                    self._tell(f"MLflow refused {_name(item)}: {error.reason}")
                    return True
                if not self._is_away:
                    self._tell(f"MLflow is away ({error.reason}); results wait here and are delivered later")
                self._is_away = True
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                if self._is_away:
                    self._is_away = False
                    self._tell("MLflow is back")
                return True
        return False

    def _hand_over(self, item: _Item) -> None:
        match item:
            case _Trial():
                self._log(item)
            case _CatchUp(trials=trials):
                # The others may be about to record the same ones.
                with self._folder.one_at_a_time(Turn.RECORD):
                    if self._shared:
                        self._tracker.reopen()
                    for trial in trials:
                        self._log(trial)
            case _Show(final=final):
                assert self._newest is not None
                view, files = self._newest
                self._tracker.show(view, self._folder.weights, final, files)
            case _End(state=state):
                self._tracker.finish(state)

    def _log(self, trial: _Trial) -> None:
        missing = trial.number not in self._tracker.trials
        if missing and (report := self._folder.read_report(trial.number)) is not None:
            self._tracker.log_trial(report, trial.label, trial.rungs)


def _name(item: _Item) -> str:
    match item:
        case _CatchUp():
            return "trials of an earlier launch"
        case _Trial(number=number):
            return f"trial {number}"
        case _Show():
            return "the state of the study"
        case _End():
            return "the end of the study"
