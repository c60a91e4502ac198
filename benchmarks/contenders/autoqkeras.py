"""Contender (b): AutoQKeras of the original qkeras 0.9, used as its notebook advises.

    python3.10 -m venv build/autoqkeras-venv
    build/autoqkeras-venv/bin/pip install -r benchmarks/contenders/autoqkeras_requirements.txt
    build/autoqkeras-venv/bin/python benchmarks/contenders/autoqkeras.py --case CASE --out OUT --seed 0 --minutes 30

Several searches in turn, each with a forgiving factor (`stress`, `delta_p`, `delta_n`) and a limit of bits of its own
and an equal share of the minutes. Of each, the best models are built anew from the float weights, trained with two
passes over the subset, and measured.

What follows from qkeras itself:
- Separable convolutions are written as a depthwise and a 1 × 1 convolution, as in the notebook's "mobilenet" blocks:
  the forgiving factor does not count `SeparableConv2D` at all.
- `quantized_bits` fails with negative integer bits, and these weights are small. So fixed point mostly has
  `alpha='auto_po2'` (the default inside a layer: a power of two per output channel); its shifts count as memory.
- The exponents of `quantized_po2` begin at −1 and the narrow kinds do not reach these weights: only 4 and 5 bits.
  A largest value of 0.5 keeps all exponents within their bits.
- Only parameters count in the forgiving factor, since only they count in the benchmark.
- The search is random, as in the notebook: with 32 choices, one suggestion of keras-tuner's Bayesian search takes
  longer than several trials.
"""

import argparse
import math
import os
import shutil
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from common import Case, Recorder, improvement, packed_bytes
from qkeras.autoqkeras import AutoQKeras
from tensorflow.keras import layers

tf.get_logger().setLevel("ERROR")

TRIAL_WINDOWS = 5760
"""Windows of the subset on which a trial of a search trains; the best models train on all of it."""

CHECKED_WINDOWS = 2048
"""Training windows outside the subset on which a trial is judged."""

SAMPLED_WINDOWS = 64
"""Windows on which the float model's activations are looked at."""

SHIFT_BITS = 8
"""Stored per channel where a quantizer chooses a power-of-two scale."""

FINAL_TRIALS = 5
"""Trials that take as long as the training and measurement of one of the best models, as a first estimate."""

MODELS_PER_SETTING = 2
PREDICTION_BATCH = 512

KERNELS = {
    "binary": 1,
    "stochastic_binary": 1,
    "ternary": 2,
    "stochastic_ternary": 2,
    **{f"quantized_bits({bits},0,1,alpha='auto_po2')": bits for bits in range(2, 9)},
    "quantized_bits(6,0,1,alpha=1.0)": 6,
    "quantized_bits(8,0,1,alpha=1.0)": 8,
    "quantized_po2(4,0.5)": 4,
    "quantized_po2(5,0.5)": 5,
}
BIASES = {
    "quantized_bits(8,0,1,alpha=1.0)": 8,
    "quantized_bits(12,1,1,alpha=1.0)": 12,
    "quantized_bits(16,2,1,alpha=1.0)": 16,
    "quantized_po2(8,0.5)": 8,
}
ACTIVATION_BITS = (8, 10, 12, 16)
MASKS = {f"quantized_sigmoid({bits},0,1)": bits for bits in ACTIVATION_BITS}

SMALL_LAYER = 0.02
"""Layers with less than this share of the parameters have 4 to 8 bits in every search: they cost next to nothing."""


@dataclass
class Setting:
    """One search: most bits of the large kernels, and the forgiving factor (in percent, relative to 8 bits)."""

    kernel_bits: int
    stress: float
    delta_p: float
    delta_n: float
    rate: float = 2.0

    @property
    def label(self):
        return f"bits<={self.kernel_bits} stress={self.stress:g} delta={self.delta_p:g}/{self.delta_n:g}"

    @property
    def goal(self):
        factor = {"delta_p": self.delta_p, "delta_n": self.delta_n, "rate": self.rate, "stress": self.stress}
        sizes = {"input_bits": 8, "output_bits": 8, "ref_bits": 8, "config": {"default": ["parameters"]}}
        return {"type": "bits", "params": {**factor, **sizes}}


SETTINGS = (
    Setting(kernel_bits=4, stress=0.5, delta_p=4, delta_n=8),
    Setting(kernel_bits=3, stress=0.375, delta_p=4, delta_n=8),
    Setting(kernel_bits=2, stress=0.25, delta_p=8, delta_n=8),
    Setting(kernel_bits=6, stress=0.75, delta_p=2, delta_n=4),
    Setting(kernel_bits=8, stress=1.0, delta_p=1, delta_n=1),
)


