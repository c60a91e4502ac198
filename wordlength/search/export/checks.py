"""The parts of a bundle against each other; each check raises BundleError with what is not as it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from wordlength.errors import BundleError, IntegerError, SpecError, first_line
from wordlength.objectives.goals import ObjectiveSettings
from wordlength.search.export.config import Arithmetic, BundleConfig, LayerProof
from wordlength.search.export.contents import features_of, target_of, title_of
from wordlength.search.export.names import CONFIG, MODEL, NETWORK, WEIGHT_TABLE, WEIGHTS
from wordlength.search.export.packing import laid_out, pack, unpack
from wordlength.search.home import Home
from wordlength.search.installed import installed
from wordlength.search.study_file.spec import StudySpec, load_spec
from wordlength.space import Fixed, Rounding, parse_format
from wordlength.stages import Progress, StageProgress

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData, Signal
    from wordlength.objectives.integer import IntegerProgram, Integers, Parameter

_FOREIGN = (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError, OSError)
"""What Keras raises for files that are not what they should be."""


def check_weights(folder: Path, config: BundleConfig) -> tuple[Parameter, ...]:
    """weights.bin and weights.json against each other and the memory objective; the tensors in them."""
    try:
        described = json.loads((folder / WEIGHT_TABLE).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{WEIGHT_TABLE} must be readable JSON, but is not: {error}") from None
    payload = (folder / WEIGHTS).read_bytes()
    if len(payload) != config.objectives.memory_bytes:
        raise BundleError(
            f"{WEIGHTS} must hold the {config.objectives.memory_bytes:,} bytes that the memory objective counts, "
            f"but holds {len(payload):,}"
        )
    try:
        return unpack(payload, described)
    except ValueError as error:  # A slot or a format that is none.
        raise BundleError(f"{WEIGHT_TABLE} must describe {WEIGHTS}: {error}") from None


def check_models(folder: Path, config: BundleConfig, parameters: tuple[Parameter, ...]) -> tuple[Any, Any]:
    """The float network with the values of weights.bin, and the QKeras model, which must hold the same."""
    import keras
    import qkeras  # noqa: F401  Keras must know its classes.

    from wordlength.objectives.memory import float_bytes
    from wordlength.objectives.quantized_model import layer_parameter  # Which makes ours known too.
    from wordlength.space import find_slots
    from wordlength.space.slots import variable_of

    float_model = _loaded(NETWORK, lambda: keras.models.model_from_json((folder / NETWORK).read_text("utf-8")))
    model = _loaded(MODEL, lambda: keras.models.load_model(folder / MODEL))
    slots = find_slots(float_model)
    wanted = [(info.slot, tensor) for info in slots for tensor in info.tensors]
    if [(parameter.slot, parameter.info) for parameter in parameters] != wanted:
        raise BundleError(f"{WEIGHT_TABLE} must have a row for every tensor of {NETWORK}, but has others")
    if list(config.formats) != [info.slot for info in slots]:
        raise BundleError(f"{CONFIG} must have a format for every slot of {NETWORK}, but has others")
    formats = [fmt for info in slots for fmt in (info.formats(config.formats[info.slot]) if info.tensors else ())]
    for parameter, fmt in zip(parameters, formats, strict=True):
        if parameter.format != fmt:
            raise BundleError(f"{WEIGHT_TABLE} must have the candidate's formats, but {parameter.name} has another")
    if config.float_baseline.memory_bytes != float_bytes(slots):
        raise BundleError(
            f"{CONFIG} must have the float network's {float_bytes(slots):,} bytes, "
            f"but has {config.float_baseline.memory_bytes:,}"
        )
    for parameter in parameters:
        values = parameter.format.decode(parameter.encoded).reshape(parameter.info.shape)
        variable_of(float_model.get_layer(parameter.slot.layer), parameter.info.name).assign(values)
        try:
            held = np.asarray(layer_parameter(model.get_layer(parameter.slot.layer), parameter.info.name))
        except _FOREIGN:
            held = np.zeros(0)
        if not np.array_equal(held, values):
            raise BundleError(f"{MODEL} must hold the weights of {WEIGHTS}, but {parameter.name} differs")
    return float_model, model


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    import keras

    try:
        model = load()
    except _FOREIGN as error:
        raise BundleError(f"{name} must load, but: {first_line(error)}") from None
    if not isinstance(model, keras.Model):
        raise BundleError(f"{name} must be a network, but is a {type(model).__name__}")
    return model


def find_data(config: BundleConfig, home: Home, study: Path | None, progress: StageProgress) -> PreparedData:
    """The study's data: from the cache, or prepared again."""
    from wordlength.objectives.audio import prepare, store

    wanted = config.data_digest
    found = store.load(wanted, home.cache)
    if found is not None:
        return found
    spec = _spec(config, home, study)
    prepared = prepare(spec.data, home.cache, lambda what, done, total: progress(what, done, total))
    if prepared.digest != wanted:
        raise SpecError(
            f"the study's data must have the digest {wanted[:12]}, but that of {spec.name!r} has {prepared.digest[:12]}"
        )
    return prepared


