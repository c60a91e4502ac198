"""Accumulators against sums worked out by hand, kernel by kernel, in NumPy."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.objectives.analysis import Analyser
from wordlength.objectives.function_ranges import ANYTHING, range_of
from wordlength.objectives.integer import Sum, integer_program
from wordlength.objectives.quantized_model import QuantizedModel, quantize
from wordlength.objectives.report import Accumulator
from wordlength.objectives.settings import AnalysisSettings
from wordlength.objectives.training import Windows
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Format,
    PowerOfTwo,
    Role,
    Slot,
    VirtualBitShift,
)

pytestmark = pytest.mark.usefixtures("tensorflow")

WRAPPING = Fixed(8, 3, overflow="wrap")
RNG = np.random.default_rng(3)
FEATURES = RNG.standard_normal((40, 6)).astype(np.float32)
CURRENT = np.arange(15, 40, 3, dtype=np.int32)
INPUTS = np.stack([FEATURES[c - 15 : c + 1] for c in CURRENT])[..., None]


def convolutional() -> keras.Model:
    """Every way from one layer to the next: pooling, flattening, a separable layer, a linear one, sigmoid."""
    inputs = keras.Input((16, 6))
    x = layers.Reshape((16, 6, 1))(inputs)
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.AveragePooling2D((2, 2))(x)
    x = layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2, activation="tanh", name="separable")(x)
    x = layers.DepthwiseConv2D(2, use_bias=False, name="depthwise")(x)
    x = layers.ReLU(name="rectified")(x)
    x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Dense(4, activation="sigmoid", name="dense")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


class Case:
    def __init__(self) -> None:
        self.float_model = convolutional()
        for variable in self.float_model.weights:
            variable.assign(RNG.normal(0, 0.4, variable.shape))
        self.quantized: QuantizedModel = quantize(self.float_model)
        targets = np.zeros((40, 2), np.float32)
        windows = Windows(FEATURES, targets, CURRENT, 15, 0)
        self.analyser = Analyser(self.quantized, windows, CURRENT, AnalysisSettings(len(CURRENT)))
        self.slots = [info.slot for info in self.quantized.slots]
        # Every kind below is admitted before the first trace, so that there is one.
        for formats in ((VirtualBitShift(4), Fixed(9, 2), Binary()), (Fixed(4, 0), Fixed(9, 2), WRAPPING)):
            self.quantized.assign(uniform(self, *formats))
            self.analyser.admit(uniform(self, *formats).items())

    def accumulators(self, candidate: Candidate) -> dict[tuple[str, str], Accumulator]:
        self.quantized.assign(candidate)
        rows = self.analyser.analyse(candidate, step=2, epoch=1).accumulators
        assert {(row.step, row.epoch) for row in rows} == {(2, 1)}
        return {(row.layer, row.kernel.removesuffix("_kernel")): row for row in rows}

    def parameters(self, candidate: Candidate, layer: str, role: Role) -> list[np.ndarray]:
        """The quantized tensors, as formats see them put back in Keras' shape."""
        info = next(info for info in self.quantized.slots if info.slot == Slot(layer, role))
        variables = [variable.numpy() for variable in self.quantized.parameters(info.slot)]
        formats = info.formats(candidate[info.slot])
        return [
            fmt.round(value.reshape(tensor.packed_shape)).reshape(tensor.shape).astype(np.float64)
            for tensor, fmt, value in zip(info.tensors, formats, variables, strict=True)
        ]

    def value(self, layer: str, what: str) -> np.ndarray:
        """A layer's input or output on the analysed windows."""
        probe = keras.Model(self.quantized.model.inputs[0], getattr(self.quantized.model.get_layer(layer), what))
        return np.asarray(probe(INPUTS[..., 0]), np.float64)


@pytest.fixture(scope="module")
def case(tensorflow) -> Case:
    return Case()


def uniform(case: Case, weights: Format, biases: Format, activations: Format) -> Candidate:
    return Candidate.uniform(case.slots, weights, biases, activations)