def build_reference(case):
    """The float network with its activations as layers of their own, with the baseline's weights."""
    inputs = tf.keras.Input(tuple(case.info["input_shape"]))
    x = inputs
    for spec in case.info["layers"]:
        name, kind, activation = spec["name"], spec["class"], spec.get("activation")
        geometry = {key: spec[key] for key in ("kernel_size", "strides", "padding") if key in spec}
        if kind == "SeparableConv2D":
            x = layers.DepthwiseConv2D(**geometry, use_bias=False, name=f"{name}_depthwise")(x)
            x = layers.Conv2D(spec["filters"], 1, name=name)(x)
        elif kind == "Conv2D":
            x = layers.Conv2D(spec["filters"], **geometry, name=name)(x)
        elif kind == "Dense":
            x = layers.Dense(spec["units"], name=name)(x)
        elif kind == "AveragePooling2D":
            x = layers.AveragePooling2D(spec["pool_size"], name=name)(x)
        elif kind == "Reshape":
            x = layers.Reshape(spec["target_shape"], name=name)(x)
        elif kind == "Flatten":
            x = layers.Flatten(name=name)(x)
        else:
            raise ValueError(f"no counterpart in tf.keras 2.11 is written down for {kind}")
        if activation not in (None, "linear"):
            x = layers.Activation(activation, name=f"{name}_{activation}")(x)
    model = tf.keras.Model(inputs, x)
    model.set_weights(case.weights)
    return model


def mask_accuracy(targets):
    """A metric in place of accuracy: the share of the target masks' variance that the model explains."""
    variance = float(np.var(targets, axis=0).mean())

    def explained(y_true, y_pred):
        return 1.0 - tf.reduce_mean(tf.square(y_true - y_pred), axis=-1) / variance

    return explained


def relu_menu(values):
    """Quantizers of the widths searched, each with the integer bits of least squared error."""
    menu = {}
    for bits in ACTIVATION_BITS:
        errors = {}
        for integer in range(10):
            step = 2.0 ** (integer - bits)
            errors[integer] = np.mean((np.clip(np.round(values / step), 0, 2**bits - 1) * step - values) ** 2)
        menu[f"quantized_relu({bits},{min(errors, key=errors.get)})"] = bits
    return menu


def menus(reference, inputs):
    """AutoQKeras's quantization_config, and for every activation layer the names of its part of it."""
    activations = [layer for layer in reference.layers if isinstance(layer, layers.Activation)]
    taps = tf.keras.Model(reference.input, [layer.output for layer in activations])
    own = {}
    outputs = taps.predict(inputs, batch_size=PREDICTION_BATCH, verbose=0)
    for layer, values in zip(activations, outputs, strict=True):
        own[layer.name] = MASKS if layer.activation.__name__ == "sigmoid" else relu_menu(values.ravel())
    together = {name: bits for menu in own.values() for name, bits in menu.items()}
    config = {"kernel": KERNELS, "bias": BIASES, "activation": together, "linear": {}}
    return config, {name: list(menu) for name, menu in own.items()}


def limits(reference, activations, kernel_bits):
    """AutoQKeras's limit: the quantizers each layer may choose from."""
    limit, total = {}, reference.count_params()
    for layer in reference.layers:
        if layer.name in activations:
            limit[f"^{layer.name}$"] = [activations[layer.name]]
        elif layer.get_weights():
            small = layer.count_params() < SMALL_LAYER * total
            lowest, highest = (4, 8) if small else (1, kernel_bits)
            kernels = [name for name, bits in KERNELS.items() if lowest <= bits <= highest]
            limit[f"^{layer.name}$"] = [kernels, list(BIASES), []]
    return limit


def memory_bytes(model):
    """Packed bytes of all parameters, with the shifts of self-scaling quantizers."""
    tensors = []
    for layer in model.layers:
        weights = layer.get_weights()
        quantizers = layer.get_quantizers()[: len(weights)] if weights else []  # A layer without bias lists one more.
        for weight, quantizer in zip(weights, quantizers, strict=True):
            tensors.append((weight.size, quantizer.bits))
            if isinstance(getattr(quantizer, "alpha", None), str):
                tensors.append((weight.shape[-1], SHIFT_BITS))
    return packed_bytes(tensors)


class HalfCosine(tf.keras.callbacks.Callback):
    """Adam's step size falls along half a cosine to a tenth, as in wordlength's trainings."""

    def __init__(self, rate):
        super().__init__()
        self.rate, self.step = rate, 0

    def on_train_batch_begin(self, batch, logs=None):
        progress = self.step / (self.params["steps"] * self.params["epochs"])
        self.model.optimizer.learning_rate = self.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))
        self.step += 1


class Deadline(tf.keras.callbacks.Callback):
    """Ends the tuner's search in time for the best models to be trained and measured before `share_ends`.

    `final_seconds`: for one such model, if known from an earlier search.
    """

    def __init__(self, recorder, tuner, share_ends, final_seconds):
        super().__init__()
        self.recorder, self.tuner = recorder, tuner
        self.share_ends, self.final_seconds = share_ends, final_seconds
        self.began = recorder.seconds
        self.trials = 0

    def __deepcopy__(self, memo):  # The tuner copies its callbacks for every trial; this one has to see them all.
        return self

    def on_train_end(self, logs=None):
        self.trials += 1
        finals = MODELS_PER_SETTING * (self.final_seconds or FINAL_TRIALS * self.seconds_per_trial)
        if self.recorder.seconds + self.seconds_per_trial / 2 > self.share_ends - finals:
            self.tuner.oracle.max_trials = 1

    @property
    def seconds_per_trial(self):
        return (self.recorder.seconds - self.began) / max(1, self.trials)