def find_objectives(config: BundleConfig, home: Home, study: Path | None) -> tuple[ObjectiveSettings, ...]:
    """What the study measures; a function of the user's own is found with the study alone."""
    try:
        plain = config.study_settings["objectives"]
        objectives = TypeAdapter(tuple[ObjectiveSettings, ...]).validate_python(plain)
    except (KeyError, ValidationError):
        raise BundleError(f"{CONFIG} must hold the study's objectives, but does not") from None
    if any(objective.is_own for objective in objectives):
        objectives = _spec(config, home, study).objectives
    if any(objective.is_own and not objective.source for objective in objectives):
        raise SpecError(
            f"study {config.study!r} has an objective of its own, whose file is not in the bundle; "
            "name its study file with --study, or leave the measuring out with --no-stoi"
        )
    return objectives


def _spec(config: BundleConfig, home: Home, study: Path | None) -> StudySpec:
    """What says where the data lies."""
    if study is not None:
        return load_spec(study)
    if config.study in home.names():
        return home.find(config.study)
    try:
        return StudySpec.model_validate(config.study_settings)  # Enough for built-in speech.
    except ValueError:
        raise SpecError(
            f"the data of study {config.study!r} must be here to measure the {config.goal.title}, but it is not in "
            f"{home.cache}; say where the corpora lie with --study FILE, or leave it out with --no-stoi"
        ) from None


def check_signal(config: BundleConfig, data: PreparedData | None) -> None:
    """How the input is made from sound and what the output is; means and deviations only with the data."""
    signal = data.signal if data else _described(config)
    parts = (("features", config.features, features_of(signal)), ("targets", config.target, target_of(signal)))
    for name, told, wanted in parts:
        if told != wanted:
            raise BundleError(f"{CONFIG} must say how the study's {name} are made, but {name} differ")


