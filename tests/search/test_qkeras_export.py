"""The plain QKeras model: to the last bit the trial's outputs, from QKeras' own quantizers wherever they can."""

import itertools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import qkeras
import tensorflow as tf
from keras import layers

from wordlength.errors import FormatError
from wordlength.objectives.quantized_model import frozen
from wordlength.search.export.qkeras_model import PlainModel, plain_model
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Role,
    Rounding,
    Slot,
    SlotInfo,
    VirtualBitShift,
    find_slots,
)

pytestmark = pytest.mark.usefixtures("tensorflow")

LARGEST = np.finfo(np.float32).max
KERNEL, OUTPUT = Slot("only", Role.WEIGHTS), Slot("only", Role.ACTIVATIONS)


def hard_values(fmt: Format) -> np.ndarray:
    """Float32s of all magnitudes, the format's codes, ties and ends, the turns of powers, and their neighbours."""
    rng = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-126, 128)
    low, high = (fmt.lowest_code, fmt.highest_code) if isinstance(fmt, Fixed) else (-8, 8)
    centres = np.array([0, low, high, high // 2, 2 * low, 2 * high, 2**24, 2**25 + 2])
    halves = (2 * centres[:, None] + np.arange(-9, 10)).ravel() * (fmt.smallest_magnitude / 2)
    anywhere = rng.normal(size=3000) * 2.0 ** rng.uniform(-40, 60, 3000)
    within = rng.normal(size=3000) * max(fmt.highest, fmt.smallest_magnitude)
    values = np.concatenate([[0, 1e-45, 3e-39, LARGEST], powers, np.sqrt(2) * powers[:-1], halves, anywhere, within])
    values = np.float32(values)
    with np.errstate(over="ignore"):
        values = np.concatenate([values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, -values)])
    values = np.concatenate([values, -values])
    return values[np.isfinite(values)]


def one_neuron(function: layers.Layer | str | None) -> keras.Model:
    """Its sum is its input."""
    own = None if isinstance(function, layers.Layer) else function
    after = [function] if isinstance(function, layers.Layer) else []
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, own, use_bias=False, name="only"), *after])
    model.set_weights([np.ones((1, 1), np.float32)])
    return model


def with_output(model: keras.Model, fmt: Format) -> PlainModel:
    """All float32 but for the only ACTIVATIONS slot."""
    formats = {info.slot: fmt if info.slot.role is Role.ACTIVATIONS else Float32() for info in find_slots(model)}
    return plain_model(tuple(model.get_weights()), model, Candidate.of(formats))


def assert_output_is_rounded(plain: PlainModel, model: keras.Model, fmt: Format, x: np.ndarray) -> None:
    given = model(x).numpy()
    wanted = fmt.round(x if isinstance(fmt, Binary) else given)
    assert (wanted != given).any()
    np.testing.assert_array_equal(plain.model(x), wanted)
    np.testing.assert_array_equal(tf.function(plain.model)(x), wanted)


FUNCTIONS = {
    "linear": lambda: None,
    "relu": lambda: "relu",
    "sigmoid": lambda: "sigmoid",
    "tanh layer": lambda: layers.Activation("tanh", name="then"),
    "relu layer": lambda: layers.ReLU(name="then"),
    "bounded layer": lambda: layers.ReLU(6, name="then"),
    "cut layer": lambda: layers.ReLU(threshold=2, name="then"),
    "leaky layer": lambda: layers.LeakyReLU(0.25, name="then"),
}
PLAIN_OUTPUTS = (
    Fixed(16, 2),
    Fixed(4, -2),
    Fixed(2, 5),
    Fixed(24, 0),
    Fixed(25, 1),
    Fixed(32, -32),
    Fixed(32, 32),
    Fixed(8, 1, signed=False),
    Fixed(1, 1, signed=False),
    Fixed(6, -5, signed=False),
    Fixed(24, 32, signed=False),
    Fixed(32, 0, signed=False),
    PowerOfTwo(1, 0),
    PowerOfTwo(1, -9),
    Binary(3.0),
)


