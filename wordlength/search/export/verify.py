"""`wordlength verify`: everything that a bundle says, checked again from its files; STOI with the study's data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.errors import BundleError
from wordlength.search.export.config import CONFIG, Arithmetic, BundleConfig, read_config
from wordlength.search.export.contents import (
    C_TOLERANCE,
    MODEL,
    MODEL_TOLERANCE,
    NETWORK,
    SOURCES,
    VECTORS,
    WEIGHT_TABLE,
    WEIGHTS,
    Progress,
)
from wordlength.search.export.manifest import check_seal
from wordlength.search.export.packing import unpack
from wordlength.search.home import Home
from wordlength.search.spec import StudySpec, load_spec
from wordlength.space import Fixed, Slot, parse_format

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.integer import IntegerProgram, Parameter


@dataclass(frozen=True)
class Verified:
    """What was checked, a line each, and what was not."""

    config: BundleConfig
    checked: tuple[str, ...]
    left_out: tuple[str, ...]
    foreign: tuple[str, ...]
    """Files in the folder that do not belong to the bundle."""


def verify(
    folder: Path,
    home: Home,
    *,
    study: Path | None = None,
    compile_c: bool = True,
    stoi: bool = True,
    progress: Progress = lambda what, done, total: None,
) -> Verified:
    """Check a bundle. Raises BundleError (or another WordlengthError) with the first thing that is not as it says.

    `study`: a study file that says where the corpora lie, where the study's data is not in the cache. `compile_c`,
    `stoi`: False leaves that check out, which is told.
    """
    foreign = check_seal(folder)
    config = read_config(folder / CONFIG)
    check = _Check(folder, config, home, study, progress)
    checked = ["every file has its SHA-256"]
    left_out = []
    parameters, table_bytes = check.weights()
    checked.append(f"weights.bin holds {table_bytes:,} bytes, as the memory objective counts")
    float_model, model = check.models(parameters)
    checked.append("the QKeras model holds the weights of weights.bin")
    data = check.data() if stoi else None
    if data is None:
        left_out.append("STOI improvement (--no-stoi)")
    else:
        improvement = check.model_stoi(model, data)
        checked.append(f"the QKeras model reaches the STOI improvement {improvement:+.7f}")
    if config.arithmetic is None:
        left_out.append(f"integers and C: {config.no_arithmetic}")
    else:
        program = check.program(float_model, parameters, config.arithmetic)
        lines, missing = _check_integers(check, program, model, data, compile_c)
        checked += lines
        left_out += missing
    return Verified(config, tuple(checked), tuple(left_out), foreign)


def _check_integers(
    check: _Check, program: IntegerProgram, model: Any, data: PreparedData | None, compile_c: bool
) -> tuple[list[str], list[str]]:
    from wordlength.search.export.proof import compiled

    frames = check.vectors(program)
    lines = [f"the integer reference gives every layer of {frames:,} test frames to the last bit"]
    lines.append(check.layers(program, model))
    if not compile_c:
        return lines, ["C (--no-c)"]
    with compiled(check.folder / SOURCES, program) as network:
        network.check_vectors(check.folder / VECTORS)
        lines.append(f"the C code gives every layer of {frames:,} test frames to the last bit")
        if data is not None:
            improvement = check.c_stoi(network, data)
            lines.append(f"the C code reaches the STOI improvement {improvement:+.7f}")
    return lines, []


@dataclass
class _Check:
    """One bundle, and what its checks need."""

    folder: Path
    config: BundleConfig
    home: Home
    study: Path | None
    progress: Progress

    def weights(self) -> tuple[tuple[Parameter, ...], int]:
        """weights.bin and weights.json against each other and the candidate."""
        payload = (self.folder / WEIGHTS).read_bytes()
        table = _json(self.folder / WEIGHT_TABLE)
        try:
            parameters = unpack(payload, table["tensors"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{WEIGHT_TABLE} must describe every tensor, but: {error}") from None
        if not len(payload) == table.get("bytes") == self.config.objectives.memory_bytes:
            raise BundleError(
                f"{WEIGHTS} must hold the {self.config.objectives.memory_bytes:,} bytes that the memory objective "
                f"counts, but holds {len(payload):,}"
            )
        return parameters, len(payload)

    def models(self, parameters: tuple[Parameter, ...]) -> tuple[Any, Any]:
        """The float network with the values of weights.bin, and the QKeras model, which must have the same."""
        import keras
        import qkeras  # noqa: F401  Keras must know its classes.

        from wordlength.objectives.quantized_model import layer_parameter  # Which makes ours known too.

        try:
            float_model = keras.models.model_from_json((self.folder / NETWORK).read_text(encoding="utf-8"))
            model = keras.models.load_model(self.folder / MODEL)
        except Exception as error:  # Keras raises all kinds.
            raise BundleError(f"{NETWORK} and {MODEL} must load, but: {str(error).splitlines()[0]}") from None
        self._require_slots(float_model, parameters)
        for parameter in parameters:
            values = parameter.format.decode(parameter.encoded).reshape(parameter.info.shape)
            getattr(float_model.get_layer(parameter.slot.layer), parameter.info.name).assign(values)
            held = np.asarray(layer_parameter(model.get_layer(parameter.slot.layer), parameter.info.name))
            if not np.array_equal(held, values):
                raise BundleError(f"{MODEL} must hold the weights of {WEIGHTS}, but {parameter.name} differs")
        return float_model, model

    def _require_slots(self, float_model: Any, parameters: tuple[Parameter, ...]) -> None:
        from wordlength.space import find_slots

        wanted = {(info.slot, part.name, part.shape) for info in find_slots(float_model) for part in info.tensors}
        if {(parameter.slot, parameter.info.name, parameter.info.shape) for parameter in parameters} != wanted:
            raise BundleError(f"{WEIGHT_TABLE} must have a row for every tensor of {NETWORK}, but has others")
        candidate = self.config.formats
        by_slot: dict[Slot, list[str]] = {}
        for parameter in parameters:
            by_slot.setdefault(parameter.slot, []).append(str(parameter.format))
        for info in find_slots(float_model):
            if info.tensors and by_slot[info.slot] != [str(fmt) for fmt in info.formats(candidate[info.slot])]:
                raise BundleError(f"{WEIGHT_TABLE} must have the candidate's formats, but {info.slot} has another")

    def data(self) -> PreparedData:
        """The study's data: from the cache, or prepared again."""
        from wordlength.objectives.audio import prepare, store

        wanted = self.config.data_digest
        found = store.load(wanted, self.home.cache)
        if found is not None:
            return found
        spec = self._spec()
        prepared = prepare(spec.data, self.home.cache, lambda what, done, total: self.progress(what, done, total))
        if prepared.digest != wanted:
            raise BundleError(
                f"the study's data must have the digest {wanted[:12]}, but that of {spec.name!r} has "
                f"{prepared.digest[:12]}"
            )
        return prepared

    def _spec(self) -> StudySpec:
        if self.study is not None:
            return load_spec(self.study)
        if self.config.study in self.home.names():
            return self.home.find(self.config.study)
        try:
            spec = StudySpec.model_validate(self.config.study_settings)
        except ValueError:
            spec = None
        if spec is None:
            raise BundleError(
                f"the data of study {self.config.study!r} must be here to measure STOI, but it is not in "
                f"{self.home.cache}; say where the corpora lie with --study FILE, or leave it out with --no-stoi"
            )
        return spec

    def model_stoi(self, model: Any, data: PreparedData) -> float:
        """STOI improvement of the QKeras model, which must be the logged one."""
        from wordlength.objectives.stoi import StoiMeter
        from wordlength.objectives.training import Predictor, Windows

        self.progress("the QKeras model", 0, 1)
        masks = Predictor(model, Windows.of(data.validation.frames)).masks()
        found = StoiMeter(data.validation).improvement(masks).mean
        self.progress("the QKeras model", 1, 1)
        self._require_stoi("the QKeras model", found, MODEL_TOLERANCE)
        return found

    def program(self, float_model: Any, parameters: tuple[Parameter, ...], arithmetic: Arithmetic) -> IntegerProgram:
        """The integer arithmetic, from weights.bin."""
        from wordlength.objectives.integer import integer_program

        fmt = parse_format(arithmetic.input_format)
        if not isinstance(fmt, Fixed):
            raise BundleError(f"the input must be fixed point, but {CONFIG} has {fmt}")
        return integer_program(float_model, self.config.formats, fmt, parameters)

    def vectors(self, program: IntegerProgram) -> int:
        """Every layer of every test frame, computed again; how many frames."""
        from wordlength.search.export.vectors import layer_outputs, number_type, read_inputs

        codes = read_inputs(program, self.folder / VECTORS)
        places: dict[str, int] = {}
        for name, grid, made in layer_outputs(program, codes):
            kind = number_type(grid)
            start = places.get(name, 0)
            with (self.folder / VECTORS / f"{name}.bin").open("rb") as file:
                file.seek(start)
                held = np.frombuffer(file.read(made.size * kind.itemsize), kind)
            places[name] = start + made.size * kind.itemsize
            if not np.array_equal(held, made.reshape(-1)):
                raise BundleError(f"{VECTORS}/{name}.bin must be what the integer reference gives, but differs")
        for name, size in places.items():
            if (self.folder / VECTORS / f"{name}.bin").stat().st_size != size:
                raise BundleError(f"{VECTORS}/{name}.bin must hold {len(codes)} frames, but holds more")
        return len(codes)

    def layers(self, program: IntegerProgram, model: Any) -> str:
        """The integers against the QKeras model in float32; the line that tells of it."""
        from wordlength.search.export.c import plan
        from wordlength.search.export.proof import allowed_steps, compare_layers
        from wordlength.search.export.vectors import read_inputs

        codes = read_inputs(program, self.folder / VECTORS)
        tell = lambda done, total: self.progress("integers against float", done, total)  # noqa: E731
        rows = compare_layers(model, program, codes, tell)
        for stage, row in zip(plan(program), rows, strict=True):
            if row.largest_alone > (allowed := allowed_steps(stage)):
                raise BundleError(
                    f"layer {row.layer} must lie within {allowed} of its format's steps from float32, "
                    f"but lies {row.largest_alone} away"
                )
        last = rows[-1]
        return (
            f"integers and float32 agree layer by layer to {max(row.largest_alone for row in rows)} step; through the "
            f"whole network {1 - last.unequal:.1%} of outputs are equal, the others at most {last.largest} steps apart"
        )

    def c_stoi(self, network: Any, data: PreparedData) -> float:
        """STOI improvement through the C code, which must be near the logged one."""
        from wordlength.objectives.stoi import StoiMeter
        from wordlength.search.export.proof import stoi_through_c

        tell = lambda done, total: self.progress("STOI through C", done, total)  # noqa: E731
        found = stoi_through_c(network, data.validation.frames, StoiMeter(data.validation), tell).mean
        self._require_stoi("the C code", found, C_TOLERANCE)
        return found

    def _require_stoi(self, what: str, found: float, tolerance: float) -> None:
        logged = self.config.objectives.stoi_improvement
        if abs(found - logged) > tolerance:
            raise BundleError(
                f"{what} must reach the logged STOI improvement {logged:+.7f} to {tolerance:g}, "
                f"but reaches {found:+.7f}"
            )


def _json(path: Path) -> Mapping[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.name} must be readable JSON, but is not: {error}") from None
    if not isinstance(plain, dict):
        raise BundleError(f"{path.name} must be a JSON object, but is not")
    return plain
