"""hls4ml/ of a bundle: a plain Keras model, hls4ml's configuration for it, what it must give, and what checks it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wordlength.objectives.integer import IntegerProgram, Integers
from wordlength.search.export.hls.nodes import Node
from wordlength.search.export.hls.readme import readme
from wordlength.search.export.hls.translate import translate

FOLDER = "hls4ml"
MODEL, CONFIGURATION, INPUTS, EXPECTED = "model.keras", "hls4ml_config.yml", "inputs.npy", "expected.npz"
CHECK, README = "check.py", "README.md"
WINDOWS = 20
"""Frames of the vectors that the C simulation runs on: it takes some 50 ms for each."""
_PROJECT = {
    "Backend": "Vitis",
    "ProjectName": "network",
    "OutputDir": "project",
    "Part": "xcvu13p-flga2577-2-e",
    "ClockPeriod": 5,
    "ClockUncertainty": "27%",
    "IOType": "io_stream",
}


def write_project(
    folder: Path, program: IntegerProgram, float_model: Any, codes: Integers, title: str
) -> dict[str, str]:
    """Write the folder, for some of the input codes (n, *input_shape).

    Where hls4ml cannot express a layer nothing is written. Returns these layers, and why.
    """
    translation = translate(program, float_model)
    if translation.refused:
        return dict(translation.refused)
    folder.mkdir()
    nodes, chosen = translation.nodes, windows(codes)
    keras_model(nodes).save(folder / MODEL)
    np.save(folder / INPUTS, program.input_grid.to_float(chosen))
    np.savez_compressed(folder / EXPECTED, **expected(program, nodes, chosen))
    for name, text in texts(nodes, title).items():
        (folder / name).write_text(text, encoding="utf-8")
    return {}


def texts(nodes: Iterable[Node], title: str) -> dict[str, str]:
    """File name → text."""
    check = Path(__file__).with_name("check.py").read_text(encoding="utf-8")
    return {CONFIGURATION: configuration(nodes, title), CHECK: check, README: readme(nodes, title)}


def windows(codes: Integers) -> Integers:
    """Some of the frames, evenly over all."""
    from wordlength.objectives.audio.prepared import spread

    return codes[spread(np.arange(len(codes), dtype=np.int32), WINDOWS)]


def keras_model(nodes: Iterable[Node]) -> Any:
    """The chain as a plain Keras model: float32, without formats, with the weights as they are stored."""
    import keras

    first, *others = nodes
    entry = values = keras.Input(first.settings["shape"], name=first.name)
    for node in others:
        values = getattr(keras.layers, node.kind)(**node.settings, name=node.name)(values)
    model = keras.Model(entry, values, name="network")
    for node in others:
        model.get_layer(node.name).set_weights(list(node.weights))
    return model


def configuration(nodes: Iterable[Node], title: str) -> str:
    """hls4ml's configuration, as its command line and `convert_from_keras_model` read it.

    No type by name is an ExponentPrecisionType: which weights may have it stands beside, for check.py.
    """
    nodes = list(nodes)
    layers = {node.name: node.entry() for node in nodes}
    # The default is for layers without an entry, and every layer has one.
    general = {
        "Precision": {"default": "ap_fixed<16,6>"},
        "ReuseFactor": 1,
        "Strategy": "Resource",
        "AllowDAFallback": False,
        "AllowV2Fallback": False,
    }
    exponents = {node.name: node.exponent_bits for node in nodes if node.exponent_bits}
    settings = {**_PROJECT, "HLSConfig": {"Model": general, "LayerName": layers}, "Exponents": exponents}
    body = yaml.safe_dump(settings, sort_keys=False)
    return f"# {title}\nKerasModel: !keras_model {MODEL}\n{body}"


def expected(program: IntegerProgram, nodes: Iterable[Node], codes: Integers) -> dict[str, Any]:
    """Node → what it must give for these input codes (n, …), in order; float32 where that is exact."""
    nodes = [node for node in nodes if node.step is not None]
    found: dict[str, Any] = {}
    for step, made in program.outputs(codes):
        for node in nodes:
            if node.step is step:
                values = node.values(made)
                single = values.astype(np.float32)
                found[node.name] = single if np.array_equal(single, values) else values
    return {node.name: found[node.name] for node in nodes}