@pytest.mark.parametrize("fmt", PLAIN_OUTPUTS, ids=str)
def test_qkeras_rounds_every_float32_as_the_format(fmt: Format) -> None:
    values = hard_values(fmt)
    # quantized_relu multiplies by 2^bits and divides by 2^integer_bits before it clips.
    below = values[np.abs(values) < min(2.0 ** (128 - fmt.width_bits), 2.0**128 * fmt.smallest_magnitude)]
    for function in FUNCTIONS.values():
        model = one_neuron(function())
        plain = with_output(model, fmt)
        assert plain.plain
        clips_itself = isinstance(plain.model.layers[-1].activation, qkeras.quantized_relu)
        assert_output_is_rounded(plain, model, fmt, (below if clips_itself else values)[:, None])


CUSTOM_OUTPUTS = (
    (Fixed(8, 1, rounding=Rounding.HALF_UP), "ties to even"),
    (Fixed(8, 1, rounding=Rounding.FLOOR), "ties to even"),
    (Fixed(8, 1, overflow=Overflow.WRAP), "saturates"),
    (Fixed(1, 0), "one signed bit"),
    (PowerOfTwo(4, 0), "log2"),
    (PowerOfTwo(3, 1, zero=True), "log2"),
)


@pytest.mark.parametrize(("fmt", "reason"), CUSTOM_OUTPUTS, ids=str)
def test_outputs_that_qkeras_cannot_round_keep_our_quantizer(fmt: Format, reason: str) -> None:
    for function in ("linear", "relu", "leaky layer"):
        model = one_neuron(FUNCTIONS[function]())
        plain = with_output(model, fmt)
        (told,) = plain.custom.values()
        assert reason in told
        assert not plain.plain
        assert_output_is_rounded(plain, model, fmt, hard_values(fmt)[:, None])


def test_what_keeps_qkeras_from_more() -> None:
    """Where one of these fails, QKeras has been mended and more can be plain, or with less around it."""
    fixed, x = Fixed(16, 2), np.float32([300.1, 1e5 + 0.1, -1e30, 1e30])
    given = qkeras.quantized_bits(16, 2, alpha=1.0)(x).numpy()
    np.testing.assert_array_equal(given == fixed.round(x), [True, False, False, False])
    assert np.isnan(qkeras.quantized_relu(15, 2)(np.float32([2.0**120]))).all()
    turns = np.float32(np.sqrt(2) * 2.0 ** np.arange(-8, 0))
    turns = np.concatenate([turns, np.nextafter(turns, np.float32(0)), np.nextafter(turns, np.float32(1))])
    assert (qkeras.quantized_po2(4, max_value=0.5)(turns).numpy() != PowerOfTwo(4, -1).round(turns)).any()
    assert qkeras.binary(use_01=True, alpha=1.0)(np.float32([0.0])).numpy() == 1
    assert set(qkeras.quantized_bits(1, 0, alpha=1.0)(np.float32([-1, 1])).numpy()) == {-1, 1}


def with_kernel(kernel: np.ndarray, fmt: Format) -> PlainModel:
    """A layer that gives its rounded kernel where its inputs are unit vectors."""
    model = keras.Sequential(
        [keras.Input(kernel.shape[:1]), layers.Dense(kernel.shape[1], use_bias=False, name="only")]
    )
    return plain_model((kernel,), model, Candidate.of({KERNEL: fmt, OUTPUT: Float32()}))


def hard_kernel(fmt: Format, columns: int) -> np.ndarray:
    values = hard_values(fmt)
    values = values[np.abs(values) < 1e30]
    return np.random.default_rng(1).choice(values, (40, columns), replace=False)


def assert_kernel_is_rounded(plain: PlainModel, kernel: np.ndarray, fmt: Format) -> None:
    wanted = fmt.round(kernel)
    assert (wanted != kernel).any()
    units = np.eye(len(kernel), dtype=np.float32)
    np.testing.assert_array_equal(plain.model.get_weights()[0], wanted)
    np.testing.assert_array_equal(plain.model(units), wanted)
    np.testing.assert_array_equal(tf.function(plain.model)(units), wanted)


