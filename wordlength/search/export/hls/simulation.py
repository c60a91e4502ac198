"""hls4ml/ of a bundle against the integer program, and hls4ml's C simulation of it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from wordlength.arrays import DoubleArray
from wordlength.errors import BundleError, first_line
from wordlength.objectives.integer import IntegerProgram, Integers
from wordlength.search.export.hls.project import (
    CHECK,
    CONFIGURATION,
    EXPECTED,
    FOLDER,
    INPUTS,
    MODEL,
    configuration,
    expected,
    keras_model,
    texts,
    windows,
)
from wordlength.search.export.hls.translate import translate
from wordlength.stages import StageProgress

_COMPILER = "g++"
"""The one that hls4ml calls."""
_SIMULATION = "hls4ml's C simulation"


def check_hls4ml(
    folder: Path,
    codes: Integers,
    program: IntegerProgram,
    float_model: Any,
    refused: Mapping[str, str],
    title: str,
    run: bool,
    progress: StageProgress,
) -> tuple[list[str], list[str]]:
    """What `verify` says of a bundle's hls4ml/, and what it leaves out: the simulation, unless `run`.

    `codes`: the bundle's test frames, (n, *input_shape). `refused`: the layers that hls4ml cannot express, as the
    bundle has it. `title`: the bundle's, or empty if another version of wordlength wrote it: its check.py and README
    are not judged then. Raises BundleError if something is not as it must be.
    """
    found = check_project(folder, program, float_model, codes, title)
    if found != refused:
        raise BundleError(f"the bundle must say what hls4ml cannot express, {found}, but says {dict(refused)}")
    if found:
        return [], [f"{FOLDER}, which cannot express " + "; ".join(f"{layer}: {why}" for layer, why in found.items())]
    lines = [f"{FOLDER}/ holds the network, its types and {len(windows(codes))} of the test frames"]
    if absent := "--no-fpga" if not run else missing():
        return lines, [f"{_SIMULATION} ({absent})"]
    progress(_SIMULATION, 0, 1)
    lines.append(f"{_SIMULATION}: {simulate(folder)}")
    progress(_SIMULATION, 1, 1)
    return lines, []


def missing() -> str:
    """What the C simulation needs and is not here, and how to get it; empty if nothing is missing."""
    if importlib.util.find_spec("hls4ml") is None:
        return "pip install 'wordlength[fpga]'"
    return "" if shutil.which(_COMPILER) else f"{_COMPILER} is not here"


def check_project(
    folder: Path, program: IntegerProgram, float_model: Any, codes: Integers, title: str
) -> dict[str, str]:
    """Raise BundleError unless a bundle's hls4ml/ is this program's, with these test frames (n, *input_shape).

    Returns the layers that hls4ml cannot express, and why: then there must be no such folder.
    """
    translation = translate(program, float_model)
    if folder.exists() == bool(translation.refused):
        must = "not be there, since hls4ml cannot express every layer" if folder.exists() else "be there, but is not"
        raise BundleError(f"{FOLDER}/ must {must}")
    if translation.refused:
        return dict(translation.refused)
    nodes, chosen = translation.nodes, windows(codes)
    wanted, again = expected(program, nodes, chosen), keras_model(nodes)
    held = _Held.read(folder)
    for name, text in texts(nodes, title).items() if title else ():
        _require(name, (folder / name).is_file() and (folder / name).read_bytes() == text.encode())
    _require(CONFIGURATION, held.configuration == _parsed(configuration(nodes, "")))
    _require(INPUTS, np.array_equal(held.inputs, program.input_grid.to_float(chosen)))
    _require(EXPECTED, list(held.expected) == list(wanted) and _equal(held.expected.values(), wanted.values()))
    same = json.loads(held.model.to_json()) == json.loads(again.to_json())
    _require(MODEL, same and _equal(held.model.get_weights(), again.get_weights()))
    return {}


def simulate(folder: Path) -> str:
    """Compile and run hls4ml's C simulation of a bundle's hls4ml/, in a process of its own; what it found.

    Raises BundleError if a type or an output is not as it must be. A simulation that fails an assertion ends its
    process. The script that looks is this package's, not the bundle's.
    """
    with tempfile.TemporaryDirectory() as place:
        for name in (MODEL, CONFIGURATION, INPUTS, EXPECTED):
            shutil.copy(folder / name, place)
        shutil.copy(Path(__file__).with_name(CHECK), place)
        done = subprocess.run([sys.executable, CHECK], cwd=place, capture_output=True, text=True)
    if done.returncode:
        # What ended early left its reason on the other channel.
        said = (done.stdout if done.returncode == 1 and "Traceback" not in done.stderr else done.stderr).strip()
        raise BundleError(f"{_SIMULATION} must give the test frames, but: {(said.splitlines() or ['?'])[-1]}")
    return done.stdout.strip().splitlines()[-1]


@dataclass(frozen=True)
class _Held:
    """What a bundle's hls4ml/ holds."""

    configuration: Any
    inputs: DoubleArray
    expected: Mapping[str, npt.NDArray[Any]]
    model: Any

    @classmethod
    def read(cls, folder: Path) -> _Held:
        import keras

        try:
            with np.load(folder / EXPECTED) as arrays:
                outputs = {name: arrays[name] for name in arrays}
            text = (folder / CONFIGURATION).read_text(encoding="utf-8")
            return cls(_parsed(text), np.load(folder / INPUTS), outputs, keras.models.load_model(folder / MODEL))
        except Exception as error:  # Keras, NumPy and PyYAML raise all kinds.
            raise BundleError(f"{FOLDER}/ must be readable, but is not: {first_line(error)}") from None


def _parsed(text: str) -> Any:
    """A configuration, the model's file as text."""
    return yaml.safe_load(text.replace("!keras_model ", ""))


def _equal(some: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


def _require(name: str, right: bool) -> None:
    if not right:
        raise BundleError(f"{FOLDER}/{name} must be what the export of these weights and test frames gives, but is not")
