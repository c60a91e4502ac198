"""Contender (a): the loop a competent user would write with Optuna and QKeras alone.

    .venv/bin/python benchmarks/contenders/plain_loop.py --case CASE --out OUT --seed 0 --minutes 30

TPE on both objectives chooses each layer's weight format (fixed point or power of two, bits, integer bits) and
activation format. Every trial builds fresh QKeras models, trains them in two steps from the float baseline and
measures STOI on the validation mixtures. Nothing is enqueued, and TensorFlow has its own choice of threads.
"""

import argparse
import math
import os
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import optuna
from common import Case, Recorder, improvement, packed_bytes
from qkeras import QActivation, QConv2D, QDense, QSeparableConv2D, quantized_bits, quantized_po2, quantized_relu

BIAS_BITS, BIAS_INTEGER = 16, 2
PREDICTION_BATCH = 128
PACKAGES = ("optuna", "tensorflow", "keras", "qkeras-v3")


class LayerFormats(NamedTuple):
    """Of one layer. Integer bits exclude the sign; for `po2` weights they are the largest exponent."""

    kind: str
    bits: int
    integer: int
    activation_bits: int
    activation_integer: int


class Trial(NamedTuple):
    """A trained and measured candidate."""

    model: keras.Model
    stoi_improvement: float
    memory_bytes: int


class Workbench:
    """The case, its inputs laid out for Keras, and the seconds spent in each phase of the trials so far."""

    def __init__(self, case):
        self.case = case
        self.inputs, self.targets = case.training()
        self.validation_inputs = case.validation.inputs
        self.seconds = defaultdict(float)

    def evaluate(self, formats):
        """Train the candidate {layer: LayerFormats} in two steps and measure it. Raises ValueError if it diverged."""
        keras.backend.clear_session()
        info = self.case.info
        model = self._train(formats, False, self.case.weights, info["step_one_epochs"])
        model = self._train(formats, True, model.get_weights(), info["step_two_epochs"])
        with self._timed("prediction"):
            masks = predict(model, self.validation_inputs)
        with self._timed("stoi"):
            mean, _ = improvement(self.case.validation, masks)
        return Trial(model, mean, memory_bytes(info["layers"], formats))

    def record(self, recorder, label, done):
        """Hand a finished trial to the recorder."""
        recorder.point(
            label,
            "two-step",
            done.stoi_improvement,
            done.memory_bytes,
            lambda: predict(done.model, self.case.test.inputs),
        )

    def _train(self, formats, quantize_activations, weights, epochs):
        info = self.case.info
        with self._timed("build"):
            model = build(info, formats, quantize_activations)
            model.set_weights(weights)
            # Without XLA, which makes these graphs several times slower on a CPU.
            optimizer = keras.optimizers.Adam(info["quantized_learning_rate"])
            model.compile(optimizer, loss="mse", jit_compile=False)
        with self._timed("training"):  # Tracing included.
            model.fit(self.inputs, self.targets, batch_size=info["batch_size"], epochs=epochs, verbose=0)
        return model

    @contextmanager
    def _timed(self, phase):
        began = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - began


def build(info, formats, quantize_activations):
    """The case's network of QKeras layers: parameters quantized, activations too or as in the float model."""
    x = inputs = keras.Input(info["input_shape"])
    for layer in info["layers"]:
        x = quantized_layer(layer, formats.get(layer["name"]), quantize_activations)(x)
        if layer.get("activation") == "sigmoid":
            x = keras.layers.Activation("sigmoid")(x)
            if quantize_activations:
                last = formats[layer["name"]]
                x = QActivation(quantized_bits(last.activation_bits, last.activation_integer, alpha=1.0))(x)
    return keras.Model(inputs, x)