PLAIN_KERNELS = (
    Fixed(4, 0),
    Fixed(16, -4),
    Fixed(24, 1),
    Fixed(32, 3),
    Fixed(3, 1, signed=False),
    Fixed(1, 0, signed=False),
    Fixed(5, -1, rounding=Rounding.HALF_UP),
    Fixed(5, 1, rounding=Rounding.FLOOR, overflow=Overflow.WRAP),
    Fixed(4, tuple(range(-3, 4))),
    Fixed(32, (0, 31, -32, 1, 2, 3, 4), signed=False),
    Fixed(6, tuple(range(7)), rounding=Rounding.FLOOR),
    PowerOfTwo(1, -4),
    PowerOfTwo(2, -4, zero=True),
    PowerOfTwo(4, -1),
    PowerOfTwo(4, 0),
    VirtualBitShift(4),
    VirtualBitShift(32),
    VirtualBitShift(3, "channel"),
    VirtualBitShift(5, 280),
)


@pytest.mark.parametrize("fmt", PLAIN_KERNELS, ids=lambda fmt: fmt.brief)
def test_qkeras_keeps_the_stored_values(fmt: Format) -> None:
    kernel = hard_kernel(fmt, 7)
    plain = with_kernel(kernel, fmt)
    assert plain.plain
    assert not plain.wider
    assert plain.model.get_layer("only").kernel_quantizer.bits == fmt.width_bits
    assert_kernel_is_rounded(plain, kernel, fmt)


def test_powers_far_from_one_take_more_bits_in_qkeras() -> None:
    for fmt, bits in ((PowerOfTwo(4, -2), 5), (PowerOfTwo(4, 2), 5), (PowerOfTwo(3, -16), 6)):
        kernel = hard_kernel(fmt, 7)
        plain = with_kernel(kernel, fmt)
        assert plain.wider == {KERNEL: f"{bits} bits: the exponents of quantized_po2 have no offset"}
        assert plain.plain
        assert_kernel_is_rounded(plain, kernel, fmt)


CUSTOM_KERNELS = (
    (Fixed(1, -1), "one signed bit"),
    (Fixed(1, tuple(range(-3, 4))), "one signed bit"),
    (PowerOfTwo(4, -1, zero=True), "no zero"),
    (PowerOfTwo(4, -20), "below 1e-7"),
    (PowerOfTwo(8, 0), "below 1e-7"),
    (VirtualBitShift(4, 10), "block"),
)


@pytest.mark.parametrize(("fmt", "reason"), CUSTOM_KERNELS, ids=lambda part: getattr(part, "brief", part))
def test_kernels_that_qkeras_cannot_keep_have_our_quantizer(fmt: Format, reason: str) -> None:
    kernel = hard_kernel(fmt, 7)
    kernel[0] = 0
    plain = with_kernel(kernel, fmt)
    assert reason in plain.custom[KERNEL]
    assert not plain.plain
    assert_kernel_is_rounded(plain, kernel, fmt)


def test_po2_whose_zero_is_not_in_use_is_plain() -> None:
    fmt, kernel = PowerOfTwo(4, 0, zero=True), np.float32([[0.3, 0.5], [-1, 0.9]])
    plain = with_kernel(kernel, fmt)
    assert plain.plain
    assert_kernel_is_rounded(plain, kernel, fmt)


def stack(shape: tuple[int, ...], *layer: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layer, layers.Flatten(), layers.Dense(2, name="last")])


def branches() -> keras.Model:
    inputs = keras.Input((5,))
    linear = layers.Dense(4, name="linear")(inputs)
    joined = layers.Add()([linear, layers.ReLU(name="relu")(linear)])
    return keras.Model(inputs, layers.Dense(2, "sigmoid", name="last")(joined))


