"""A study in MLflow: one experiment, a parent run that sums it up, a child run per trial.

A complete trial is a FINISHED run, a pruned one KILLED, a failed one FAILED. The tags `pareto` ("true" on front
members, absent elsewhere) and `mlflow.runColor` are what the published views go by.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowException
from mlflow.entities import Metric, Run

from wordlength.errors import SpecError
from wordlength.objectives.goals import Goals
from wordlength.objectives.report import TrialReport
from wordlength.search.front import FrontPoint
from wordlength.search.tracking import study_run
from wordlength.search.tracking.description import Description
from wordlength.search.tracking.store import (
    PARAM_CHARACTERS,
    Store,
    cut,
    is_away,
    key,
    now_ms,
    reason_of,
    unless_deleted,
)
from wordlength.search.tracking.trial_run import (
    ANALYSIS_PAGE,
    STATUS,
    WEIGHTS,
    trial_findings,
    trial_metrics,
    trial_name,
    trial_note,
    trial_page,
    trial_tags,
)
from wordlength.search.trials import StudyView
from wordlength.search.views import colour, published_views

if TYPE_CHECKING:
    from wordlength.search.plots.importance import Importance

_LOGGER = logging.getLogger(__name__)

SEARCHED = "search.slots"
"""The param of the parent run that names the slots whose format the study varies."""

GOALS = "search.goals"
"""The tag of the parent run that holds what the study aims at, as JSON."""

DRAW_SECONDS = 20.0
"""Shortest time between two drawings of the study's pictures, which cost about half a second."""