def quantized_layer(layer, fmt, quantize_activations):
    """One layer, with its relu but without its sigmoid."""
    name, kind = layer["name"], layer["class"]
    if kind == "Reshape":
        return keras.layers.Reshape(layer["target_shape"], name=name)
    if kind == "AveragePooling2D":
        return keras.layers.AveragePooling2D(layer["pool_size"], layer["strides"], layer["padding"], name=name)
    if kind == "Flatten":
        return keras.layers.Flatten(name=name)
    common = {"name": name, "bias_quantizer": quantized_bits(BIAS_BITS, BIAS_INTEGER, alpha=1.0)}
    if layer["activation"] == "relu":
        quantized = quantized_relu(fmt.activation_bits, fmt.activation_integer) if quantize_activations else None
        common["activation"] = quantized or "relu"
    if kind == "Dense":
        return QDense(layer["units"], kernel_quantizer=weight_quantizer(fmt), **common)
    common |= {key: layer[key] for key in ("filters", "kernel_size", "strides", "padding")}
    if kind == "Conv2D":
        return QConv2D(kernel_quantizer=weight_quantizer(fmt), **common)
    if kind == "SeparableConv2D":
        quantizers = {"depthwise_quantizer": weight_quantizer(fmt), "pointwise_quantizer": weight_quantizer(fmt)}
        return QSeparableConv2D(**quantizers, **common)
    raise ValueError(f"layer class must be one of the case study's, but {name} is a {kind}")


def weight_quantizer(fmt):
    if fmt.kind == "fixed":
        # alpha must be given: QKeras' layers turn None into a scale per channel, which nobody counts as memory.
        return quantized_bits(fmt.bits, fmt.integer, alpha=1.0)
    quantizer = quantized_po2(fmt.bits, max_value=2.0**fmt.integer)
    # QKeras' own exponents are one too many for the bits at a largest value of 1, and too few below 1/2 and above 1.
    quantizer._min_exp, quantizer._max_exp = fmt.integer - 2 ** (fmt.bits - 1) + 1, fmt.integer
    return quantizer


def memory_bytes(layers, formats):
    """Bytes of all parameters packed at their widths; the last tensor of a layer is its bias."""
    tensors = []
    for layer in layers:
        if layer["name"] in formats:
            counts = [math.prod(shape) for shape in layer["weight_shapes"]]
            tensors += [(count, formats[layer["name"]].bits) for count in counts[:-1]] + [(counts[-1], BIAS_BITS)]
    return packed_bytes(tensors)


def quantizable(info):
    """Names of the layers with parameters."""
    return [layer["name"] for layer in info["layers"] if layer["weight_shapes"]]


def predict(model, inputs):
    return model.predict(inputs, batch_size=PREDICTION_BATCH, verbose=0)


def suggest(trial, names):
    """{layer: LayerFormats} of one Optuna trial."""
    formats = {}
    for name in names:
        kind = trial.suggest_categorical(f"{name}.kind", ["fixed", "po2"])
        formats[name] = LayerFormats(
            kind,
            trial.suggest_int(f"{name}.{kind}.bits", 2, 8 if kind == "fixed" else 5),
            trial.suggest_int(f"{name}.{kind}.integer", -3, 1),
            trial.suggest_int(f"{name}.activation.bits", 8, 16),
            trial.suggest_int(f"{name}.activation.integer", 1, 4),
        )
    return formats


def arguments(description):
    """The options that all contenders have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--case", type=Path, required=True, help="folder written by case.py")
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30)
    return parser.parse_args()


def search(bench, recorder, seed):
    """Trials until the time is up; returns how many diverged."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed))
    names, failed = quantizable(bench.case.info), 0
    while not recorder.over:
        trial = study.ask()
        try:
            done = bench.evaluate(suggest(trial, names))
        except ValueError:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            failed += 1
            continue
        study.tell(trial, [done.stoi_improvement, done.memory_bytes])
        bench.record(recorder, trial.number, done)
    return failed


def main():
    options = arguments("The plain loop: Optuna and QKeras.")
    case = Case(options.case)
    keras.utils.set_random_seed(options.seed)
    recorder = Recorder(options.out, case, options.minutes, options.seed, PACKAGES)
    bench = Workbench(case)
    failed = search(bench, recorder, options.seed)
    recorder.finish(failed=failed, phase_seconds=dict(bench.seconds))


if __name__ == "__main__":
    main()
