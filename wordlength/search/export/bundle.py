"""The export: a bundle of one trial, in a folder written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wordlength.atomic import naming
from wordlength.errors import BundleError, SpecError
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.search.export.config import CONFIG, BundleConfig
from wordlength.search.export.contents import MODEL_TOLERANCE, Asked, Subject, write_bundle
from wordlength.search.export.manifest import MANIFEST, foreign_files
from wordlength.search.front import FrontPoint, pick
from wordlength.search.home import Home
from wordlength.search.observer import Observer
from wordlength.search.retrain import RetrainedTrial, retrained_result
from wordlength.search.session import open_evaluator
from wordlength.search.study import load_study
from wordlength.search.tracking import log_bundle
from wordlength.search.trials import StudyView
from wordlength.search.weights import load_weights

_OLD = frozenset({CONFIG, "qkeras_model.keras", "report.md"})
"""What exports of earlier versions hold."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    point: FrontPoint
    config: BundleConfig
    retraining: str
    """The digest of the retraining whose weights it holds; empty for the trial's own."""


def export(
    study: str,
    rule: str,
    folder: Path,
    home: Home | None = None,
    *,
    force: bool = False,
    retrained: bool = False,
    verify: bool = True,
    vectors: int = 1000,
    input_bits: int = 16,
    observer: Observer | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Export the trial that `rule` picks (see `front.pick`) to `folder`.

    The weights are the trial's own if it is on the front; another trial is trained again, which gives the same
    figures. With `retrained` they are those of `wordlength retrain`. `verify`: measure the written model and the C code
    on the validation mixtures; `vectors`: test frames; `input_bits`: width of the integer input. Raises SpecError if
    the study, the trial or the folder cannot be used, or a figure measured again is not the logged one.
    """
    home, folder, observer = home or Home.default(), folder.expanduser().resolve(), observer or Observer()
    _require_replaceable(folder, force)
    view = load_study(study, home)
    point = _picked(view, rule)
    goal = view.goals.quality
    tell(f"trial {point.number}: {point.memory_bytes:,} bytes, {goal.title} {goal.text(point.quality)}")
    found = _retrained(view, point, home) if retrained else None
    if found and found[0].validation:
        tell(f"its retrained weights: {goal.title} {goal.text(found[0].validation.quality)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        subject = _subject(view, point, home, found, observer, tell)
        draft = Path(place) / "bundle"
        config = write_bundle(draft, subject, Asked(vectors, input_bits, verify), observer.data)
        _require_replaceable(folder, force)  # Again: minutes have passed.
        _put(draft, folder, Path(place) / "replaced")
    return Exported(folder, point, config, found[0].digest if found else "")


def _picked(view: StudyView, rule: str) -> FrontPoint:
    try:
        return pick(view.front, rule, view.points)
    except ValueError as error:
        raise SpecError(f"{error} (--pick)") from None


def log_to_mlflow(done: Exported, home: Home) -> str:
    """Log the bundle to the run of its trial or retraining; the run's name. Raises SpecError if there is none."""
    study = done.config.study
    address = home.tracking_address(home.find(study))
    return log_bundle(address, study, done.point.number, done.retraining, done.folder)


def _put(draft: Path, folder: Path, replaced: Path) -> None:
    """The draft in the folder's place; where that cannot be, the folder stays as it was."""
    there = folder.exists()
    if there:
        folder.rename(replaced)
    try:
        draft.rename(folder)
    except BaseException:  # Ctrl-C too: the draft goes with the temporary folder, the old bundle must not.
        if there and not folder.exists():
            replaced.rename(folder)
        raise


def _require_replaceable(folder: Path, force: bool) -> None:
    """Nothing but an earlier export is ever replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SpecError(f"the export goes into a folder, but {folder} is a file (--to)")
    names = {path.name for path in folder.iterdir()}
    if names and (foreign := _foreign(folder, names)):
        raise SpecError(f"the export folder must be new or empty, but {folder} holds other files: {foreign[0]} (--to)")
    if names and not force:
        raise SpecError(f"the export folder must be new or empty, but {folder} holds an export (--force replaces it)")


def _foreign(folder: Path, names: set[str]) -> list[str]:
    """Files that no export wrote; what its Makefile compiles may be there."""
    if CONFIG not in names or MANIFEST not in names:
        return sorted(names - _OLD)
    try:
        return sorted(set(foreign_files(folder)) - {"c/network", "c/network_sanitized"})
    except BundleError:
        return [MANIFEST]


def _retrained(view: StudyView, point: FrontPoint, home: Home) -> tuple[RetrainedTrial, Weights]:
    found = retrained_result(home.study(view.name), point)
    if found is None or found[0].validation is None:
        raise SpecError(
            f"a trial must have been retrained to export its retrained weights, but trial {point.number} has not; "
            f"run: wordlength retrain {view.name} --pick trial={point.number} (--retrained)"
        )
    return found


def _subject(
    view: StudyView,
    point: FrontPoint,
    home: Home,
    retrained: tuple[RetrainedTrial, Weights] | None,
    observer: Observer | None,
    tell: Callable[[str], None],
) -> Subject:
    spec, kept = home.find(view.name), home.study(view.name)
    evaluator, _ = open_evaluator(spec, home, observer)
    report = _report(kept.report(point.number))
    if retrained is not None:
        return Subject(spec, view, point, retrained[1], report, retrained[0], evaluator)
    weights = load_weights(kept.weights(point.number))
    if weights is None:
        tell("its weights were not kept, since it is not on the front; training it again")
        report, weights = evaluator.evaluate(TrialJob(point.number, point.candidate, spec.seed))
        off = abs((report.quality or 0.0) - point.quality)
        if report.state is not TrialState.COMPLETE or off > MODEL_TOLERANCE:
            raise SpecError(
                f"training trial {point.number} again must give its logged {view.goals.quality.title} "
                f"{point.quality:.7f}, but gave {report.quality} ({report.state}); "
                "was it trained on another machine?"
            )
    return Subject(spec, view, point, weights, report, None, evaluator)


def _report(path: Path) -> TrialReport | None:
    return TrialReport.from_json(path.read_text(encoding="utf-8")) if path.exists() else None
