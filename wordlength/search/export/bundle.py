"""The export: config.json, qkeras_model.keras and report.md of one trial, in a folder written whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.search.export.report import report_markdown
from wordlength.search.front import FrontPoint, pick
from wordlength.search.home import Home
from wordlength.search.observer import Observer
from wordlength.search.session import open_evaluator
from wordlength.search.study import load_study
from wordlength.search.trials import StudyView
from wordlength.search.weights import load_weights

CONFIG, MODEL, REPORT = "config.json", "qkeras_model.keras", "report.md"
TOLERANCE = 1e-6
"""How far the exported model's STOI improvement may lie from the logged one."""
_PACKAGES = ("wordlength", "tensorflow", "keras", "qkeras-v3", "numpy", "pystoi")


@dataclass(frozen=True)
class Exported:
    """What was written, and the STOI improvement measured again from the written file (None: not asked for)."""

    folder: Path
    point: FrontPoint
    measured_again: float | None


def export(
    study: str,
    rule: str,
    folder: Path,
    home: Home | None = None,
    *,
    force: bool = False,
    verify: bool = True,
    observer: Observer | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Export the trial that `rule` picks (see `front.pick`) to `folder`.

    The weights are the trial's own if it is on the front; another trial is trained again, which gives the
    same figures. With `verify` the written model is loaded and measured on the validation mixtures. Raises
    SpecError if the study, the trial or the folder cannot be used, or the figures do not agree.
    """
    home, folder = home or Home.default(), folder.expanduser().resolve()
    _require_replaceable(folder, force)
    view = load_study(study, home)
    try:
        point = pick(view.front, rule, view.points)
    except ValueError as error:
        raise SpecError(f"{error} (--pick)") from None
    tell(f"trial {point.number}: {point.memory_bytes:,} bytes, STOI improvement {point.stoi_improvement:+.4f}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        again = _write(Path(place) / "bundle", view, point, home, verify, observer, tell)
        if folder.exists():
            shutil.rmtree(folder)
        (Path(place) / "bundle").rename(folder)
    return Exported(folder, point, again)


def _require_replaceable(folder: Path, force: bool) -> None:
    """Nothing but an earlier export is ever replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SpecError(f"the export goes into a folder, but {folder} is a file (--to)")
    names = {path.name for path in folder.iterdir()}
    if names - {CONFIG, MODEL, REPORT}:
        raise SpecError(f"the export folder must be new or empty, but {folder} holds other files (--to)")
    if names and not force:
        raise SpecError(f"the export folder must be new or empty, but {folder} holds an export (--force replaces it)")


def _write(
    place: Path,
    view: StudyView,
    point: FrontPoint,
    home: Home,
    verify: bool,
    observer: Observer | None,
    tell: Callable[[str], None],
) -> float | None:
    spec, kept = home.find(view.name), home.study(view.name)
    evaluator, baseline = open_evaluator(spec, home, observer)
    weights = load_weights(kept.weights(point.number))
    report = _report(kept.report(point.number))
    if weights is None:
        tell("its weights were not kept, since it is not on the front; training it again")
        report, weights = _train_again(evaluator, point, spec.seed)
    place.mkdir()
    from wordlength.objectives.quantized_model import frozen

    model = frozen(weights, evaluator.float_model, point.candidate).model
    model.save(place / MODEL)
    again = _measure_file(place / MODEL, evaluator, point) if verify else None
    config = _config(view, point, baseline.digest, yaml.safe_load(spec.published()), home, again)
    (place / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (place / REPORT).write_text(
        report_markdown(view, point, baseline.slots, report, spec.analysis.precision_limit), encoding="utf-8"
    )
    return again


def _report(path: Path) -> TrialReport | None:
    return TrialReport.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _train_again(evaluator: Any, point: FrontPoint, seed: int) -> tuple[TrialReport, Weights]:
    report, weights = evaluator.evaluate(TrialJob(point.number, point.candidate, seed))
    off = abs((report.stoi_improvement or 0.0) - point.stoi_improvement)
    if report.state is not TrialState.COMPLETE or off > TOLERANCE:
        raise SpecError(
            f"training trial {point.number} again must give its logged STOI improvement {point.stoi_improvement:.7f}, "
            f"but gave {report.stoi_improvement} ({report.state}); was it trained on another machine?"
        )
    return report, weights


def _measure_file(path: Path, evaluator: Any, point: FrontPoint) -> float:
    """STOI improvement of the written model, loaded anew. Raises SpecError if it is not the logged one."""
    import keras

    again = float(evaluator.measure_model(keras.models.load_model(path)))
    if abs(again - point.stoi_improvement) > TOLERANCE:
        raise SpecError(
            f"the exported model must reach the logged STOI improvement {point.stoi_improvement:.7f} to {TOLERANCE:g}, "
            f"but reaches {again:.7f} (trial {point.number})"
        )
    return again


def _config(
    view: StudyView, point: FrontPoint, baseline_digest: str, spec: dict[str, Any], home: Home, again: float | None
) -> dict[str, Any]:
    from wordlength.search.study import remembered

    known = remembered(home.find(view.name), home)
    return {
        "study": view.name,
        "trial": point.number,
        "label": point.label,
        "candidate": point.candidate.to_dict(),
        "candidate_digest": point.candidate.digest,
        "objectives": {
            "stoi_improvement": point.stoi_improvement,
            "stoi_standard_error": point.stoi_standard_error,
            "baseline_difference": point.difference,
            "baseline_difference_error": point.difference_error,
            "memory_bytes": point.memory_bytes,
        },
        "stoi_improvement_of_the_exported_model": again,
        "float_baseline": {
            "stoi_improvement": view.baseline.stoi_improvement,
            "memory_bytes": view.baseline.memory_bytes,
            "digest": baseline_digest,
        },
        "data_digest": known["data_digest"],
        "study_settings": spec,
        "versions": {name: version(name) for name in _PACKAGES},
    }