class Tracker:
    """Writes one study to an MLflow store; safe to stop at any moment and to open again.

    `tracking_uri`, `artifact_root`: see Store; `study`: the experiment's name. Opening a study that exists resumes
    it: its parent run is RUNNING again and its trials are known. Raises SpecError if the experiment lies in MLflow's
    trash. `begin` comes before everything else.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None, study: str) -> None:
        self.study = study
        self._store = Store(tracking_uri, artifact_root, study)
        self.experiment_id = self._store.experiment_id
        self.run_id = self._open_parent()
        self._about: Description
        self.reopen()
        self._drawn: int | None = None
        self._drawn_at = -math.inf
        self._importance: Importance = {}
        self._chance: dict[str, float] = {}
        self._weighed = 0

    @property
    def trials(self) -> Collection[int]:
        """Numbers of the trials that are recorded to the end."""
        return self._runs.keys()

    def reopen(self) -> None:
        """Read again what the store has: a call whose answer was lost may have been carried out."""
        self._runs: dict[int, str] = {}
        self._states: dict[int, str] = {}
        self._unfinished: dict[int, Run] = {}
        self._front: set[int] = set()
        for run in self._store.runs(f"tags.kind = 'trial' and tags.mlflow.parentRunId = '{self.run_id}'"):
            self._remember(run)
        self._steps = self._logged_steps()
        self._stale = True

    def begin(self, about: Description) -> None:
        """Describe the study on its parent run and publish its views, again if users have changed them.

        MLflow's params cannot change: when a study is resumed with another value, the first one stays and the new one
        becomes the tag `resumed.NAME`. Raises SpecError if the experiment holds another study's trials.
        """
        self._about = about
        client = self._store.client
        known = client.get_run(self.run_id)
        tags = known.data.tags
        if tags.get("study.id", about.tags.get("study.id")) != about.tags.get("study.id"):
            raise SpecError(
                f"an MLflow experiment belongs to one study, but {self.study!r} holds the trials of another "
                "of that name; give the study another name"
            )
        params = {**about.params, SEARCHED: ", ".join(map(str, about.searched))}
        client.update_run(self.run_id, status="RUNNING")
        wanted = {key(name): cut(value, PARAM_CHARACTERS) for name, value in params.items()}
        changed = {f"resumed.{k}": v for k, v in wanted.items() if known.data.params.get(k, v) != v}
        new = {k: v for k, v in about.metrics.items() if math.isfinite(v) and known.data.metrics.get(k) != v}
        self._store.log(
            self.run_id,
            [Metric(key(name), value, now_ms(), 0) for name, value in new.items()],
            {name: value for name, value in wanted.items() if name not in known.data.params},
            {**about.tags, **changed, GOALS: json.dumps(about.baseline.goals.to_json())},
        )
        if about.data:
            client.log_inputs(self.run_id, study_run.dataset_inputs(about.data))
        _publish(self._store, [str(slot) for slot in about.searched], self.run_id, about.baseline.goals)
        try:
            self._store.upload(self.run_id, {name: text.encode() for name, text in about.files.items()})
        except (MlflowException, OSError) as error:
            raise SpecError(f"MLflow's artifacts must be writable, but they are not: {reason_of(error)}") from None

    def log_trial(self, report: TrialReport, label: str = "", rungs: Sequence[float | None] = ()) -> None:
        """Record a finished trial as a child run; a trial that is recorded already stays as it is.

        A run that an earlier process left half written is completed, not repeated. `label` names a uniform reference
        format; `rungs`: first quality on rung 0 and 1, where the candidate was judged there, None where it
        diverged. Who is on the front is told by `show`.
        """
        if report.number in self._runs:
            return
        run = self._unfinished.get(report.number) or self._create_child(report, label)
        run_id = run.info.run_id
        # One time stamp, kept by the run: writing again what was written before then changes nothing in the store.
        points = trial_metrics(report, self._about, run.info.start_time, rungs)
        told = trial_findings(report, self._about)
        note = trial_note(report, told, self._about, self.experiment_id, run_id)
        formats = {key(str(slot)): str(fmt) for slot, fmt in report.candidate.pairs}
        self._store.log(run_id, points, formats, {"mlflow.note.content": note})
        if report.analyses:
            page = trial_page(report, told, label, self.study, self._about)
            with _told_if_refused(f"the analysis of trial {report.number}"):
                self._store.upload(run_id, {ANALYSIS_PAGE: page.encode()})
        self._store.client.set_terminated(run_id, STATUS[report.state])
        self._unfinished.pop(report.number, None)
        self._runs[report.number], self._states[report.number] = run_id, report.state.value
        self._stale = True

    def show(
        self,
        view: StudyView,
        weights: Callable[[int], Path] | None = None,
        final: bool = False,
        files: Callable[[], Mapping[str, bytes]] = dict,
    ) -> None:
        """Make views, note, curves and pictures tell the study as it stands; quick if nothing has changed.

        The front's runs are marked at once. The pictures, which take longer, follow at most every 20 seconds, and
        with `final`. `weights`: trial → file of its trained weights, kept with the runs of front members only.
        `files`: further ones to be kept with the pictures, name → content.
        A member that was never logged has no run to mark.
        """
        moved = self._mark({point.number for point in view.front} & self._runs.keys(), weights)
        self._stale |= moved
        due = self._stale and time.monotonic() - self._drawn_at >= DRAW_SECONDS
        # Whoever deletes the study's own run in the UI does not stop the study; its next opening restores the run.
        with unless_deleted():
            if final or due:
                self._draw(view, final, files)
            if final or due or moved:
                self._tell(view)

    def finish(self, state: str = "FINISHED") -> None:
        """End the parent run as FINISHED, KILLED or FAILED. Raises ValueError for another state."""
        if state not in STATUS.values():
            raise ValueError(f"a study ends as one of {', '.join(STATUS.values())}, but got {state!r}")
        with unless_deleted():
            self._store.client.set_terminated(self.run_id, state)

    def _open_parent(self) -> str:
        found = next(self._store.runs("tags.kind = 'study'", deleted=True), None)
        if found is None:
            return str(self._store.create_run(self.study, {"kind": "study"}).info.run_id)
        if found.info.lifecycle_stage != "active":
            self._store.client.restore_run(found.info.run_id)
        return str(found.info.run_id)

    def _remember(self, run: Run) -> None:
        number = int(run.data.tags["trial.number"])
        if run.info.status == "RUNNING":
            self._unfinished[number] = run
            return
        self._runs[number], self._states[number] = run.info.run_id, run.data.tags["trial.state"]
        if run.data.tags.get("pareto") == "true":
            self._front.add(number)

    def _logged_steps(self) -> int:
        """How many finished trials the curve of the hypervolume has."""
        history = self._store.client.get_metric_history(self.run_id, "hypervolume")
        return max((point.step for point in history), default=0)

    def _create_child(self, report: TrialReport, label: str) -> Run:
        tags = trial_tags(report, label) | {"mlflow.parentRunId": self.run_id}
        started_ms = now_ms() - round(1000 * math.fsum(report.seconds.values()))
        return self._store.create_run(trial_name(report, label), tags, started_ms)

    def _mark(self, members: set[int], weights: Callable[[int], Path] | None) -> bool:
        """Mark those that joined the front and unmark those that left it; whether there were any."""
        for number in sorted(members - self._front):
            with unless_deleted():
                self._join(number, weights)
        for number in sorted(self._front - members):
            with unless_deleted():
                self._leave(number)
        moved, self._front = members != self._front, members
        return moved

    def _join(self, number: int, weights: Callable[[int], Path] | None) -> None:
        path = weights(number) if weights else None
        if path is not None and path.exists():
            with _told_if_refused(f"the weights of trial {number}"):
                self._store.upload(self._runs[number], {WEIGHTS: path.read_bytes()})
        tags = {"pareto": "true", "mlflow.runColor": colour(self._states[number], on_front=True)}
        self._store.log(self._runs[number], tags=tags)

    def _leave(self, number: int) -> None:
        run_id, client = self._runs[number], self._store.client
        self._store.remove(run_id, WEIGHTS)
        client.set_tag(run_id, "mlflow.runColor", colour(self._states[number], on_front=False))
        # The tag goes last: as long as it is there, the next opening knows that there is work left.
        client.delete_tag(run_id, "pareto")

    def _draw(self, view: StudyView, final: bool, files: Callable[[], Mapping[str, bytes]]) -> None:
        # A repeated candidate was not run again: it is no further evidence.
        points = [row.point for row in view.rows if row.point is not None and row.reused_from is None]
        complete = len(points)
        # Seconds with thousands of trials: again only when there are a quarter more.
        if final or complete >= 1.25 * self._weighed:
            (self._importance, self._chance), self._weighed = _importance(points), complete
        self._drawn_at = time.monotonic()
        with _told_if_refused("the front's figures"):
            decided = (self._importance, self._chance, self._weighed)
            self._store.upload(self.run_id, {**study_run.artifacts(view, self._about.slots, *decided), **files()})
            self._drawn, self._stale = view.finished, False

    def _tell(self, view: StudyView) -> None:
        """The curves' points that are still missing, and the note."""
        history, stamp = study_run.front_history(view), now_ms()
        points = [
            Metric(name, value, stamp, step)
            for step, figures in enumerate(history[self._steps :], start=self._steps + 1)
            for name, value in figures.items()
        ]
        note = study_run.study_note(
            view, self._about, self.experiment_id, self.run_id, self._runs, self._drawn, bool(self._importance)
        )
        self._store.log(self.run_id, points, tags={"mlflow.note.content": note})
        self._steps = max(self._steps, len(history))


