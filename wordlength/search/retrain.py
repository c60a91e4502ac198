"""After the search: chosen trials retrained on the full data set, measured on mixtures that no trial has heard.

What a trial reached is kept in its study's folder as soon as it is known, so that nothing finished is done twice;
MLflow is told of what is kept there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.atomic import write_atomically
from wordlength.digests import short_digest
from wordlength.errors import SpecError, TrainingDiverged
from wordlength.objectives import noise
from wordlength.objectives.goals import DEFAULT_GOALS, Goal
from wordlength.objectives.noise import paired_difference
from wordlength.objectives.report import Weights
from wordlength.objectives.settings import RetrainingSettings
from wordlength.search.drivers import working
from wordlength.search.front import FrontPoint
from wordlength.search.home import Home, StudyFolder, Turn
from wordlength.search.progress import LaunchDisplay
from wordlength.search.session import open_unchanged
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import log_retrained
from wordlength.search.trials import StudyView, picked
from wordlength.search.weights import load_weights, save_weights

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.retraining import HeldOutGains, Retrained, Retrainer

RETRAINING_VERSION = 2
"""Part of what decides a result; raised when the same settings would give other figures."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One set of mixtures: what each (n,) contributes to the first quality, retrained and in float32."""

    gains: tuple[float, ...]
    float_gains: tuple[float, ...]
    goal: Goal = DEFAULT_GOALS.quality

    @property
    def quality(self) -> float:
        """Mean over the mixtures."""
        return float(np.mean(self.gains))

    @property
    def standard_error(self) -> float:
        """Of that mean."""
        return noise.standard_error(self.gains)

    @property
    def float_quality(self) -> float:
        """The float baseline's mean."""
        return float(np.mean(self.float_gains))

    @property
    def difference(self) -> tuple[float, float]:
        """Mean difference to the float baseline, and its paired standard error."""
        return paired_difference(self.gains, self.float_gains)

    @property
    def kept(self) -> tuple[float, float] | None:
        """Share of the float baseline's quality, and the paired standard error in the same unit.

        The float baseline's own mean counts as known. None where it improves nothing, or less is better.
        """
        base = self.float_quality
        share = self.goal.kept(self.quality, base)
        return None if share is None else (share, self.difference[1] / base)

    def to_dict(self) -> dict[str, Any]:
        """All figures, in JSON types."""
        difference, difference_error = self.difference
        kept, kept_error = self.kept or (None, None)
        return {
            self.goal.name: self.quality,
            self.goal.error_name: self.standard_error,
            "float_quality": self.float_quality,
            "difference": difference,
            "difference_error": difference_error,
            "kept": kept,
            "kept_error": kept_error,
            "gains": list(self.gains),
            "float_gains": list(self.float_gains),
        }


