"""Convert this network with hls4ml, compile its C simulation, and compare every layer with expected.npz.

python check.py [--to FOLDER] [--fixed]

--to FOLDER keeps the hls4ml project there, to go on with it. Weights that are powers of two become an
ExponentPrecisionType (products are shifts); --fixed takes the ap_fixed of the configuration for them.

Exit status 0 if everything up to the first sigmoid or tanh is equal to the last bit, and their outputs lie as near as
their tables allow; else 1. The last line says what was found. Needs hls4ml 1.3, Keras 3, TensorFlow and g++.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

if not hasattr(np, "product"):  # hls4ml 1.3 asks for it when it writes exponents.
    np.product = np.prod  # type: ignore[attr-defined]

import hls4ml
import yaml
from hls4ml.converters.keras_v3._base import registry
from hls4ml.model.quantizers import Quantizer
from hls4ml.model.types import ExponentPrecisionType

HERE = Path(__file__).resolve().parent
BEYOND = {"sigmoid": 3.36e-4, "tanh": 6.71e-4}
"""How far the function lies from its limit where hls4ml's table ends."""
TABLE = 2.0**-16
"""What a table may add where the output's steps are finer than this."""


def read_configuration() -> Any:
    """hls4ml_config.yml, the model left out."""
    lines = (HERE / "hls4ml_config.yml").read_text(encoding="utf-8").splitlines()
    return yaml.safe_load("\n".join(line for line in lines if not line.startswith("KerasModel:")))


class Exponents(Quantizer):  # type: ignore[misc]
    """The weights are powers of two as they are."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, ExponentPrecisionType(width=bits, signed=True))

    def __call__(self, data: Any) -> Any:
        """Nothing is left to round."""
        return data

    def serialize_state(self) -> dict[str, int]:
        """For hls4ml's own files."""
        return {"bits": self.bits}


def use_exponents(widths: dict[str, int]) -> None:
    """Have hls4ml read these layers' kernels as powers of two: it asks quantizers for that, no configuration."""

    def with_exponents(old: Any) -> Any:
        def read(layer: Any, inputs: Any, outputs: Any) -> Any:
            first, *rest = old(layer, inputs, outputs)
            if layer.name in widths:
                depthwise = type(layer).__name__.startswith("Depthwise")
                first["depthwise_quantizer" if depthwise else "weight_quantizer"] = Exponents(widths[layer.name])
            return (first, *rest)

        return read

    for key, old in registry.items():
        if key.rpartition(".")[2] in ("Dense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"):
            registry[key] = with_exponents(old)


def convert(configuration: Any, traced: list[str], folder: str) -> Any:
    """The hls4ml model, set to hand out the outputs of some layers."""
    settings, exponents = configuration["HLSConfig"], configuration["Exponents"]
    for name in traced:
        settings["LayerName"][name]["Trace"] = True
    for name in exponents:
        settings["LayerName"][name]["Precision"]["weight"] = "auto"  # The quantizer's.
    use_exponents(exponents)
    return hls4ml.converters.convert_from_keras_model(
        keras.models.load_model(HERE / "model.keras"),
        output_dir=folder,
        project_name=configuration["ProjectName"],
        backend=configuration["Backend"],
        io_type=configuration["IOType"],
        part=configuration["Part"],
        clock_period=configuration["ClockPeriod"],
        clock_uncertainty=configuration["ClockUncertainty"],
        hls_config=settings,
        allow_da_fallback=False,
        allow_v2_fallback=False,
    )


