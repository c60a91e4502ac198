"""A launch on the terminal: progress bars where there is one, plain lines where there is none."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.report import TrialJob
from wordlength.search.front import pick
from wordlength.search.front_page import LivePage
from wordlength.search.observer import Observer
from wordlength.search.trials import StudyView

if TYPE_CHECKING:
    from wordlength.search.jobs import Retried
    from wordlength.search.rungs import RungCounts

WAITING_SECONDS = 30.0
"""So long workers may take to start; who waits longer is told what for."""

_STAGES = {
    "render": "speaking sentences",
    "hash": "reading audio",
    "measure": "measuring audio",
    "pairs": "comparing pairs",
    "train": "training mixtures",
    "validation": "validation mixtures",
    "test": "test mixtures",
}


class LaunchDisplay(Observer):
    """Shows data, baseline and trials; use as a context manager around `launch`.

    `page`: where the study's front can be seen meanwhile.
    """

    def __init__(self, console: Console, page: LivePage | None = None) -> None:
        self._console = console
        self._page = page
        self._bars = Progress(
            TextColumn("{task.description:<19}"),
            BarColumn(bar_width=28 if console.width >= 110 else 10, table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            # Only this one wraps where the terminal is narrow.
            TextColumn("{task.fields[note]}", markup=False, table_column=Column()),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._workers = self._ready = 1
        self._none_since: float | None = None
        self._said = -1
        self._climbed = 0

    def __enter__(self) -> LaunchDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """A bar without an end while the block runs."""
        self._line(f"{what} …")
        self._show(what, 0, None)
        yield
        self._show(what, 1, 1)

    def count(self, what: str, done: int, total: int, note: str = "") -> None:
        """A counted bar; without bars a line for every tenth of the whole."""
        self._show(what, done, total, note)
        if done == 0 or done * 10 // total > (done - 1) * 10 // total:
            self._line(f"{what}: {done} of {total}{', ' if note else ''}{note}")

    def data(self, stage: str, done: int, total: int) -> None:
        """One bar per stage of the data's preparation."""
        self._show(_STAGES.get(stage, stage), done, total)

    def prepared(self, data: PreparedData) -> None:
        """Say what there is to train on, and that workers are starting."""
        parts = {"training": "train", "validation": "validation", "test": "test"}
        seconds = {name: data.summary[part]["seconds"] for name, part in parts.items()}
        amounts = ", ".join(f"{name} {timedelta(seconds=round(value))}" for name, value in seconds.items())
        self._say(f"data: {amounts} of noisy speech, {_noisy(data)}")
        self._show("float baseline", 0, None, "starting workers")

    def baseline(self, progress: BaselineProgress | Baseline) -> None:
        """The float model's epochs, then what it reached."""
        if isinstance(progress, BaselineProgress):
            note = f"loss {progress.loss:.4f}  {_reached(progress)}"
            self._show("float baseline", progress.epoch, progress.epochs, note)
            self._line(f"float baseline: epoch {progress.epoch} of {progress.epochs}, {note}")
            return
        epochs = len(progress.losses)
        self._show("float baseline", epochs, epochs, _reached(progress))
        origin = f"epoch {progress.best_epoch} of {epochs}" if epochs else "it came trained"
        self._say(
            f"float baseline: {progress.goal.title} {progress.goal.text(progress.quality)}"
            f"{progress.goal.error_text(progress.standard_error)} with {progress.memory_bytes:,} bytes ({origin})"
        )

    def tracked(self, experiment_id: str) -> None:
        """Where to watch the front."""
        if self._page is not None:
            self._say(f"Pareto front: {self._page.open(experiment_id, self._say)}")

    def study(self, view: StudyView, again: int, workers: int) -> None:
        """Whether the study begins or goes on."""
        self._workers = self._ready = workers
        if view.finished >= view.wanted:
            self._say(f"study {view.name!r} has its {view.wanted} trials; go on with --trials N")
        elif view.finished:
            self._say(f"study {view.name!r} goes on: {view.finished} of {view.wanted} trials are finished")
        if again:
            trials = "1 trial was" if again == 1 else f"{again} trials were"
            self._say(f"{trials} cut off; what was tried there comes first, as a trial of a new number")
        self.trial(view)

    def phase(self, name: str, share: float) -> None:
        """A bar of its own, in percent."""
        self._show(name, round(100 * share), 100)
        if share in (0, 1):
            self._line(f"{name}: done" if share else f"{name} …")

    def screened(self, counts: RungCounts) -> None:
        """How many candidates stand on which rung; a line without bars where one has become a trial."""
        self._show("candidates", counts.assessed, None, str(counts))
        if counts.climbed != self._climbed:
            self._climbed = counts.climbed
            self._line(f"candidates: {counts}")

    def trial(self, view: StudyView) -> None:
        """Trials by state, best so far, time left."""
        note = _trial_note(view, self._ready, self._workers)
        self._show("trials", min(view.finished, view.wanted), view.wanted, note)
        if view.finished != self._said:
            self._said = view.finished
            self._line(f"trials: {view.finished} of {view.wanted}, {note}")

    def workers(self, ready: int) -> None:
        """How many of them there are; a line when there has been none for long."""
        self._ready = ready
        if ready:
            self._none_since = None
        elif self._none_since is None:
            self._none_since = time.monotonic()
        elif time.monotonic() - self._none_since > WAITING_SECONDS:
            self._say(
                "no worker is ready yet: they start when there is room for them, here or elsewhere in the cluster"
            )
            self._none_since = math.inf

    def retried(self, told: Retried) -> None:
        """Which worker's death is made up for."""
        kind = f"trial {told.job.number}" if isinstance(told.job, TrialJob) else "its job"
        self._say(f"a worker died, {kind} goes to another one: {told.reason}")

    def tracking(self, line: str) -> None:
        """As it is."""
        self._say(line)

    def _show(self, name: str, done: int, total: int | None, note: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)

    def _say(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _line(self, text: str) -> None:
        """What a bar shows already, for consoles without bars."""
        if not self._console.is_terminal:
            self._say(text)


def _reached(progress: BaselineProgress | Baseline) -> str:
    return f"{progress.goal.unit or progress.goal.title} {progress.goal.text(progress.quality)}"


def _noisy(data: PreparedData) -> str:
    """What the noisy mixtures score; where scores are what is learned, their range."""
    scores = data.validation.noisy_scores
    if "noisy_stoi" in scores:
        return f"noisy STOI {scores['noisy_stoi']:.3f}"
    low, high = scores.values()
    return f"{data.validation.signal.target.score_measure.upper()} of {low:.3f} to {high:.3f}"


def _trial_note(view: StudyView, ready: int, workers: int) -> str:
    counts = view.counts
    fewer = f" on {ready} of {workers} workers" if ready < workers else ""
    parts = [f"{counts['running']} running{fewer}", f"{counts['pruned']} pruned", f"{counts['failed']} failed"]
    if view.front:
        parts.append(f"best {view.goals.quality.text(pick(view.front, 'best').quality)}, front {len(view.front)}")
    if view.mean_seconds is not None and view.finished < view.wanted:
        left = view.mean_seconds * (view.wanted - view.finished) / max(1, ready)
        parts.append(f"about {timedelta(seconds=round(left))} left")
    return " · ".join(parts)