@dataclass(frozen=True, slots=True)
class RetrainedTrial:
    """One trial after retraining; without figures, and with a reason, where its training diverged."""

    point: FrontPoint
    validation: HeldOut | None = None
    test: HeldOut | None = None
    losses: tuple[tuple[float, ...], ...] = ()
    """Mean squared mask error per step and epoch."""
    seconds: float = 0.0
    reason: str = ""
    reused: bool = False
    """Whether an earlier run has trained it."""
    decided_by: Mapping[str, Any] = field(default_factory=dict)
    """All that the figures depend on besides the candidate, in JSON types."""

    @property
    def digest(self) -> str:
        """Names the retraining by what decided it and what came of it, however long it took."""
        parts = [part and [part.gains, part.float_gains] for part in (self.validation, self.test)]
        formats = self.point.candidate.to_dict()
        named = [self.point.number, formats, self.decided_by, self.losses, parts, self.reason]
        return short_digest(json.dumps(named, sort_keys=True).encode())

    def to_dict(self) -> dict[str, Any]:
        """All figures, in JSON types."""
        parts = {"validation": self.validation, "test": self.test}
        return {
            "trial": self.point.number,
            "memory_bytes": self.point.memory_bytes,
            "formats": self.point.candidate.to_dict(),
            **{name: part and part.to_dict() for name, part in parts.items()},
            "losses": [list(losses) for losses in self.losses],
            "seconds": self.seconds,
            "reason": self.reason,
        }

    def to_json(self) -> bytes:
        """As it is kept: all figures, and what decided them."""
        plain = self.to_dict() | {"decided_by": self.decided_by}
        return (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode()


def chosen(view: StudyView, rules: Sequence[str]) -> tuple[FrontPoint, ...]:
    """What the rules pick (see `front.pick`), each once, cheapest first; without rules the whole front.

    Raises SpecError for a rule that picks nothing, and for a study without a complete trial.
    """
    if not view.front:
        raise SpecError(f"a study must have a complete trial to retrain, but {view.name!r} has none yet")
    found = {point.number: point for point in (picked(view, rule) for rule in rules)}
    return tuple(sorted(found.values(), key=lambda point: (point.cost, point.number))) or view.front


def retrain(
    view: StudyView,
    points: Sequence[FrontPoint],
    settings: RetrainingSettings,
    home: Home,
    display: LaunchDisplay,
    verbose: bool = False,
) -> Iterator[RetrainedTrial]:
    """Retrain the points of a launched study one after another, or read what an earlier run has kept of them.

    A diverged training comes back with its reason. Raises SpecError if data or float baseline are not the study's.
    """
    spec, folder = home.find(view.name), home.study(view.name)
    with working(folder, "a retraining"):
        data, baseline = open_unchanged(spec, home, display, verbose)
        decides = {
            "version": RETRAINING_VERSION,
            "settings": asdict(settings),
            "threads": spec.workers.cpus,
            "data_digest": data.digest,
            "baseline_content": baseline.content_digest,
        }
        session: tuple[Retrainer, HeldOutGains] | None = None
        for point in points:
            known = _kept(folder, point, decides)
            if known is None:
                session = session or _session(data, baseline, spec, settings, display)
                yield _retrained(folder, point, decides, session, settings, display)
            else:
                display.count(f"trial {point.number}", 2 * settings.epochs, 2 * settings.epochs, "retrained before")
                yield known


def retrained_result(folder: StudyFolder, point: FrontPoint) -> tuple[RetrainedTrial, Weights] | None:
    """What the latest retraining of a study's trial gave, and its float weights in Keras' order.

    None if there is none, if it cannot be read, or if it belongs to other formats than the trial has.
    """
    trial = _read(folder, point)
    weights = load_weights(_weights(folder.retrained(point.number))) if trial else None
    return None if trial is None or weights is None else (trial, weights)


def record(view: StudyView, home: Home, rows: Sequence[RetrainedTrial] = ()) -> str:
    """Have MLflow tell of everything kept of a study's retrainings, and of `rows`; empty, or in one line why not.

    What it has already stays as it is. What it did not take, the next call gives it.
    """
    spec, folder = home.find(view.name), home.study(view.name)
    kept = [_read(folder, point) for point in view.points if folder.retrained(point.number).exists()]
    wanted = {row.digest: row for row in (*kept, *rows) if row is not None}
    try:
        with folder.one_at_a_time(Turn.RECORD):
            log_retrained(home.tracking_address(spec), view.name, view.baseline, list(wanted.values()))
    except SpecError as error:
        return f"kept, but not recorded: {error}; the next retrain of {view.name!r} records what is missing"
    return ""


def retrained_figures(view: StudyView, settings: RetrainingSettings, rows: Sequence[RetrainedTrial]) -> dict[str, Any]:
    """All figures of some retrained trials, with the study and the settings they belong to."""
    head = {"command": "retrain", "study": view.name, "baseline": view.baseline.to_json(), "settings": asdict(settings)}
    return head | {"trials": [row.to_dict() for row in rows]}


def _session(
    data: PreparedData, baseline: Baseline, spec: StudySpec, settings: RetrainingSettings, display: LaunchDisplay
) -> tuple[Retrainer, HeldOutGains]:
    from wordlength.objectives.retraining import Retrainer

    with display.busy("float model"):
        retrainer = Retrainer(data, baseline, spec.model, settings, spec.objectives)
        return retrainer, retrainer.float_gains()


def _retrained(
    folder: StudyFolder,
    point: FrontPoint,
    decides: dict[str, Any],
    session: tuple[Retrainer, HeldOutGains],
    settings: RetrainingSettings,
    display: LaunchDisplay,
) -> RetrainedTrial:
    from wordlength.objectives.retraining import RetrainingProgress

    retrainer, base = session
    what, total, note = f"trial {point.number}", 2 * settings.epochs, ""
    display.count(what, 0, total, f"{point.memory_bytes:,} bytes")
    try:
        for state in retrainer.retrain(point.candidate):
            if isinstance(state, RetrainingProgress):
                done = (state.step - 1) * settings.epochs + state.epoch
                note = f"step {state.step}, epoch {state.epoch}, {settings.loss_title} {state.loss:.3g}"
                display.count(what, done, total, note)
            else:
                return _keep(folder, point, decides, state, base)
    except TrainingDiverged as error:
        return RetrainedTrial(point, reason=str(error), decided_by=decides)
    raise AssertionError("a retraining ends with its result")


def _keep(
    folder: StudyFolder, point: FrontPoint, decides: dict[str, Any], found: Retrained, base: HeldOutGains
) -> RetrainedTrial:
    """Weights first: where there is a result, its weights are its own."""
    goal = point.goals.quality
    parts = HeldOut(found.gains.validation, base.validation, goal), HeldOut(found.gains.test, base.test, goal)
    trial = RetrainedTrial(point, *parts, found.losses, found.seconds, decided_by=decides)
    path = folder.retrained(point.number)
    path.unlink(missing_ok=True)
    save_weights(_weights(path), found.weights)
    write_atomically(path, trial.to_json())
    return trial


def _kept(folder: StudyFolder, point: FrontPoint, decides: Mapping[str, Any]) -> RetrainedTrial | None:
    """What an earlier run with the same settings found; None if there is none, or it cannot be read."""
    found = retrained_result(folder, point)
    return found[0] if found is not None and found[0].decided_by == decides else None


def _read(folder: StudyFolder, point: FrontPoint) -> RetrainedTrial | None:
    """The figures kept of this trial in its formats, whatever decided them."""
    try:
        plain = json.loads(folder.retrained(point.number).read_text(encoding="utf-8"))
        if plain["formats"] != point.candidate.to_dict():
            return None
        validation, test = (
            HeldOut(tuple(plain[part]["gains"]), tuple(plain[part]["float_gains"]), point.goals.quality)
            for part in ("validation", "test")
        )
        losses = tuple(tuple(step) for step in plain["losses"])
        decided_by = dict(plain["decided_by"])
        return RetrainedTrial(point, validation, test, losses, plain["seconds"], reused=True, decided_by=decided_by)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _weights(path: Path) -> Path:
    """Float weights beside a result."""
    return path.with_suffix(".npz")