MODELS = {
    "Dense": lambda: stack((5,), layers.Dense(4, "relu"), layers.Dense(3, layers.LeakyReLU(0.3), use_bias=False)),
    "Conv1D": lambda: stack((9, 5), layers.Conv1D(4, 3, dilation_rate=2, activation="tanh")),
    "Conv2D": lambda: stack((9, 9, 2), layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPool2D()),
    "DepthwiseConv2D": lambda: stack((9, 9, 2), layers.DepthwiseConv2D(3, depth_multiplier=2, activation="elu")),
    "SeparableConv1D": lambda: stack((9, 2), layers.SeparableConv1D(3, 3, depth_multiplier=2, activation="relu")),
    "SeparableConv2D": lambda: stack((9, 9, 2), layers.SeparableConv2D(3, 3, strides=2, activation="relu")),
    "activation layers": lambda: stack(
        (5,), layers.Dense(4), layers.Activation("sigmoid"), layers.Dense(4), layers.Softmax()
    ),
    "branches": branches,
}


def seeded(kind: str) -> tuple[keras.Model, np.ndarray]:
    """The model with random weights, biases included; inputs for it."""
    model, rng = MODELS[kind](), np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.6, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model, rng.normal(0, 1.5, (7, *model.input_shape[1:])).astype(np.float32)


def drawn(model: keras.Model, seed: int, parameters: tuple, activations: tuple) -> Candidate:
    """A format for every slot; "channels" is a fixed point with a position of its own for each channel."""
    rng = np.random.default_rng(seed)
    pools = {Role.WEIGHTS: parameters, Role.BIASES: parameters, Role.ACTIVATIONS: activations}
    turns = {role: itertools.cycle(rng.permutation(len(pool))) for role, pool in pools.items()}
    infos = find_slots(model)
    chosen = {info: pools[info.slot.role][next(turns[info.slot.role])] for info in infos}
    return Candidate.of((info.slot, per_channel(info) if fmt == "channels" else fmt) for info, fmt in chosen.items())


def per_channel(info: SlotInfo) -> Fixed:
    return Fixed(6, tuple(-k % 3 - 1 for k in range(sum(tensor.packed_shape[-1] for tensor in info.tensors))))


PLAIN_PARAMETERS = (
    "channels",
    Fixed(4, 0),
    Fixed(5, 1, rounding=Rounding.FLOOR),
    PowerOfTwo(4, 0),
    PowerOfTwo(3, -2),
    PowerOfTwo(2, -1, zero=True),
    VirtualBitShift(3),
    VirtualBitShift(4, "channel"),
    Float32(),
)
PLAIN_ACTIVATIONS = (Fixed(16, 2), Fixed(4, 0), Fixed(5, 1, signed=False), Binary(), PowerOfTwo(1, 0), Float32())
PARAMETERS = (*PLAIN_PARAMETERS, Fixed(1, -1), PowerOfTwo(4, 0, zero=True), VirtualBitShift(3, 5))
ACTIVATIONS = (*PLAIN_ACTIVATIONS, PowerOfTwo(4, 0), PowerOfTwo(3, 0, zero=True), Fixed(5, 0, overflow=Overflow.WRAP))


def compared(candidate: Candidate, model: keras.Model, x: np.ndarray) -> PlainModel:
    """The plain model, whose outputs are those of the frozen one."""
    weights = tuple(model.get_weights())
    plain = plain_model(weights, model, candidate)
    wanted = frozen(weights, model, candidate).model(x).numpy()
    assert (wanted != model(x).numpy()).any()
    np.testing.assert_array_equal(plain.model(x), wanted)
    return plain


@pytest.mark.parametrize("kind", MODELS)
def test_any_candidate_gives_the_outputs_of_the_frozen_model(kind: str, tmp_path: Path) -> None:
    model, x = seeded(kind)
    for seed in range(3):
        plain = compared(drawn(model, seed, PARAMETERS, ACTIVATIONS), model, x)
        plain.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x), plain.model(x))


LOADING = """
import sys, numpy, keras, qkeras
for folder in sys.argv[1:]:
    model = keras.models.load_model(f"{folder}/model.keras", safe_mode=True)
    numpy.save(f"{folder}/outputs.npy", model(numpy.load(f"{folder}/inputs.npy")))
assert "wordlength" not in sys.modules
"""


