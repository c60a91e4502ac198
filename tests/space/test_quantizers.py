"""The quantizers beside QKeras' own, and what Keras asks of them; what holds for every format is in tests/contracts."""

import math

import keras
import numpy as np
import pytest
import qkeras
import tensorflow as tf
from keras import layers

from wordlength.errors import FormatError
from wordlength.space import Binary, Fixed, Float32, Format, PowerOfTwo, VirtualBitShift
from wordlength.space.quantizers import FormatQuantizer, Kind, SwitchedActivation

pytestmark = pytest.mark.usefixtures("tensorflow")

PARAMETERS: list[Format] = [
    Float32(),
    Fixed(8, 2),
    Fixed(8, 2, signed=False, rounding="floor", overflow="wrap"),
    Fixed(8, (0, 1, -3)),
    PowerOfTwo(4, -1),
    PowerOfTwo(4, -1, zero=True),
    VirtualBitShift(4),
    VirtualBitShift(4, "channel"),
    VirtualBitShift(4, 16),
]
ACTIVATIONS: list[Format] = [Float32(), Fixed(8, 2), Fixed(8, 2, overflow="wrap"), PowerOfTwo(4, -1), Binary(25)]


def values_for(fmt: Format) -> np.ndarray:
    """Every tie and boundary of small formats, the ends and far beyond of wide ones, and random values."""
    if isinstance(fmt, Fixed):
        codes = np.unique(np.concatenate([np.arange(-70, 71), fmt.highest_code + np.arange(-5, 6)]))
        grid = np.concatenate([codes, -codes]) * fmt.step / 2
    else:
        powers = 2.0 ** np.arange(fmt.max_exponent - 40, fmt.max_exponent + 4)
        grid = np.concatenate([powers, powers * math.sqrt(2)])
    grid = grid.astype(np.float32)
    near = [grid, np.nextafter(grid, np.float32(np.inf)), np.nextafter(grid, np.float32(-np.inf))]
    random = np.random.default_rng(fmt.width_bits).standard_normal(500) * max(fmt.highest, fmt.smallest_magnitude)
    special = [0.0, -0.0, 1e-45, -1e-45, 2.0**-126, -(2.0**-126), np.inf, -np.inf, 3.4e38, -3.4e38]
    return np.concatenate([*near, -grid, random, special]).astype(np.float32)


def assert_same_bits(rounded: np.ndarray, wanted: np.ndarray, values: np.ndarray, fmt: Format) -> None:
    """Equal bit patterns; the sign of a zero, which no code stores, does not count."""
    assert rounded.dtype == wanted.dtype == np.float32
    one, other = ((array + np.float32(0)).view(np.int32) for array in (rounded, wanted))
    wrong = np.flatnonzero(one != other)
    pairs = [(float(values[k]), float(rounded[k]), float(wanted[k])) for k in wrong[:5]]
    assert not wrong.size, f"{fmt}: {wrong.size} of {values.size} differ, e.g. (x, TensorFlow, NumPy) {pairs}"


# QKeras with use_ste=False: its x + (q − x) is rounded twice in float32 and need not be q.


@pytest.mark.parametrize("keep_negative", [1, 0])
@pytest.mark.parametrize("bits", range(2, 17))
def test_fixed_is_qkeras_quantized_bits(bits: int, keep_negative: int) -> None:
    """The same set of values and the same rounding for every tie and boundary; 1 bit is ±1 in QKeras."""
    for integer in (0, 1, 2, 7):
        fmt = Fixed(bits, integer, signed=bool(keep_negative))
        values = values_for(fmt)
        values = values[np.abs(values) < 1e30]  # QKeras adds 0 · x, which is NaN for infinity
        assert values.size > 500
        theirs = qkeras.quantized_bits(
            bits, integer, symmetric=0, keep_negative=keep_negative, alpha=1.0, use_ste=False
        )
        assert_same_bits(theirs(values).numpy(), fmt.round(values), values, fmt)


@pytest.mark.parametrize(
    ("bits", "max_value", "fmt"),
    [
        *((b, None, PowerOfTwo(b, 2 ** (b - 2) - 1)) for b in range(2, 8)),
        *((b, 0.5, PowerOfTwo(b, -1)) for b in range(2, 8)),
    ],
    ids=str,
)
def test_po2_is_qkeras_quantized_po2(bits: int, max_value: float | None, fmt: PowerOfTwo) -> None:
    """The same exponents wherever QKeras itself is sure.

    It takes log2 in float32, so a hair (1e-6) around √2 · 2^n is left out, and takes all below 1e-7 for
    its smallest power, so smaller magnitudes are left out too.
    """
    values = np.concatenate([values_for(fmt), np.random.default_rng(bits).uniform(-1, 1, 2000).astype(np.float32)])
    magnitude = np.abs(values.astype(np.float64))
    values = values[(magnitude > 1e-7) & (magnitude < 1e30)]
    fraction = np.log2(np.abs(values.astype(np.float64))) % 1
    values = values[np.abs(fraction - 0.5) > 1e-6]
    assert values.size > 1000
    theirs = qkeras.quantized_po2(bits, max_value=max_value, use_ste=False)
    assert_same_bits(theirs(values).numpy(), fmt.round(values), values, fmt)


