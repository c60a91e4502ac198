"""The export: a bundle of one trial, in a folder written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wordlength.atomic import replacing
from wordlength.errors import BundleError
from wordlength.objectives.report import Weights
from wordlength.paths import expanded
from wordlength.search.drivers import working
from wordlength.search.export.config import BundleConfig
from wordlength.search.export.contents import Asked, Subject, write_bundle
from wordlength.search.export.manifest import MANIFEST, foreign_files
from wordlength.search.export.names import CONFIG
from wordlength.search.front import FrontPoint
from wordlength.search.home import Home
from wordlength.search.observer import Observer
from wordlength.search.replaceable import require_replaceable
from wordlength.search.retrain import RetrainedTrial
from wordlength.search.session import open_evaluator
from wordlength.search.study import load_study
from wordlength.search.tracking import log_bundle
from wordlength.search.trained import own_weights, retrained_weights
from wordlength.search.trials import StudyView, picked

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
    home, folder, observer = home or Home.default(), Path(os.path.realpath(expanded(folder))), observer or Observer()
    _require_replaceable(folder, force)
    view = load_study(study, home)
    point = picked(view, rule)
    goal = view.goals.quality
    tell(f"trial {point.number}: {point.memory_bytes:,} bytes, {goal.title} {goal.text(point.quality)}")
    found = retrained_weights(view, point, home) if retrained else None
    if found and found[0].validation:
        tell(f"its retrained weights: {goal.title} {goal.text(found[0].validation.quality)}")
    with working(home.study(view.name), "an export"), replacing(folder) as draft:
        subject = _subject(view, point, home, found, observer, tell)
        config = write_bundle(draft, subject, Asked(vectors, input_bits, verify), observer.data)
        _require_replaceable(folder, force)  # Again: minutes have passed.
    return Exported(folder, point, config, found[0].digest if found else "")


def log_to_mlflow(done: Exported, home: Home) -> str:
    """Log the bundle to the run of its trial or retraining; the run's name. Raises SpecError if there is none."""
    study = done.config.study
    address = home.tracking_address(home.find(study))
    return log_bundle(address, study, done.point.number, done.retraining, done.folder)


def _require_replaceable(folder: Path, force: bool) -> None:
    require_replaceable(folder, "an export", _foreign, force)


def _foreign(folder: Path) -> set[str]:
    """Files that no export wrote; what its Makefile compiles may be there."""
    names = {path.name for path in folder.iterdir()}
    if CONFIG not in names or MANIFEST not in names:
        return names - _OLD
    try:
        return set(foreign_files(folder)) - {"c/network", "c/network_sanitized"}
    except BundleError:
        return {MANIFEST}


def _subject(
    view: StudyView,
    point: FrontPoint,
    home: Home,
    retrained: tuple[RetrainedTrial, Weights] | None,
    observer: Observer | None,
    tell: Callable[[str], None],
) -> Subject:
    spec = home.find(view.name)
    evaluator, _ = open_evaluator(spec, home, observer)
    if retrained is not None:
        report = home.study(view.name).read_report(point.number)
        return Subject(spec, view, point, retrained[1], report, retrained[0], evaluator)
    report, weights = own_weights(view, point, home, evaluator, tell)
    return Subject(spec, view, point, weights, report, None, evaluator)