def test_plain_files_load_without_this_package(tmp_path: Path) -> None:
    given = {}
    for seed, kind in enumerate(MODELS):
        model, x = seeded(kind)
        plain = compared(drawn(model, seed, PLAIN_PARAMETERS, PLAIN_ACTIVATIONS), model, x)
        assert plain.plain, plain.custom
        folder = tmp_path / kind
        folder.mkdir()
        plain.model.save(folder / "model.keras")
        np.save(folder / "inputs.npy", x)
        given[folder] = plain.model(x).numpy()
    subprocess.run([sys.executable, "-c", LOADING, *map(str, given)], check=True, capture_output=True)
    for folder, wanted in given.items():
        np.testing.assert_array_equal(np.load(folder / "outputs.npy"), wanted)


def test_relu_networks_of_fixed_point_are_layers_that_qkeras_statistics_know() -> None:
    first, last = layers.Dense(4, "relu", name="first"), layers.Dense(2, "sigmoid", name="last")
    model = keras.Sequential([keras.Input((5,), name="x"), first, last])
    slots = [info.slot for info in find_slots(model)]
    candidate = Candidate.uniform(slots, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(16, 2))
    plain = plain_model(tuple(model.get_weights()), model, candidate).model
    names = [f"{layer}{after}" for layer in ("first", "last") for after in ("", "_activation", "_quantized")]
    assert [operation.name for operation in plain.operations] == ["x", *names]
    assert str(plain.get_layer("first_quantized").activation) == "quantized_relu(15,2)"
    assert str(plain.get_layer("last_quantized").activation) == "quantized_bits(16,2,0,alpha=1.0)"
    qkeras.print_qstats(plain)


def test_float32_slots_have_no_quantizer() -> None:
    model, x = seeded("Dense")
    plain = plain_model(tuple(model.get_weights()), model, Candidate.of((i.slot, Float32()) for i in find_slots(model)))
    assert not any(isinstance(layer, qkeras.QActivation) for layer in plain.model.layers)
    dense = [layer for layer in plain.model.layers if isinstance(layer, qkeras.QDense)]
    assert len(dense) == 3
    assert all(layer.get_quantizers() == [None, None] for layer in dense)
    np.testing.assert_array_equal(plain.model(x), model(x))


def test_the_model_given_stays_as_it_is() -> None:
    model, x = seeded("Conv2D")
    before, weights = model(x).numpy(), model.get_weights()
    plain_model(tuple(np.zeros_like(part) for part in weights), model, drawn(model, 0, PARAMETERS, ACTIVATIONS))
    np.testing.assert_array_equal(model(x), before)


def test_a_layers_own_constraint_stays_beside_scales_per_channel() -> None:
    model = stack((5,), layers.Dense(4, "relu", kernel_constraint="non_neg", name="first"))
    formats = {info.slot: per_channel(info) if info.tensors else Float32() for info in find_slots(model)}
    layer = plain_model(tuple(model.get_weights()), model, Candidate.of(formats)).model.get_layer("first")
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(layer.bias_constraint(kernel), kernel)


def test_nan_is_refused_with_its_slot() -> None:
    kernel = np.float32([[np.nan, 1]])
    with pytest.raises(FormatError, match=r"NaN in 1 of 2 \(only\.weights\)"):
        with_kernel(kernel, Fixed(4, 0))


@pytest.mark.parametrize("named", [{"recurrent_activation": "hard_sigmoid"}, {"activation": "hard_tanh"}], ids=str)
def test_functions_of_which_qkeras_has_others_keep_the_keras_layer(named: dict[str, str]) -> None:
    """QKeras' hard_sigmoid is (x + 1) / 2, Keras' x / 6 + 1/2."""
    (name,) = named.values()
    assert qkeras.get_quantizer(name) is not keras.activations.get(name)
    model, state = stack((3, 2), layers.GRU(2, name="odd", **named)), Slot("odd", Role.ACTIVATIONS)
    formats = {info.slot: Fixed(5, 0) if info.tensors else Float32() for info in find_slots(model)}
    plain = plain_model(tuple(model.get_weights()), model, Candidate.of(formats))
    assert plain.plain
    assert isinstance(plain.model.get_layer("odd"), layers.GRU)
    rounded = plain_model(tuple(model.get_weights()), model, Candidate.of(formats | {state: Fixed(8, 0)}))
    assert rounded.custom == {state: f"QKeras' recurrent layers take {name} for another"}