def test_qkeras_po2_with_max_value_1_has_one_exponent_too_many() -> None:
    """The trap that the numerics page names: nine exponents in three bits; ours keep to eight."""
    powers = 2.0 ** -np.arange(0, 12, dtype=np.float32)
    theirs = qkeras.quantized_po2(4, max_value=1.0, use_ste=False)(powers).numpy()
    assert len(np.unique(theirs)) == 9
    assert len(np.unique(PowerOfTwo(4, 0).round(powers))) == 8


@pytest.mark.parametrize(
    ("fmt", "activations"),
    [*((fmt, False) for fmt in PARAMETERS), *((fmt, True) for fmt in ACTIVATIONS)],
    ids=str,
)
def test_what_keras_and_the_analysis_ask(fmt: Format, activations: bool) -> None:
    quantizer = FormatQuantizer(fmt, activations=activations)
    assert quantizer.format == fmt
    assert (quantizer.min(), quantizer.max(), quantizer.bits) == (fmt.lowest, fmt.highest, fmt.width_bits)
    assert float(quantizer.smallest_magnitude) == fmt.smallest_magnitude
    assert bool(quantizer.has_zero) == (0 in fmt.round(np.zeros(3)))
    assert [kind for kind in Kind if quantizer.is_kind(kind)] == [Kind.of(fmt)]
    assert str(quantizer) == str(fmt)


@pytest.mark.parametrize("fmt", PARAMETERS, ids=str)
@pytest.mark.parametrize("axes", [1, 2])
def test_config_round_trip(fmt: Format, axes: int) -> None:
    config = FormatQuantizer(fmt, channel_axes=axes).get_config()
    assert config == {"format": str(fmt), "activations": False, "channel_axes": axes}
    copy = FormatQuantizer.from_config(config)
    assert (copy.format, copy.activations, copy.channel_axes) == (fmt, False, axes)


@pytest.mark.parametrize("fmt", ACTIVATIONS, ids=str)
def test_config_round_trip_of_activations(fmt: Format) -> None:
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(FormatQuantizer(fmt, activations=True))
    )
    assert (copy.format, copy.activations) == (fmt, True)


def test_a_format_without_quantizer_is_refused() -> None:
    class Other(Format):
        width_bits = lowest = highest = smallest_magnitude = 1

        def round(self, values, place=""):
            raise NotImplementedError

        encode = numbers = round

        def __str__(self) -> str:
            return "other<1>"

    with pytest.raises(FormatError, match="a format must have a quantizer, but other<1> has none"):
        FormatQuantizer(Other())


def test_bad_text_is_refused() -> None:
    with pytest.raises(FormatError, match="but got 'fixed<8>'"):
        FormatQuantizer("fixed<8>")


def test_a_quantizer_in_use_takes_only_the_kinds_it_was_traced_with() -> None:
    quantizer = FormatQuantizer(Fixed(8, 2), kinds=(Kind.FLOAT32, Kind.FIXED))
    quantizer.assign(PowerOfTwo(4, -1))  # Not in use yet.
    values = tf.constant([0.3, -0.7])
    traced = tf.function(quantizer)
    np.testing.assert_array_equal(traced(values), PowerOfTwo(4, -1).round(values))
    kept = quantizer.format
    with pytest.raises(FormatError, match=r"keeps its kinds \(FLOAT32, FIXED, PO2\) until .*, but got vbs<4>"):
        quantizer.assign(VirtualBitShift(4))
    assert quantizer.format == kept
    assert quantizer.is_kind(Kind.VBS) is False
    quantizer.extend(Kind.VBS)
    quantizer.assign(VirtualBitShift(4))
    np.testing.assert_array_equal(quantizer(values), VirtualBitShift(4).round(values))


def test_a_switched_activation_is_passed_over_while_the_output_is_binary() -> None:
    quantizer = FormatQuantizer(Fixed(8, 2), activations=True)
    layer = SwitchedActivation(layers.ReLU(), quantizer)
    sums = tf.constant([[-1.0, 2.0]])
    assert layer(sums).numpy().tolist() == [[0, 2]]
    quantizer.assign(Binary())
    assert layer(sums).numpy().tolist() == [[-1, 2]]
    copy = SwitchedActivation.from_config(layer.get_config())
    assert copy(sums).numpy().tolist() == [[-1, 2]]