@contextmanager
def quiet(path):
    """What AutoQKeras and the tuner print goes to a file."""
    with path.open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield


class Contender:
    """One run: the case, the float model and the record."""

    def __init__(self, case, out, recorder, seed):
        self.case, self.out, self.recorder, self.seed = case, out, recorder, seed
        self.batch, self.rate = case.info["batch_size"], case.info["quantized_learning_rate"]
        self.inputs, self.targets = case.training()
        generator = np.random.default_rng(seed)
        some = generator.permutation(len(self.inputs))[:TRIAL_WINDOWS]
        self.trial_data = self.inputs[some], self.targets[some]
        others = np.setdiff1d(case.train_windows, case.subset_windows)
        self.check = case.training(generator.choice(others, min(CHECKED_WINDOWS, len(others)), replace=False))
        self.reference = build_reference(case)
        self.metric = mask_accuracy(self.targets)
        self.compile(self.reference, [self.metric])
        self.config, self.activations = menus(self.reference, self.inputs[:: len(self.inputs) // SAMPLED_WINDOWS])
        self.final_seconds = 0.0
        self.trials = []

    def compile(self, model, metrics=None):
        model.compile(tf.keras.optimizers.legacy.Adam(self.rate), loss="mse", metrics=metrics)

    def measure(self, model):
        part = self.case.validation
        gain, _ = improvement(part, model.predict(part.inputs, batch_size=PREDICTION_BATCH, verbose=0))
        return gain

    def search(self, number, setting, share_ends):
        """Run AutoQKeras for its share of the time. Returns its object and the best models' choices, best first."""
        auto = AutoQKeras(
            self.reference,
            metrics=[self.metric],
            custom_objects={},
            goal=setting.goal,
            output_dir=str((self.out / "tuner" / str(number)).resolve()),
            mode="random",
            transfer_weights=True,
            limit=limits(self.reference, self.activations, setting.kernel_bits),
            tune_filters="none",
            tune_filters_exceptions="^$",
            learning_rate_optimizer=False,
            quantization_config=self.config,
            score_metric="val_score",
            max_trials=1000,  # Deadline ends the search.
            seed=self.seed + number,
        )
        build = auto.hypermodel.build

        def build_with_own_optimizer(hp):  # AutoQKeras shares the reference's optimizer among all trials.
            self.compile(self.reference, [self.metric])
            return build(hp)

        auto.hypermodel.build = build_with_own_optimizer
        clock = Deadline(self.recorder, auto.tuner, share_ends, self.final_seconds)
        callbacks = [clock, HalfCosine(self.rate)]
        data = {"validation_data": self.check, "batch_size": self.batch}
        auto.fit(*self.trial_data, epochs=1, callbacks=callbacks, verbose=0, **data)
        self.trials.append({"setting": setting.label, "trials": clock.trials, "seconds": clock.seconds_per_trial})
        return auto, auto.tuner.get_best_hyperparameters(MODELS_PER_SETTING)

    def finish(self, auto, choice, label):
        """Train a choice from the float weights, measure it and record it."""
        began = self.recorder.seconds
        model = auto.hypermodel.build(choice)
        self.compile(model)
        callbacks = [HalfCosine(self.rate)]
        model.fit(self.inputs, self.targets, batch_size=self.batch, epochs=2, callbacks=callbacks, verbose=0)
        gain, size = self.measure(model), memory_bytes(model)
        self.final_seconds = self.recorder.seconds - began
        test = self.case.test

        def test_masks():
            return model.predict(test.inputs, batch_size=PREDICTION_BATCH, verbose=0)

        self.recorder.point(label, "autoqkeras", gain, size, test_masks)
        return gain, size

    def run(self, settings):
        seconds = 60 * self.recorder.minutes
        log = self.out / "tuner.log"
        for number, setting in enumerate(settings):
            share_ends = seconds * (number + 1) / len(settings)
            with quiet(log):
                auto, choices = self.search(number, setting, share_ends)
            for rank, choice in enumerate(choices, start=1):
                if self.recorder.over:
                    break
                label = f"{setting.label} #{rank}"
                with quiet(log):
                    gain, size = self.finish(auto, choice, label)
                print(f"{self.recorder.seconds:7.1f} s  {gain:+.4f}  {size:7d} bytes  {label}", flush=True)
            shutil.rmtree(self.out / "tuner" / str(number), ignore_errors=True)  # A checkpoint of every trial.
            if self.recorder.over:
                break


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="run only the first so many searches")
    options = parser.parse_args()
    case = Case(options.case)
    tf.keras.utils.set_random_seed(options.seed)
    versions = ("tensorflow", "qkeras", "keras-tuner")
    recorder = Recorder(options.out, case, options.minutes, options.seed, versions)
    contender = Contender(case, options.out, recorder, options.seed)
    contender.run(SETTINGS[: options.settings])
    recorder.finish(searches=contender.trials)


if __name__ == "__main__":
    main()