def wrong_types(model: Any, configuration: Any) -> list[str]:
    """Where hls4ml did not take what the configuration says: it passes over names that it does not know."""
    read = model.config.backend.convert_precision_string
    nodes = {node.name: node for node in model.get_layers()}
    wrong = []
    for name, entry in configuration["HLSConfig"]["LayerName"].items():
        node = nodes.pop(name, None) or nodes.pop(f"repack_{name}", None)
        if node is None:
            wrong.append(f"{name} must be a layer of hls4ml's, but is none")
            continue
        asked = {what: read(text) for what, text in entry["Precision"].items()}
        if "table_t" in entry:
            asked["table"] = read(entry["table_t"])
        if name in configuration["Exponents"]:
            asked["weight"] = ExponentPrecisionType(width=configuration["Exponents"][name], signed=True)
        for what, precision in asked.items():
            found = node.get_output_variable().type if what == "result" else node.get_attr(f"{what}_t")
            if found is None or found.precision != precision:
                wrong.append(f"{name} must have {what} {precision}, but has {getattr(found, 'precision', None)}")
        if "TableSize" in entry and node.get_attr("table_size") != entry["TableSize"]:
            wrong.append(f"{name} must have {entry['TableSize']} entries, but has {node.get_attr('table_size')}")
    for name, node in nodes.items():  # Added by hls4ml: padding, which must leave its input's type.
        if node.get_output_variable().type.precision != node.get_input_variable().type.precision:
            wrong.append(f"{name}, which hls4ml added, must have the type of its input, but has another")
    return wrong


class Comparison:
    """What was found so far, layer by layer from the input on."""

    def __init__(self) -> None:
        self.equal: list[str] = []
        self.wrong: list[str] = []
        self.told: list[str] = []
        self.table = ""

    def add(self, node: Any, found: Any, wanted: Any) -> None:
        """Compare one layer."""
        found, wanted = np.ravel(found).astype(np.float64), np.ravel(wanted).astype(np.float64)
        apart = np.abs(found - wanted)
        function = node.get_attr("activation")
        step = 2.0 ** -node.get_output_variable().type.precision.fractional
        off = "every output equal"
        if apart.any():
            steps = apart.max() / step
            off = f"{np.count_nonzero(apart):,} of {apart.size:,} outputs differ, by up to {steps:g} of its steps"
        if function in BEYOND:
            self.told.append(f"{node.name}: {off}")
            if not self.table and (apart > allowed(function, wanted, step)).any():
                self.wrong.append(f"{node.name} must lie as near as its table allows, but {off}")
            self.table = self.table or node.name
        elif self.table:
            self.told.append(f"{node.name}, behind {self.table}: {off}")
        elif apart.any():
            self.wrong.append(f"{node.name} must equal the integers, but {off}")
        else:
            self.equal.append(node.name)


def allowed(function: str, wanted: Any, step: float) -> Any:
    """How far each output of a table may lie off; it ends where the function is nearer to its limits than BEYOND."""
    to_limit = 1 - np.abs(wanted) if function == "tanh" else np.minimum(wanted, 1 - wanted)
    return step + (TABLE if step < TABLE else 0) + BEYOND[function] * (to_limit <= BEYOND[function] + step)


def check(configuration: Any, folder: str) -> int:
    """Exit status; prints what it finds."""
    expected = np.load(HERE / "expected.npz")
    inputs = np.ascontiguousarray(np.load(HERE / "inputs.npy"), np.float64)
    model = convert(configuration, list(expected), folder)
    if wrong := wrong_types(model, configuration):
        print("\n".join(wrong))
        return 1
    output, traced = model.trace(inputs)
    comparison, nodes = Comparison(), {node.name: node for node in model.get_layers()}
    for name, wanted in expected.items():
        comparison.add(nodes[name], traced[name], wanted)
    last = list(expected)[-1]
    if not np.array_equal(np.ravel(output), np.ravel(traced[last])):
        comparison.wrong.append(f"the output must be that of {last}, but is not")
    if comparison.wrong:
        print(comparison.wrong[0])
        return 1
    told = "".join(f"; {line}" for line in comparison.told)
    layers = "1 layer" if len(comparison.equal) == 1 else f"{len(comparison.equal)} layers"
    print(f"{layers} of {len(inputs)} frames equal to the last bit{told}")
    return 0


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description="Check this network's hls4ml project.")
    parser.add_argument("--to", help="keep the project in this folder")
    parser.add_argument("--fixed", action="store_true", help="no ExponentPrecisionType")
    asked, configuration = parser.parse_args(), read_configuration()
    if asked.fixed:
        configuration["Exponents"] = {}
    with tempfile.TemporaryDirectory() as place:
        return check(configuration, str(Path(asked.to or place).resolve()))


if __name__ == "__main__":
    sys.exit(main())
