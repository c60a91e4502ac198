"""After the search: chosen trials retrained on the full data set, measured on mixtures that no trial has heard.

What a trial reached is kept in its study's folder as soon as it is known, so that nothing finished is done twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError, TrainingDiverged
from wordlength.objectives.noise import paired_difference, standard_error
from wordlength.objectives.settings import RetrainingSettings
from wordlength.search.front import FrontPoint, pick
from wordlength.search.home import Home, StudyFolder
from wordlength.search.progress import LaunchDisplay
from wordlength.search.session import open_baseline
from wordlength.search.spec import StudySpec
from wordlength.search.study import remembered
from wordlength.search.trials import StudyView
from wordlength.search.unchanged import check_baseline, check_unchanged
from wordlength.search.weights import load_weights, save_weights

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.retraining import HeldOutGains, Retrained, Retrainer

RETRAINING_VERSION = 1
"""Part of what decides a result; raised when the same settings would give other figures."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One set of mixtures: STOI improvement of every mixture (n,), retrained and in float32."""

    gains: tuple[float, ...]
    float_gains: tuple[float, ...]

    @property
    def stoi_improvement(self) -> float:
        """Mean over the mixtures."""
        return float(np.mean(self.gains))

    @property
    def stoi_standard_error(self) -> float:
        """Of that mean."""
        return standard_error(self.gains)

    @property
    def float_improvement(self) -> float:
        """The float baseline's mean."""
        return float(np.mean(self.float_gains))

    @property
    def difference(self) -> tuple[float, float]:
        """Mean difference to the float baseline, and its paired standard error."""
        return paired_difference(self.gains, self.float_gains)

    @property
    def kept(self) -> tuple[float, float] | None:
        """Share of the float baseline's improvement, and the paired standard error in the same unit.

        The float baseline's own mean counts as known. None where it improves nothing.
        """
        base = self.float_improvement
        return (self.stoi_improvement / base, self.difference[1] / base) if base > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """All figures, in JSON types."""
        difference, difference_error = self.difference
        kept, kept_error = self.kept or (None, None)
        return {
            "stoi_improvement": self.stoi_improvement,
            "stoi_standard_error": self.stoi_standard_error,
            "float_improvement": self.float_improvement,
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


def chosen(view: StudyView, rules: Sequence[str]) -> tuple[FrontPoint, ...]:
    """What the rules pick (see `front.pick`), each once, ascending in memory; without rules the whole front.

    Raises SpecError for a rule that picks nothing, and for a study without a complete trial.
    """
    if not view.front:
        raise SpecError(f"a study must have a complete trial to retrain, but {view.name!r} has none yet")
    try:
        picked = {point.number: point for rule in rules for point in [pick(view.front, rule, view.points)]}
    except ValueError as error:
        raise SpecError(f"{error} (--pick)") from None
    return tuple(sorted(picked.values(), key=lambda point: (point.memory_bytes, point.number))) or view.front


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
    data, baseline = _opened(spec, home, display, verbose)
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


def figures_json(view: StudyView, settings: RetrainingSettings, rows: Sequence[RetrainedTrial]) -> bytes:
    """All figures of some retrained trials as JSON text, with the study and the settings they belong to."""
    head = {"command": "retrain", "study": view.name, "baseline": asdict(view.baseline), "settings": asdict(settings)}
    plain = head | {"trials": [row.to_dict() for row in rows]}
    return (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode()


def _opened(spec: StudySpec, home: Home, display: LaunchDisplay, verbose: bool) -> tuple[PreparedData, Baseline]:
    data, baseline = open_baseline(spec, home, display, verbose)
    known = remembered(spec, home)
    check_unchanged(known, spec, data.digest)
    check_baseline(known, spec.name, baseline.content_digest)
    return data, baseline


def _session(
    data: PreparedData, baseline: Baseline, spec: StudySpec, settings: RetrainingSettings, display: LaunchDisplay
) -> tuple[Retrainer, HeldOutGains]:
    from wordlength.objectives.retraining import Retrainer

    with display.busy("float model"):
        retrainer = Retrainer(data, baseline, spec.model, settings)
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
                note = f"step {state.step}, epoch {state.epoch}, loss {state.loss:.4f}"
                display.count(what, done, total, note)
            else:
                return _keep(folder, point, decides, state, base)
    except TrainingDiverged as error:
        return RetrainedTrial(point, reason=str(error))
    raise AssertionError("a retraining ends with its result")


def _keep(
    folder: StudyFolder, point: FrontPoint, decides: dict[str, Any], found: Retrained, base: HeldOutGains
) -> RetrainedTrial:
    """Weights first: where there is a result, its weights are its own."""
    validation = HeldOut(found.gains.validation, base.validation)
    trial = RetrainedTrial(point, validation, HeldOut(found.gains.test, base.test), found.losses, found.seconds)
    path = folder.retrained(point.number)
    path.unlink(missing_ok=True)
    save_weights(_weights(path), found.weights)
    text = json.dumps(trial.to_dict() | {"decided_by": decides}, indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
    return trial


def _kept(folder: StudyFolder, point: FrontPoint, decides: dict[str, Any]) -> RetrainedTrial | None:
    """What an earlier run with the same settings found; None if there is none, or it cannot be read."""
    path = folder.retrained(point.number)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["decided_by"] != decides or plain["formats"] != point.candidate.to_dict():
            return None
        validation, test = (
            HeldOut(tuple(plain[part]["gains"]), tuple(plain[part]["float_gains"])) for part in ("validation", "test")
        )
        losses = tuple(tuple(step) for step in plain["losses"])
        found = RetrainedTrial(point, validation, test, losses, plain["seconds"], reused=True)
        return found if load_weights(_weights(path)) is not None else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _weights(path: Path) -> Path:
    """Float weights beside a result."""
    return path.with_suffix(".npz")
