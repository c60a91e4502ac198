"""QKeras' own quantizers in the plain model: each rounds outputs and keeps kernels as our format, or is not taken."""

import keras
import numpy as np
import pytest
import qkeras
import tensorflow as tf
from keras import layers

from wordlength.errors import FormatError
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


def test_nan_is_refused_with_its_slot() -> None:
    kernel = np.float32([[np.nan, 1]])
    with pytest.raises(FormatError, match=r"NaN in 1 of 2 \(only\.weights\)"):
        with_kernel(kernel, Fixed(4, 0))
