import itertools
import math

import numpy as np
import pytest
import qkeras
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.space import Fixed, Float32, Format, PowerOfTwo
from wordlength.space.quantizers import FormatQuantizer

pytestmark = pytest.mark.usefixtures("tensorflow")

POSITIONS = (-9, -3, -1, 0, 1, 2, 7)
FORMATS: list[Format] = [
    *(Fixed(b, i, s) for b, i, s in itertools.product(range(2, 17), POSITIONS, (True, False))),
    *(PowerOfTwo(b, e) for b, e in itertools.product(range(2, 17), POSITIONS)),
]
EXTREMES: list[Format] = [
    *(Fixed(b, i, s) for b, i, s in itertools.product((1, 24, 25, 26, 31, 32), (-32, 0, 32), (True, False))),
    *(PowerOfTwo(b, e) for b, e in itertools.product((1, 8, 16), (-32, 32))),
]


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


@pytest.fixture(scope="module")
def rounding():
    """`rounding(fmt, values)`: one graph for all formats; `rounding.traces` counts how often it was traced."""
    return Rounding()


class Rounding:
    def __init__(self) -> None:
        self.traces = 0
        self.quantizer = FormatQuantizer()
        self.graph = tf.function(self._trace, input_signature=[tf.TensorSpec([None], tf.float32)], jit_compile=False)

    def _trace(self, values: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        return self.quantizer(values)

    def __call__(self, fmt: Format, values: np.ndarray) -> np.ndarray:
        self.quantizer.assign(fmt)
        assert self.quantizer.format == fmt
        return self.graph(values).numpy()


def test_one_graph_equals_numpy_bit_for_bit(rounding: Rounding) -> None:
    assert len(FORMATS) == 15 * 7 * 3
    for fmt in FORMATS + EXTREMES:
        values = values_for(fmt)
        assert values.size > 500
        assert_same_bits(rounding(fmt, values), fmt.round(values), values, fmt)
    assert rounding.traces == 1


@given(st.sampled_from(FORMATS + EXTREMES), st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30))
def test_random_values_equal_numpy(rounding: Rounding, fmt: Format, numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    assert_same_bits(rounding(fmt, values), fmt.round(values), values, fmt)
    assert rounding.traces == 1


def test_float32_passes_unchanged(rounding: Rounding) -> None:
    values = np.array([0.0, -0.0, 1.1, -3e38, np.inf, -np.inf, 2.0**-126], np.float32)
    np.testing.assert_array_equal(rounding(Float32(), values).view(np.int32), values.view(np.int32))


@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 4)])
@pytest.mark.parametrize("fmt", [Float32(), Fixed(8, 2), PowerOfTwo(4, -1)], ids=str)
def test_any_shape(fmt: Format, shape: tuple[int, ...]) -> None:
    values = np.full(shape, 0.3, np.float32)
    rounded = FormatQuantizer(fmt)(values)
    assert rounded.shape == shape
    np.testing.assert_array_equal(rounded, fmt.round(values))


@pytest.mark.parametrize("fmt", [Float32(), Fixed(4, 1), Fixed(4, 1, signed=False), PowerOfTwo(4, 0)], ids=str)
@pytest.mark.parametrize("clip", [True, False])
def test_gradient_is_one_or_that_of_saturation(fmt: Format, clip: bool) -> None:
    quantizer = FormatQuantizer(fmt, clip_gradient=clip)
    x = tf.constant([-100, fmt.lowest, -0.3, 0, 0.3, fmt.highest, np.nextafter(np.float32(fmt.highest), 9e9), 100])
    upstream = tf.constant(np.arange(2, 10), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(quantizer(x) * upstream)
    inside = (x.numpy() >= fmt.lowest) & (x.numpy() <= fmt.highest)
    assert inside.any()
    assert inside.all() == isinstance(fmt, Float32)
    expected = upstream.numpy() * (inside if clip else 1)
    np.testing.assert_array_equal(tape.gradient(total, x), expected)


def test_clipped_gradient_follows_the_format_in_a_traced_graph() -> None:
    quantizer = FormatQuantizer(Fixed(8, 0), clip_gradient=True)

    @tf.function(jit_compile=False)
    def slope(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = quantizer(x)
        return tape.gradient(y, x)

    assert slope(tf.constant([2.0])).numpy() == [0]
    quantizer.assign(Fixed(8, 2))
    assert slope(tf.constant([2.0])).numpy() == [1]


@given(st.sampled_from([*FORMATS, Float32()]))
def test_limits_as_tensors(fmt: Format) -> None:
    quantizer = FormatQuantizer(fmt)
    assert float(quantizer.lowest) == fmt.lowest == quantizer.min()
    assert float(quantizer.highest) == fmt.highest == quantizer.max()
    assert float(quantizer.smallest_magnitude) == fmt.smallest_magnitude
    assert bool(quantizer.has_zero) == (fmt.kind != "po2")
    assert quantizer.bits == fmt.width_bits
    assert str(quantizer) == str(fmt)


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


@given(st.sampled_from([*FORMATS, Float32()]), st.booleans())
def test_config_round_trip(fmt: Format, clip: bool) -> None:
    config = FormatQuantizer(fmt, clip_gradient=clip).get_config()
    assert config == {"format": str(fmt), "clip_gradient": clip}
    copy = FormatQuantizer.from_config(config)
    assert copy.format == fmt
    assert copy.clip_gradient is clip


def test_a_format_without_quantizer_is_refused() -> None:
    class Other(Format):
        width_bits = lowest = highest = smallest_magnitude = 1

        def round(self, values):
            raise NotImplementedError

        def __str__(self) -> str:
            return "other<1>"

    with pytest.raises(FormatError, match="formats with a quantizer are float32, fixed and po2, but got other<1>"):
        FormatQuantizer(Other())


def test_bad_text_is_refused() -> None:
    with pytest.raises(FormatError, match="but got 'fixed<8>'"):
        FormatQuantizer("fixed<8>")
