"""The files of a bundle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from wordlength.errors import IntegerError, SpecError
from wordlength.objectives.audio.features import POWER_FLOOR
from wordlength.objectives.report import TrialReport, Weights
from wordlength.search.export.config import (
    Arithmetic,
    BundleConfig,
    Features,
    FloatBaseline,
    HeldOutFigures,
    Objectives,
    Retraining,
    Target,
)
from wordlength.search.export.manifest import seal
from wordlength.search.export.names import CONFIG, MODEL, NETWORK, PAGE, REPORT, SOURCES, VECTORS, WEIGHT_TABLE, WEIGHTS
from wordlength.search.export.packing import laid_out, pack, table
from wordlength.search.export.report import report_markdown
from wordlength.search.export.report_html import report_html
from wordlength.search.front import FrontPoint
from wordlength.search.installed import installed
from wordlength.search.retrain import RetrainedTrial
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.trained import MODEL_TOLERANCE
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Fixed
from wordlength.stages import StageProgress, stage

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData, Signal
    from wordlength.objectives.evaluate import Evaluator
    from wordlength.objectives.goals.quality import Measured
    from wordlength.objectives.integer import IntegerProgram
    from wordlength.search.export.qkeras_model import PlainModel

C_TOLERANCE, C_ERRORS = 1e-3, 0.1
"""How far that of the C code may lie from it, in the quality's unit or in standard errors, whichever is more."""


def c_tolerance(measured: Measured) -> float:
    """How far the C code's quality may lie from the logged one.

    STOI is hardly moved by the input's rounding to integers; a correlation of a few mixtures, or dB, are more.
    """
    return max(C_TOLERANCE, C_ERRORS * measured.standard_error)


@dataclass(frozen=True)
class Subject:
    """What is exported: a trial, with its own weights or those of its retraining."""

    spec: StudySpec
    view: StudyView
    point: FrontPoint
    weights: Weights
    report: TrialReport | None
    retrained: RetrainedTrial | None
    evaluator: Evaluator

    @property
    def logged(self) -> float:
        """First quality on the validation mixtures that was logged for these weights."""
        if self.retrained is None or self.retrained.validation is None:
            return self.point.quality
        return self.retrained.validation.quality


@dataclass(frozen=True)
class Asked:
    """What a bundle shall hold: test frames, bits of the input, and whether everything is measured again."""

    vectors: int = 1000
    input_bits: int = 16
    verify: bool = True


def input_format(data: PreparedData, bits: int) -> Fixed:
    """Fixed point of so many bits with the fewest integer bits that hold every training and validation feature."""
    parts = (data.train.features, data.validation.frames.features)
    lowest, highest = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    integer_bits = next(
        i for i in range(-8, 33) if Fixed(bits, i).lowest <= lowest and highest <= Fixed(bits, i).highest
    )
    return Fixed(bits, integer_bits)


def write_bundle(place: Path, subject: Subject, asked: Asked, progress: StageProgress) -> BundleConfig:
    """Write every file to a new folder, and measure what is to be measured. Raises SpecError if a figure disagrees."""
    from wordlength.objectives.integer import integer_program, parameters_of
    from wordlength.search.export.qkeras_model import plain_model

    place.mkdir()
    evaluator, candidate = subject.evaluator, subject.point.candidate
    float_model = evaluator.float_model
    float_model.set_weights(list(subject.weights))
    plain = plain_model(subject.weights, float_model, candidate)
    plain.model.save(place / MODEL)
    (place / NETWORK).write_text(json.dumps(json.loads(float_model.to_json()), indent=1) + "\n", encoding="utf-8")
    parts = laid_out(parameters_of(float_model, candidate))
    payload = pack(parts)
    (place / WEIGHTS).write_bytes(payload)
    (place / WEIGHT_TABLE).write_text(json.dumps(table(parts), indent=1) + "\n", encoding="utf-8")
    again = _measure_model(place / MODEL, subject, progress) if asked.verify else None
    arithmetic, reason = None, ""
    try:
        program = integer_program(float_model, candidate, input_format(evaluator.data, asked.input_bits))
        arithmetic = _write_integers(place, subject, program, payload, asked, progress)
    except IntegerError as error:
        reason = str(error)
    config = _config(subject, plain, arithmetic, reason, again)
    (place / CONFIG).write_text(config.to_json(), encoding="utf-8")
    limit = subject.spec.analysis.precision_limit
    told = subject.view, subject.point, evaluator.baseline.slots, subject.report, config, limit
    (place / REPORT).write_text(report_markdown(*told), encoding="utf-8")
    (place / PAGE).write_text(report_html(*told), encoding="utf-8")
    seal(place)
    return config


def _write_integers(
    place: Path, subject: Subject, program: IntegerProgram, payload: bytes, asked: Asked, progress: StageProgress
) -> Arithmetic:
    """c/, vectors/ and hls4ml/, and how they agree with the float model."""
    import keras

    from wordlength.objectives.audio.prepared import spread
    from wordlength.search.export.against_float import compare_layers, require_close
    from wordlength.search.export.hls import FOLDER, write_project
    from wordlength.search.export.vectors import write_vectors

    title = title_of(subject.view.name, subject.point.number, subject.point.candidate)
    _write_sources(place / SOURCES, program, payload, title)
    frames = subject.evaluator.predictor.windows
    codes = program.encode(frames.inputs(spread(frames.current, asked.vectors)))
    progress("test vectors", 0, 1)
    write_vectors(program, codes, place / VECTORS)
    progress("test vectors", 1, 1)
    no_hls4ml = write_project(place / FOLDER, program, subject.evaluator.float_model, codes, title)
    model = keras.models.load_model(place / MODEL)
    layers = compare_layers(model, program, codes, stage("integers against float", progress))
    require_close(program, layers)
    return Arithmetic(
        input_format=str(program.input_format),
        output_exponent=program.output_grid.exponent,
        vectors=len(codes),
        layers=layers,
        quality=_measure_c(place, subject, program, len(codes), progress) if asked.verify else None,
        no_hls4ml=no_hls4ml,
    )