def publish_views(tracking_uri: str, study: str) -> str | None:
    """Put a study's views into the store again; its experiment's number, None if the store has no such study."""
    try:
        store = Store.existing(tracking_uri, study)
        parent = store and next(store.runs("tags.kind = 'study'"), None)
    except MlflowException as error:
        raise SpecError(f"MLflow must tell of {study!r}, but it does not: {reason_of(error)}") from None
    if not store or not parent:
        return None
    searched = parent.data.params.get(SEARCHED, "")
    # A list that is cut would give views without their last layers: the launch's own stay.
    if not searched.endswith("…"):
        goals = Goals.from_json(json.loads(parent.data.tags[GOALS]))
        _publish(store, searched.split(", ") if searched else [], parent.info.run_id, goals)
    return store.experiment_id


def _publish(store: Store, searched: Sequence[str], run_id: str, goals: Goals) -> None:
    """Put the views, and the links to them, on the experiment.

    Where a server refuses one, the study goes on: runs, tags, note and artifacts show the front without it.
    """
    tags = [view.tag for view in published_views(searched, goals)]
    tags.append(("mlflow.note.content", study_run.view_links(store.experiment_id, run_id)))
    for name, value in tags:
        with _told_if_refused(f"the tag {name}"):
            store.client.set_experiment_tag(store.experiment_id, name, value)


@contextmanager
def _told_if_refused(what: str) -> Iterator[None]:
    """What MLflow, or its artifact store, does not take is told and missing; it is no reason to end a study."""
    try:
        yield
    except (MlflowException, OSError) as error:
        if is_away(error):
            raise
        _LOGGER.warning("MLflow refused %s: %s", what, reason_of(error))


def _importance(points: Sequence[FrontPoint]) -> tuple[Importance, dict[str, float]]:
    """What decided over the objectives, and what chance alone would give."""
    # Imported here: it brings optuna along.
    from wordlength.search.importance import chance, importance

    return importance(points), chance(points)