def widest(kernel: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Σ w·x per output of (taps, in, out), every x at the worse of its ends; written out in loops."""
    low, high = np.zeros(kernel.shape[-1]), np.zeros(kernel.shape[-1])
    for tap, source, output in np.ndindex(*kernel.shape):
        ends = kernel[tap, source, output] * lowest[source], kernel[tap, source, output] * highest[source]
        low[output] += min(ends)
        high[output] += max(ends)
    return low, high


def assert_worst(row: Accumulator, low: np.ndarray, high: np.ndarray) -> None:
    assert (row.lowest_worst, row.highest_worst) == pytest.approx((low.min(), high.max()), rel=1e-12)
    assert -(2.0**row.integer_bits_worst) <= low.min()
    assert high.max() < 2.0**row.integer_bits_worst
    assert row.lowest_worst <= row.lowest_used <= row.highest_used <= row.highest_worst


FIXED = (Fixed(6, 0), Fixed(9, 2), Fixed(8, 3))


def fill(model: QuantizedModel, value: float) -> None:
    """One value everywhere: random ones may all happen to be even, and need a place less."""
    for variable in model.model.weights:
        variable.assign(np.full(variable.shape, value))


@pytest.mark.parametrize("formats", [FIXED, (VirtualBitShift(4), Fixed(9, 2), Fixed(7, 1))])
def test_exported_sums_have_the_widths_of_the_analysis(case: Case, formats: tuple[Format, ...]) -> None:
    """Of all layers whose input has a format; the first one's input gets one at the export."""
    candidate = uniform(case, *formats)
    rows = case.accumulators(candidate)
    steps = integer_program(case.float_model, candidate, Fixed(16, 3)).steps
    for step in (step for step in steps if isinstance(step, Sum) and step.layer != "conv"):
        row = rows[step.layer, step.kernel.info.name.removesuffix("_kernel")]
        ends = step.grid.to_float(np.array([step.grid.lowest, step.grid.highest]))
        assert ends == pytest.approx((row.lowest_worst, row.highest_worst), rel=1e-12)
        assert -step.exponent == row.fraction_bits
        assert row.bits_worst is not None
        assert step.grid.bits <= row.bits_worst <= step.grid.bits + 1


def test_one_row_per_kernel(case: Case) -> None:
    assert list(case.accumulators(uniform(case, *FIXED))) == [
        ("conv", "kernel"),
        ("separable", "depthwise"),
        ("separable", "pointwise"),
        ("depthwise", "kernel"),
        ("dense", "kernel"),
        ("last", "kernel"),
    ]


@pytest.mark.parametrize("weights", [Fixed(6, 0), PowerOfTwo(4, -1), VirtualBitShift(5, "channel")], ids=str)
def test_worst_cases_are_those_of_interval_arithmetic(case: Case, weights: Format) -> None:
    candidate = uniform(case, weights, Fixed(9, 2), Fixed(8, 3))
    rows = case.accumulators(candidate)
    highest = Fixed(8, 3).highest
    ends = np.zeros(3), np.full(3, highest)  # After relu; averaging stays inside.
    depthwise, pointwise = case.parameters(candidate, "separable", Role.WEIGHTS)
    sums = np.zeros(6), np.zeros(6)
    for channel, multiple in itertools.product(range(3), range(2)):
        kernel = depthwise[:, :, channel, multiple].reshape(9, 1, 1)
        low, high = widest(kernel, ends[0][channel : channel + 1], ends[1][channel : channel + 1])
        sums[0][channel * 2 + multiple], sums[1][channel * 2 + multiple] = low[0], high[0]
    assert_worst(rows["separable", "depthwise"], *sums)
    (bias,) = case.parameters(candidate, "separable", Role.BIASES)
    low, high = widest(pointwise.reshape(1, 6, 4), *sums)
    assert_worst(rows["separable", "pointwise"], low + bias, high + bias)
    (kernel,) = case.parameters(candidate, "depthwise", Role.WEIGHTS)  # After tanh: −1 … 1.
    spread = np.abs(kernel).sum((0, 1)).ravel()
    assert_worst(rows["depthwise", "kernel"], -spread, spread)
    (kernel,), (bias,) = (case.parameters(candidate, "dense", role) for role in (Role.WEIGHTS, Role.BIASES))
    low, high = widest(kernel[None], np.zeros(len(kernel)), np.full(len(kernel), highest))
    assert_worst(rows["dense", "kernel"], low + bias, high + bias)
    assert all(rows[key].bounded == (key[0] != "conv") for key in rows)


def test_used_ranges_are_those_of_the_sums(case: Case) -> None:
    candidate = uniform(case, *FIXED)
    rows = case.accumulators(candidate)
    for layer in ("conv", "separable", "depthwise", "dense", "last"):
        row = rows[layer, "pointwise" if layer == "separable" else "kernel"]
        sums = case.value(layer, "output")
        assert (row.lowest_used, row.highest_used) == pytest.approx((sums.min(), sums.max()), rel=1e-6)
    depthwise, _ = case.parameters(candidate, "separable", Role.WEIGHTS)
    padded = np.pad(case.value("separable", "input"), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    sums = sum(padded[:, i : i + height, j : j + width, :, None] * depthwise[i, j] for i in range(3) for j in range(3))
    row = rows["separable", "depthwise"]
    assert (row.lowest_used, row.highest_used) == pytest.approx((sums.min(), sums.max()), rel=1e-6)


@pytest.mark.parametrize(
    "formats",
    [FIXED, (PowerOfTwo(4, -1), Fixed(12, 2), Fixed(6, 1)), (VirtualBitShift(4), Fixed(9, 2), PowerOfTwo(4, 0, True))],
    ids=lambda formats: " ".join(map(str, formats)),
)
def test_every_sum_is_a_whole_number_of_its_last_bit(case: Case, formats: tuple[Format, ...]) -> None:
    """In exact arithmetic; and one place less would not do for the layer whose last bit is in use."""
    candidate = uniform(case, *formats)
    rows = case.accumulators(candidate)
    assert rows["conv", "kernel"].fraction_bits is None  # The model's input has no format.
    tight = 0
    for layer in ("depthwise", "dense", "last"):
        (kernel,) = case.parameters(candidate, layer, Role.WEIGHTS)
        biases = case.parameters(candidate, layer, Role.BIASES) if layer != "depthwise" else [np.zeros(1)]
        products = kernel[..., None] * case.value(layer, "input").ravel()[:200]
        places = rows[layer, "kernel"].fraction_bits
        scaled = np.concatenate([products.ravel(), biases[0].ravel()]) * 2.0**places
        np.testing.assert_array_equal(scaled, np.rint(scaled))
        tight += bool((scaled % 2).any())
    assert tight


def test_averaging_adds_places_and_pools_of_three_have_none(case: Case) -> None:
    rows = case.accumulators(uniform(case, Fixed(6, 0), Fixed(9, 2), Fixed(8, 3)))
    assert rows["separable", "depthwise"].fraction_bits == 5 + 4 + 2  # Weights, activations, 2 x 2 windows.
    inputs = keras.Input((16, 6))
    x = layers.Conv1D(2, 3, activation="relu", name="one")(inputs)
    x = layers.Conv1D(2, 3, activation="relu", name="two")(layers.AveragePooling1D(3)(x))
    model = quantize(keras.Model(inputs, layers.Dense(2, name="three")(layers.GlobalAveragePooling1D()(x))))
    windows = Windows(FEATURES, np.zeros((40, 2), np.float32), CURRENT, 15, 0)
    analyser = Analyser(model, windows, CURRENT, AnalysisSettings(9))
    fill(model, 2.0**-5)
    candidate = Candidate.uniform([info.slot for info in model.slots], *FIXED)
    model.assign(candidate)
    one, two, three = analyser.analyse(candidate, 2, 1).accumulators
    assert (one.bounded, one.fraction_bits, one.bits_worst) == (False, None, None)
    assert (two.bounded, two.fraction_bits, two.bits_worst) == (True, None, None)
    assert (three.bounded, three.fraction_bits) == (True, 5 + 4 + 1)  # Two windows are averaged.


def test_binary_inputs_and_float_layers(case: Case) -> None:
    candidate = uniform(case, Fixed(6, 0), Fixed(9, 2), Binary())
    row = case.accumulators(candidate)["dense", "kernel"]
    (kernel,), (bias,) = (case.parameters(candidate, "dense", role) for role in (Role.WEIGHTS, Role.BIASES))
    assert row.highest_worst == (np.maximum(kernel, 0).sum(0) + bias).max()
    assert row.fraction_bits == 6  # The bias': inputs are whole, weights have 5 places.
    for formats in ((Float32(), Fixed(9, 2), Fixed(8, 3)), (Fixed(6, 0), Float32(), Fixed(8, 3))):
        assert case.accumulators(uniform(case, *formats))["dense", "kernel"].bits_worst is None
    row = case.accumulators(uniform(case, Fixed(6, 0), Fixed(9, 2), Float32()))["dense", "kernel"]
    assert not row.bounded
    assert math.isfinite(row.highest_worst)


def test_wrapping_inputs_may_be_negative_even_after_relu(case: Case) -> None:
    row = case.accumulators(uniform(case, Fixed(6, 0), Fixed(9, 2), WRAPPING))["dense", "kernel"]
    saturating = case.accumulators(uniform(case, *FIXED))["dense", "kernel"]
    assert row.lowest_worst < saturating.lowest_worst


def test_widths_count_the_sign() -> None:
    row = Accumulator("a", "kernel", 1, 1, -5.0, 3.0, -4.0, 1.5, fraction_bits=4, bounded=True)
    assert (row.integer_bits_worst, row.integer_bits_used) == (3, 2)  # −4 itself fits two integer bits.
    assert (row.bits_worst, row.bits_used) == (8, 7)
    assert Accumulator("a", "kernel", 1, 1, 0, 0, 0, 0, None, False).bits_worst is None


def test_padded_windows_that_overlap_have_no_finite_fraction() -> None:
    """At the edges they divide by 3 and 2; and without a bias the last bit is the product's."""
    inputs = keras.Input((16, 6))
    x = layers.Conv1D(2, 3, activation="relu", name="one")(inputs)
    overlapping = layers.AveragePooling1D(4, strides=1, padding="same")(x)
    tiling = layers.AveragePooling1D(2, padding="same")(x)
    outputs = [
        layers.Dense(2, use_bias=False, name=name)(layers.Flatten()(pooled))
        for name, pooled in (("overlapping", overlapping), ("tiling", tiling))
    ]
    model = quantize(keras.Model(inputs, layers.Concatenate()(outputs)))
    windows = Windows(FEATURES, np.zeros((40, 4), np.float32), CURRENT, 15, 0)
    analyser = Analyser(model, windows, CURRENT, AnalysisSettings(9))
    fill(model, 2.0**5)
    candidate = Candidate.uniform([info.slot for info in model.slots], Fixed(4, 8), Fixed(9, 2), Fixed(8, 7))
    model.assign(candidate)
    rows = {row.layer: row for row in analyser.analyse(candidate, 2, 1).accumulators}
    assert rows["overlapping"].fraction_bits is None
    assert (
        rows["tiling"].fraction_bits == 0 + 1 - 5
    )  # Activations in steps of 1, halves from averaging, weights of 2^5.


def test_a_users_function_is_not_taken_for_keras_own_of_its_name() -> None:
    def tanh(x):
        return 3 * keras.ops.tanh(x)

    assert range_of(keras.activations.tanh) == (-1, 1)
    assert range_of(tanh) == ANYTHING