def _write_sources(folder: Path, program: IntegerProgram, payload: bytes, title: str) -> None:
    """c/ itself."""
    from wordlength.search.export.c import c_files

    files = c_files(program, laid_out(program.parameters), payload, title)
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _measure_c(
    place: Path, subject: Subject, program: IntegerProgram, vectors: int, progress: StageProgress
) -> float | None:
    """First quality of the C code, which must give the vectors; None without a compiler.

    Raises SpecError if it is not the logged one.
    """
    from wordlength.search.export.proof import compiled, find_compiler, quality_through_c

    if not find_compiler():
        return None
    windows, meter = subject.evaluator.predictor.windows, subject.evaluator.meter
    with compiled(place / SOURCES, program) as network:
        network.check_vectors(place / VECTORS, vectors)
        measured = quality_through_c(network, windows, meter, stage("objective through C", progress))
    found, tolerance = measured.value, c_tolerance(measured)
    if abs(found - subject.logged) > tolerance:
        raise SpecError(
            f"the C code must reach the logged {_title(subject)} {subject.logged:+.4f} to {tolerance:.1g}, "
            f"but reaches {found:+.4f} (trial {subject.point.number})"
        )
    return found


def _measure_model(path: Path, subject: Subject, progress: StageProgress) -> float:
    """First quality of the written model, loaded anew. Raises SpecError if it is not the logged one."""
    import keras

    progress("the written model", 0, 1)
    again = float(subject.evaluator.measure_model(keras.models.load_model(path)))
    progress("the written model", 1, 1)
    if not math.isclose(again, subject.logged, rel_tol=0, abs_tol=MODEL_TOLERANCE):
        raise SpecError(
            f"the exported model must reach the logged {_title(subject)} {subject.logged:.7f} to {MODEL_TOLERANCE:g}, "
            f"but reaches {again:.7f} (trial {subject.point.number})"
        )
    return again


def _config(
    subject: Subject, plain: PlainModel, arithmetic: Arithmetic | None, reason: str, again: float | None
) -> BundleConfig:
    view, point, data = subject.view, subject.point, subject.evaluator.data
    return BundleConfig(
        study=view.name,
        trial=point.number,
        label=point.label,
        candidate=point.candidate.to_dict(),
        candidate_digest=point.candidate.digest,
        objectives=_objectives(subject),
        quality_of_the_exported_model=again,
        float_baseline=FloatBaseline(
            values=dict(view.baseline.values),
            memory_bytes=view.baseline.memory_bytes,
            digest=subject.evaluator.baseline.digest,
        ),
        retraining=_retraining(subject.retrained),
        data_digest=data.digest,
        features=features_of(data.signal),
        target=target_of(data.signal),
        arithmetic=arithmetic,
        no_arithmetic=reason,
        needs_wordlength={str(slot): why for slot, why in plain.custom.items()},
        wider_in_qkeras={str(slot): why for slot, why in plain.wider.items()},
        study_settings=yaml.safe_load(subject.spec.published()),
        versions=installed(),
    )


def features_of(signal: Signal) -> Features:
    """How this version makes features from sound."""
    settings = signal.features
    before, after = signal.target.context(settings)
    return Features(
        kind=settings.kind,
        sample_rate_hz=settings.sample_rate_hz,
        frame_samples=settings.frame_samples,
        hop_samples=settings.hop_samples,
        bins=settings.bins,
        frames_before=before,
        frames_after=after,
        power_floor=POWER_FLOOR,
        mean=tuple(signal.mean.tolist()),
        std=tuple(signal.std.tolist()),
    )


def target_of(signal: Signal) -> Target:
    """What this version makes targets of."""
    settings = signal.target
    return Target(
        kind=settings.kind,
        outputs=settings.outputs(signal.features),
        measure=settings.score_measure if settings.outputs_per_mixture else None,
        mean=tuple(signal.target_mean.tolist()),
        std=tuple(signal.target_std.tolist()),
    )


def title_of(study: str, trial: int, candidate: Candidate) -> str:
    """The line at the head of the C files."""
    return f"{study}, trial {trial}, candidate {candidate.digest}"


def _title(subject: Subject) -> str:
    return subject.view.goals.quality.title


def _objectives(subject: Subject) -> Objectives:
    point, held = subject.point, subject.retrained and subject.retrained.validation
    if held:
        difference, error = held.difference
        reached: float = held.quality
        errors: tuple[float | None, ...] = (held.standard_error, difference, error)
    else:
        reached, errors = point.quality, (point.standard_error, point.difference, point.difference_error)
    goal = subject.view.goals.quality
    return Objectives(
        name=goal.name,
        title=goal.title,
        unit=goal.unit,
        maximize=goal.maximize,
        quality=reached,
        standard_error=errors[0],
        values=dict(point.values),
        baseline_difference=errors[1],
        baseline_difference_error=errors[2],
        memory_bytes=point.memory_bytes,
    )


def _retraining(trial: RetrainedTrial | None) -> Retraining | None:
    if trial is None or trial.test is None:
        return None
    difference, error = trial.test.difference
    figures = HeldOutFigures(
        quality=trial.test.quality,
        standard_error=trial.test.standard_error,
        float_quality=trial.test.float_quality,
        difference=difference,
        difference_error=error,
    )
    return Retraining(settings=dict(trial.decided_by["settings"]), test=figures)
