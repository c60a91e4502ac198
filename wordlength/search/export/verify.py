"""`wordlength verify`: everything that a bundle says, checked again from its files; STOI with the study's data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordlength.errors import BundleError
from wordlength.objectives.quiet import start_tensorflow
from wordlength.search.export.checks import (
    check_arithmetic,
    check_layers,
    check_models,
    check_signal,
    check_sources,
    check_vectors,
    check_weights,
    find_data,
    find_objectives,
    own_title,
    program_of,
)
from wordlength.search.export.config import Arithmetic, BundleConfig, read_config
from wordlength.search.export.contents import c_tolerance
from wordlength.search.export.hls import FOLDER, check_hls4ml
from wordlength.search.export.manifest import check_seal
from wordlength.search.export.names import (
    CONFIG,
    MODEL,
    NEEDED,
    SOURCES,
    VECTORS,
)
from wordlength.search.home import Home
from wordlength.search.trained import MODEL_TOLERANCE
from wordlength.stages import StageProgress, stage

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.goals import ObjectiveSettings
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.integer import IntegerProgram, Integers, Parameter
    from wordlength.objectives.training import Windows


@dataclass
class Verified:
    """What was checked, a line each, and what was not."""

    config: BundleConfig
    foreign: tuple[str, ...]
    """Files in the folder that do not belong to the bundle."""
    checked: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def verify(
    folder: Path,
    home: Home,
    *,
    study: Path | None = None,
    compile_c: bool = True,
    stoi: bool = True,
    fpga: bool = True,
    progress: StageProgress = lambda what, done, total: None,
    verbose: bool = False,
) -> Verified:
    """Check a bundle. Raises BundleError (or another WordlengthError) with the first thing that is not as it says.

    `study`: a study file that says where the corpora lie, where the study's data is not in the cache. `compile_c`,
    `stoi`, `fpga` (hls4ml's C simulation): False leaves that check out, which is told.
    """
    foreign = check_seal(folder, NEEDED)
    config = read_config(folder / CONFIG)
    start_tensorflow(config.threads, verbose)
    done = Verified(config, foreign, ["every file has its SHA-256"])
    parts = _check_parts(done, folder)
    data = find_data(config, home, study, progress) if stoi else None
    check_signal(config, data)
    heard = _heard(data, find_objectives(config, home, study)) if data else None
    if heard is None:
        done.left_out.append(f"{config.goal.title} (--no-stoi)")
    else:
        _check_model_quality(done, parts.model, heard, progress)
    if config.arithmetic is None:
        _check_none(done, folder)
        return done
    program = program_of(parts.float_model, config, config.arithmetic, parts.parameters)
    codes = check_vectors(folder / VECTORS, program, config.arithmetic.vectors)
    _check_integers(done, program, codes, parts.model, progress)
    if compile_c:
        _check_c(done, folder, program, parts.parameters, heard, progress)
    else:
        done.left_out.append("C (--no-c)")
    _check_hls4ml(done, folder, codes, program, parts.float_model, fpga, progress)
    return done


@dataclass(frozen=True)
class _Parts:
    """A bundle's tensors, the float network with their values, and the QKeras model."""

    parameters: tuple[Parameter, ...]
    float_model: Any
    model: Any


def _check_parts(done: Verified, folder: Path) -> _Parts:
    """weights.bin and the models, which must hold the same."""
    parameters = check_weights(folder, done.config)
    counted = done.config.objectives.memory_bytes
    done.checked.append(f"weights.bin holds {counted:,} bytes, as the memory objective counts")
    float_model, model = check_models(folder, done.config, parameters)
    done.checked.append("the QKeras model holds the weights of weights.bin")
    return _Parts(parameters, float_model, model)


def _check_none(done: Verified, folder: Path) -> None:
    """A bundle without integer arithmetic says why, and has no files of it."""
    reason = done.config.no_arithmetic
    if not reason or any((folder / part).exists() for part in (SOURCES, VECTORS, FOLDER)):
        raise BundleError(f"{CONFIG} must say why there is no integer arithmetic, and c/ and vectors/ be absent")
    done.left_out.append(f"integers and C: {reason}")


def _heard(data: PreparedData, objectives: tuple[ObjectiveSettings, ...]) -> tuple[Windows, Meter]:
    """The validation mixtures as inputs, and what measures outputs on them."""
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.training import Windows

    return Windows.of(data.validation.frames), Meter(data.validation, objectives)


def _check_model_quality(done: Verified, model: Any, heard: tuple[Windows, Meter], progress: StageProgress) -> None:
    """The QKeras model's first quality, which must be the logged one."""
    from wordlength.objectives.training import Predictor

    windows, meter = heard
    progress("the QKeras model", 0, 1)
    found, title = meter.primary(Predictor(model, windows).outputs()).value, done.config.goal.title
    progress("the QKeras model", 1, 1)
    _require_near("the QKeras model", title, found, done.config.objectives.quality, MODEL_TOLERANCE)
    if (said := done.config.quality_of_the_exported_model) is not None:
        _require_near(f"{MODEL}'s {title} in {CONFIG}", title, said, found, MODEL_TOLERANCE)
    done.checked.append(f"the QKeras model reaches the {title} {found:+.7f}")


def _check_integers(
    done: Verified, program: IntegerProgram, codes: Integers, model: Any, progress: StageProgress
) -> None:
    """The reference on the vectors, and against the QKeras model."""
    arithmetic = _arithmetic(done)
    check_arithmetic(arithmetic, program)
    done.checked.append(f"the integer reference gives every layer of {len(codes):,} test frames to the last bit")
    last, alone = check_layers(program, model, codes, stage("integers against float", progress))
    done.checked.append(
        f"integers and float32 agree layer by layer to {alone} {'step' if alone == 1 else 'steps'}; through the whole "
        f"network {1 - last.unequal:.1%} of outputs are equal, the others at most {last.largest} apart"
    )


def _check_c(
    done: Verified,
    folder: Path,
    program: IntegerProgram,
    parameters: tuple[Parameter, ...],
    heard: tuple[Windows, Meter] | None,
    progress: StageProgress,
) -> None:
    """The C code: its text, the vectors, the first quality."""
    from wordlength.search.export.proof import compiled, quality_through_c

    arithmetic = _arithmetic(done)
    if check_sources(folder / SOURCES, done.config, program, parameters):
        done.checked.append("c/ is what this wordlength writes for these weights")
    with compiled(folder / SOURCES, program) as network:
        network.check_vectors(folder / VECTORS, arithmetic.vectors)
        done.checked.append(f"the C code gives every layer of {arithmetic.vectors:,} test frames to the last bit")
        if heard is None:
            return
        measured = quality_through_c(network, *heard, stage("objective through C", progress))
    found = measured.value
    title = done.config.goal.title
    _require_near("the C code", title, found, done.config.objectives.quality, c_tolerance(measured))
    if arithmetic.quality is not None:
        _require_near(f"the C code's {title} in {CONFIG}", title, arithmetic.quality, found, MODEL_TOLERANCE)
    done.checked.append(f"the C code reaches the {title} {found:+.7f}")


def _check_hls4ml(
    done: Verified,
    folder: Path,
    codes: Integers,
    program: IntegerProgram,
    float_model: Any,
    simulate: bool,
    progress: StageProgress,
) -> None:
    """hls4ml/: its text, and its C simulation where that is asked for."""
    refused, title = _arithmetic(done).no_hls4ml, own_title(done.config)
    checked, left_out = check_hls4ml(folder / FOLDER, codes, program, float_model, refused, title, simulate, progress)
    done.checked += checked
    done.left_out += left_out


def _arithmetic(done: Verified) -> Arithmetic:
    assert done.config.arithmetic is not None
    return done.config.arithmetic


def _require_near(what: str, title: str, found: float, logged: float, tolerance: float) -> None:
    if not abs(found - logged) <= tolerance:
        raise BundleError(f"{what} must reach the {title} {logged:+.7f} to {tolerance:g}, but is {found:+.7f}")