def _described(config: BundleConfig) -> Signal:
    """By the bundle's study settings, with its own means and deviations."""
    from wordlength.objectives.audio import FeatureSettings, Signal, TargetSettings

    try:
        settings = config.study_settings["data"]
        features, target = FeatureSettings(**settings["features"]), TargetSettings(**settings["target"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{CONFIG} must hold the study's settings, but data has no features or target: {error}"
        ) from None
    scales = config.features.mean, config.features.std, config.target.mean, config.target.std
    return Signal(features, target, *(np.asarray(scale, np.float32) for scale in scales))


def program_of(
    float_model: Any, config: BundleConfig, arithmetic: Arithmetic, parameters: tuple[Parameter, ...]
) -> IntegerProgram:
    """The integer arithmetic, from weights.bin."""
    from wordlength.objectives.integer import integer_program

    fmt = parse_format(arithmetic.input_format)
    plain = isinstance(fmt, Fixed) and not fmt.per_channel and fmt == Fixed(fmt.bits, fmt.positions[0])
    if not isinstance(fmt, Fixed) or not plain:
        raise BundleError(f"the input must be {Rounding.HALF_EVEN} and saturating fixed point, but {CONFIG} has {fmt}")
    try:
        return integer_program(float_model, config.formats, fmt, parameters)
    except IntegerError as error:
        raise BundleError(f"{CONFIG} says that there is integer arithmetic, but {error}") from None


def check_arithmetic(arithmetic: Arithmetic, program: IntegerProgram) -> None:
    """What config.json says of the program."""
    from wordlength.search.export.c import plan

    if arithmetic.output_exponent != program.output_grid.exponent:
        wanted = program.output_grid.exponent
        raise BundleError(f"{CONFIG} must have the output_exponent {wanted}, but has {arithmetic.output_exponent}")
    if [row.layer for row in arithmetic.layers] != [stage.name for stage in plan(program)]:
        raise BundleError(f"{CONFIG} must have a row for every layer's arithmetic, but has others")


def check_vectors(folder: Path, program: IntegerProgram, frames: int) -> Integers:
    """Every layer of every test frame, computed again; the input's codes."""
    from wordlength.search.export.c import plan
    from wordlength.search.export.vectors import INPUT_FILE, layer_outputs, number_type, read_inputs

    files = {INPUT_FILE: (program.input_grid, int(np.prod(program.input_shape)))}
    files |= {f"{stage.name}.bin": (stage.last.grid, stage.count) for stage in plan(program)}
    for name, (grid, count) in files.items():
        size = (folder / name).stat().st_size if (folder / name).is_file() else -1
        if size != frames * count * number_type(grid).itemsize or frames < 1:
            raise BundleError(f"{folder.name}/{name} must hold {frames} frames of {count} codes, but has {size} bytes")
    codes = read_inputs(program, folder)
    places = dict.fromkeys(files, 0)
    for layer, grid, made in layer_outputs(program, codes):
        name, kind = f"{layer}.bin", number_type(grid)
        held = np.fromfile(folder / name, kind, made.size, offset=places[name])
        places[name] += made.size * kind.itemsize
        if not np.array_equal(held, made.reshape(-1)):
            raise BundleError(f"{folder.name}/{name} must be what the integer reference gives, but differs")
    return codes


def check_layers(program: IntegerProgram, model: Any, codes: Integers, tell: Progress) -> tuple[LayerProof, int]:
    """The integers against the QKeras model in float32: the last layer, and the largest difference of any alone."""
    from wordlength.search.export.against_float import compare_layers, require_close

    try:
        rows = compare_layers(model, program, codes, tell)
    except _FOREIGN as error:
        raise BundleError(f"{MODEL} must have the layers of {NETWORK}, but: {first_line(error)}") from None
    require_close(program, rows)
    return rows[-1], max(row.largest_alone for row in rows)


def own_title(config: BundleConfig) -> str:
    """The head of the files that this version writes; empty if another version wrote the bundle."""
    if config.versions.get("wordlength") != installed()["wordlength"]:
        return ""
    return title_of(config.study, config.trial, config.formats)


def check_sources(
    folder: Path, config: BundleConfig, program: IntegerProgram, parameters: tuple[Parameter, ...]
) -> bool:
    """Whether c/ is what this version of wordlength writes; another version's text is left to the vectors."""
    from wordlength.search.export.c import c_files

    if not (title := own_title(config)):
        return False
    parts = laid_out(parameters)
    for name, text in c_files(program, parts, pack(parts), title).items():
        if (folder / name).read_bytes() != text.encode():
            raise BundleError(f"{folder.name}/{name} must be what wordlength writes for these weights, but differs")
    return True
