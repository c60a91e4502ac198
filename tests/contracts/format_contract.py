"""What every number format must keep: a new one inherits all tests by naming examples and a strategy.

A format's rounding has four witnesses here, equal bit for bit: `Format.round`, decode(encode(x)), the
TensorFlow quantizer and exact fractions.
"""

import json
import pickle
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from exact_formats import exactly, groups_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.space import Candidate, Format, Role, Slot, parse_format
from wordlength.space.candidate import unfit

LARGEST = float(np.finfo(np.float32).max)
SLOTS = {role: Slot("dense_1", role) for role in Role}
EXHAUSTIVE_BITS = 12
"""Up to this width every code, tie and boundary is tried."""
EXACT_ROWS = 800
"""So many rows of a grid, the first ones and as many of the rest, are checked in fractions, which are slow."""

# One strategy per class draws for an inherited test: examples that Hypothesis kept from another class
# then do not fit, which it notices by itself.
inherited = settings(max_examples=60, suppress_health_check=[HealthCheck.differing_executors])


def neighbourhood(values: np.ndarray) -> np.ndarray:
    """Each float32, and its next ones on both sides, along the first axis."""
    middle = np.asarray(values, np.float32)
    infinity = np.float32(np.inf)
    with np.errstate(over="ignore"):  # next to the largest one is infinity
        return np.concatenate([middle, np.nextafter(middle, infinity), np.nextafter(middle, -infinity)])


def anywhere() -> np.ndarray:
    """Zeros, denormals, infinities and magnitudes all over float32, both signs, with their neighbours."""
    powers = 2.0 ** np.arange(-126, 128)
    plain = np.array([0, 1e-45, 3e-39, 1.1754942e-38, LARGEST, np.inf, 0.3])
    values = neighbourhood(np.concatenate([plain, powers, 1.5 * powers]).astype(np.float32))
    return np.unique(np.concatenate([values, -values, [np.float32(0)]]).view(np.int32)).view(np.float32)


def halves_of_codes(lowest: int, highest: int, bits: int, exhaustive_bits: int = EXHAUSTIVE_BITS) -> np.ndarray:
    """Codes and ties as multiples of half a step: around zero and the ends first, then all, then beyond the ends."""
    centres = (0, lowest, highest, highest // 2)
    edges = [2 * centre + offset for centre in centres for offset in range(-9, 10)]
    every = range(2 * lowest - 8, 2 * highest + 9) if bits <= exhaustive_bits else ()
    beyond = [2 * turns * 2**bits + offset for turns in (-3, -1, 1, 2, 1000) for offset in range(-9, 10)]
    return np.array([*edges, *beyond, *every], np.float64)


def same_bits(one: np.ndarray, other: np.ndarray, whose: str, fmt: Format, values: np.ndarray) -> None:
    """Equal bit patterns, but for the sign of a zero."""
    assert one.dtype == other.dtype == np.float32
    assert one.shape == other.shape == values.shape
    wrong = np.flatnonzero((one + np.float32(0)).view(np.int32) != (other + np.float32(0)).view(np.int32))
    some = [(float(values.flat[k]), float(one.flat[k]), float(other.flat[k])) for k in wrong[:5]]
    assert not wrong.size, f"{fmt}: {wrong.size} of {values.size} differ, e.g. (x, {whose}) {some}"


def assert_exact(fmt: Format, values: np.ndarray) -> None:
    assert values.size > 0
    rounded, wanted = fmt.round(values), exactly(fmt, values)
    assert rounded.dtype == np.float32
    assert rounded.shape == values.shape
    assert len(wanted) == values.size
    pairs = zip(values.ravel().tolist(), rounded.ravel().tolist(), wanted, strict=True)
    wrong = [(x, q, float(w)) for x, q, w in pairs if q != w]  # a float and a Fraction compare exactly
    assert not wrong, f"{fmt}: {len(wrong)} of {values.size} wrong, e.g. (x, rounded, exact) {wrong[:5]}"


def roles_of(fmt: Format) -> list[bool]:
    """Whether for activations, for each role that the format fits."""
    return [role is Role.ACTIVATIONS for role in (Role.WEIGHTS, Role.ACTIVATIONS) if not unfit(fmt, role)]


class FormatContract:
    """Inherit, name `examples` and `formats`, and add to `exact_formats` what the docstring defines."""

    examples: ClassVar[tuple[Format, ...]]
    formats: ClassVar[st.SearchStrategy[Format]]
    sweep: ClassVar[tuple[Format, ...]] = ()
    """Many more formats, checked in one test each."""

    def boundaries(self, fmt: Format) -> np.ndarray:
        """Values (rows, columns) at which the rounding turns, the most telling ones in the first rows."""
        raise NotImplementedError

    def distinct_codes(self, fmt: Format) -> int | None:
        """How many codes the docstring implies; None if too many to try."""
        raise NotImplementedError

    def side_bits(self, fmt: Format, shape: tuple[int, ...]) -> int:
        return 0

    def slope(self, fmt: Format, values: np.ndarray) -> np.ndarray:
        """Gradient of activations, as FormatQuantizer's docstring has it: that of saturation."""
        wide = np.where(np.abs(values) < 2.0**-126, 0, values.astype(np.float64))  # denormals count as zero
        return ((wide >= fmt.lowest) & (wide <= fmt.highest)).astype(np.float64)

    def columns(self, fmt: Format) -> int:
        """How many output channels the values must have; 1 for any number."""
        return 1

    def in_order(self, fmt: Format, values: np.ndarray) -> np.ndarray:
        """Which of the values keep their order when rounded."""
        return np.ones(values.shape, bool)

    def saturates(self, fmt: Format) -> bool:
        return True

    @classmethod
    @cache
    def values(cls, fmt: Format) -> list[np.ndarray]:
        """`grids`, made once."""
        grids = cls().grids(fmt)
        for grid in grids:
            assert grid.size > 0
            grid.flags.writeable = False
        return grids

    def grids(self, fmt: Format) -> list[np.ndarray]:
        """Matrices of values for everything below."""
        elsewhere = np.repeat(anywhere()[:, None], self.columns(fmt), 1)
        return [np.concatenate([neighbourhood(self.boundaries(fmt)), elsewhere])]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if metafunc.cls is None or not hasattr(metafunc.cls, "examples"):
            return
        examples = metafunc.cls.examples
        assert len(set(examples)) == len(examples) > 0
        roles = [(fmt, activations) for fmt in examples for activations in roles_of(fmt)]
        if "activations" in metafunc.fixturenames:
            names = [f"{fmt}-{'activations' if activations else 'parameters'}" for fmt, activations in roles]
            metafunc.parametrize(("fmt", "activations"), roles, ids=names)
        elif "fmt" in metafunc.fixturenames:
            metafunc.parametrize("fmt", examples, ids=str)

    def random_values(self, fmt: Format, data: st.DataObject) -> np.ndarray:
        """A matrix of any float32 values, values in the format's range, and its codes and ties."""
        elements = st.one_of(
            st.floats(width=32, allow_nan=False),
            st.floats(-1, 1).map(lambda part: part * fmt.highest),
            st.integers(-5000, 5000).map(lambda code: code / 2 * fmt.smallest_magnitude),
        )
        columns = self.columns(fmt) if self.columns(fmt) > 1 else data.draw(st.integers(1, 4))
        rows = data.draw(st.lists(st.lists(elements, min_size=columns, max_size=columns), min_size=1, max_size=12))
        return np.array(rows, np.float64).astype(np.float32)

    def assert_codes_hold(self, fmt: Format, values: np.ndarray) -> None:
        rounded, encoded = fmt.round(values), fmt.encode(values)
        assert encoded.codes.dtype == np.uint32
        assert encoded.codes.shape == values.shape
        assert encoded.codes.max(initial=0) < 2**fmt.width_bits
        decoded = fmt.decode(encoded)
        same_bits(rounded, decoded, "round, decode(encode)", fmt, values)
        np.testing.assert_array_equal(np.signbit(rounded), np.signbit(decoded))

    def assert_no_negative_zero(self, fmt: Format, rounded: np.ndarray) -> None:
        assert not np.signbit(rounded[rounded == 0]).any()

    def test_rounding_is_exact(self, fmt: Format) -> None:
        for values in self.values(fmt):
            rest = np.random.default_rng(0).permutation(np.arange(EXACT_ROWS, max(EXACT_ROWS, len(values))))
            rows = np.concatenate([np.arange(min(EXACT_ROWS, len(values))), rest[:EXACT_ROWS]])
            assert_exact(fmt, values[rows])

    def test_codes_hold_the_rounded_values(self, fmt: Format) -> None:
        for values in self.values(fmt):
            self.assert_codes_hold(fmt, values)
            self.assert_no_negative_zero(fmt, fmt.round(values))

    def test_tensorflow_gives_the_same_bits_and_limits(self, fmt: Format, activations: bool, graphs) -> None:
        for values in self.values(fmt):
            answer = graphs[activations](fmt, values)
            same_bits(answer.rounded, fmt.round(values), "TensorFlow, NumPy", fmt, values)
            for limit, wanted in zip((answer.lowest, answer.highest), fmt.limits(values), strict=True):
                np.testing.assert_array_equal(*np.broadcast_arrays(limit, wanted, values)[:2])

    @inherited
    @given(data=st.data())
    def test_random_formats_and_values_have_one_rounding(self, data: st.DataObject, graphs) -> None:
        fmt = data.draw(self.formats)
        values = self.random_values(fmt, data)
        assert_exact(fmt, values)
        self.assert_codes_hold(fmt, values)
        for activations in roles_of(fmt):
            rounded = graphs[activations](fmt, values).rounded
            same_bits(rounded, fmt.round(values), "TensorFlow, NumPy", fmt, values)

    def test_the_sweep_has_one_rounding(self, graphs) -> None:
        for fmt in self.sweep:
            edges = np.concatenate([neighbourhood(self.boundaries(fmt)[:80]), [[1e30], [-1e30]]])
            assert_exact(fmt, edges)
            for activations in roles_of(fmt):
                rounded = graphs[activations](fmt, edges).rounded
                same_bits(rounded, fmt.round(edges), "TensorFlow, NumPy", fmt, edges)

    def test_every_code_is_used(self, fmt: Format) -> None:
        wanted = self.distinct_codes(fmt)
        if wanted is not None:
            assert 2 <= wanted <= 2**fmt.width_bits
            codes = [np.unique(fmt.encode(values).codes) for values in self.values(fmt)]
            assert np.unique(np.concatenate(codes)).size == wanted

    def test_rounding_twice_changes_nothing(self, fmt: Format) -> None:
        for values in self.values(fmt):
            once = fmt.round(values)
            np.testing.assert_array_equal(fmt.round(once), once)

    def test_rounding_keeps_the_order(self, fmt: Format) -> None:
        for values in self.values(fmt):
            rounded, groups = fmt.round(values).ravel(), groups_of(fmt, values.shape)
            order = np.lexsort([values.ravel(), groups])
            order = order[self.in_order(fmt, values).ravel()[order]]
            assert order.size > 0
            one, other = order[:-1], order[1:]
            assert ((rounded[one] <= rounded[other]) | (groups[one] != groups[other])).all()

    def test_rounded_values_are_in_range(self, fmt: Format) -> None:
        for values in self.values(fmt):
            rounded = fmt.round(values).astype(np.float64)
            assert (rounded >= fmt.lowest).all()
            assert (rounded <= fmt.highest).all()

    def test_limits_are_the_ends_of_each_element(self, fmt: Format) -> None:
        """Representable, inside the format's own ends, and what everything beyond them becomes if it saturates."""
        for values in self.values(fmt):
            lowest, highest = (np.broadcast_to(limit, values.shape) for limit in fmt.limits(values))
            assert lowest.dtype == highest.dtype == np.float32
            assert (lowest >= fmt.lowest).all()
            assert (highest.astype(np.float64) <= fmt.highest).all()
            np.testing.assert_array_equal(fmt.round(lowest), lowest)
            np.testing.assert_array_equal(fmt.round(highest), highest)
            rounded = fmt.round(values)
            assert ((lowest <= rounded) & (rounded <= highest)).all()
            if self.saturates(fmt):
                np.testing.assert_array_equal(rounded[values < lowest], lowest[values < lowest])
                np.testing.assert_array_equal(rounded[values > highest], highest[values > highest])

    def test_smallest_magnitude(self, fmt: Format) -> None:
        rounded = np.concatenate([fmt.round(values).ravel() for values in self.values(fmt)])
        assert np.abs(rounded[rounded != 0]).min() == fmt.smallest_magnitude

    def test_gradient(self, fmt: Format, activations: bool, graphs) -> None:
        for values in self.values(fmt):
            upstream = np.random.default_rng(0).uniform(1, 2, values.shape).astype(np.float32)
            slope = self.slope(fmt, values) if activations else 1.0
            given = graphs[activations](fmt, values, upstream).gradient
            # A few float32 roundings; below float32's normal range TensorFlow takes 0.
            np.testing.assert_allclose(given, upstream * slope, rtol=1e-6, atol=1e-37)

    def test_parameters_that_do_not_learn_get_no_gradient(self, fmt: Format, graphs) -> None:
        values = self.values(fmt)[0]
        held = graphs[False](fmt, values, learns=False)
        assert not held.gradient.any()
        same_bits(held.rounded, fmt.round(values), "TensorFlow, NumPy", fmt, values)
        assert (graphs[False](fmt, values).gradient == 1).all()

    def test_nan_is_refused_with_its_slot(self, fmt: Format) -> None:
        values = np.full((4, self.columns(fmt)), 0.3, np.float32)
        values[1, 0] = np.nan
        for method in (fmt.round, fmt.encode):
            with pytest.raises(FormatError, match=rf"must be numbers, but got NaN in 1 of {values.size}$"):
                method(values)
            with pytest.raises(FormatError, match=rf"got NaN in 1 of {values.size} \(dense_1\.weights\)$"):
                method(values, SLOTS[Role.WEIGHTS])

    def test_nan_stays_nan_in_tensorflow(self, fmt: Format, activations: bool, graphs) -> None:
        """As a finite weight it would hide that training has diverged."""
        values = np.full((5, self.columns(fmt)), 0.3, np.float32)
        patterns = np.array([0x7FC00000, 0x7F800001, -1], np.int64).astype(np.int32)
        values[1:4, 0] = patterns.view(np.float32)
        rounded = graphs[activations](fmt, values).rounded
        np.testing.assert_array_equal(np.isnan(rounded), np.isnan(values))

    def test_any_shape(self, fmt: Format, quantizers, tensorflow) -> None:
        """Output channels along the last axis."""
        columns = self.columns(fmt)
        for leading in ((), (0,), (5,), (2, 3, 4)):
            self.assert_shape_works(fmt, (*leading, columns if columns > 1 else 3), quantizers, tensorflow)

    def test_scalars(self, fmt: Format, quantizers, tensorflow) -> None:
        if self.columns(fmt) == 1:
            self.assert_shape_works(fmt, (), quantizers, tensorflow)
        else:
            with pytest.raises(FormatError, match=r"channels along the last axis, but the values are \(\)"):
                fmt.round(0.3)

    def assert_shape_works(self, fmt: Format, shape: tuple[int, ...], quantizers, tensorflow) -> None:
        values = np.asarray(np.random.default_rng(1).normal(0, 0.5, shape), np.float32)
        before = values.copy()
        rounded = fmt.round(values)
        assert rounded.shape == shape
        assert rounded.dtype == np.float32
        assert rounded.ravel().tolist() == exactly(fmt, values)
        self.assert_codes_hold(fmt, values)
        np.testing.assert_array_equal(values, before)
        for activations in roles_of(fmt):
            quantizer = quantizers[activations, 1]
            quantizer.assign(fmt)
            same_bits(quantizer(values).numpy(), rounded, "TensorFlow, NumPy", fmt, values)
            for limit, wanted in zip(quantizer.limits(tensorflow.constant(values)), fmt.limits(values), strict=True):
                np.testing.assert_array_equal(np.broadcast_to(limit, shape), np.broadcast_to(wanted, shape))

    def test_depthwise_kernels(self, fmt: Format, quantizers) -> None:
        """Their last two axes make up the output channel."""
        channels = self.columns(fmt) if self.columns(fmt) > 1 else 6
        multiplier = 2 if channels % 2 == 0 else 1
        values = np.random.default_rng(2).normal(0, 2, (3, 2, channels // multiplier, multiplier)).astype(np.float32)
        quantizer = quantizers[False, 2]
        quantizer.assign(fmt)
        wanted = fmt.round(values.reshape(3, 2, channels)).reshape(values.shape)
        same_bits(quantizer(values).numpy(), wanted, "TensorFlow, NumPy", fmt, values)

    def test_stored_bits(self, fmt: Format) -> None:
        for shape in ((), (0, 6), (6,), (3, 5, 4, 6)):
            count = int(np.prod(shape))
            assert fmt.side_bits(shape) == self.side_bits(fmt, shape)
            assert fmt.stored_bits(shape) == fmt.width_bits * count + self.side_bits(fmt, shape)

    def test_text_round_trip(self, fmt: Format) -> None:
        text = str(fmt)
        for written in (text, f"  {text} ", text.replace("<", ":").replace(">", "")):
            assert parse_format(written) == fmt
            assert str(parse_format(written)) == text
            assert hash(parse_format(written)) == hash(fmt)

    @inherited
    @given(data=st.data())
    def test_random_formats_are_read_back(self, data: st.DataObject) -> None:
        fmt = data.draw(self.formats)
        assert parse_format.__wrapped__(str(fmt)) == fmt
        assert pickle.loads(pickle.dumps(fmt)) == fmt

    def test_json_round_trip(self, fmt: Format) -> None:
        candidate = Candidate.of({slot: fmt for role, slot in SLOTS.items() if not unfit(fmt, role)})
        assert len(candidate) > 0
        text = candidate.to_json()
        assert Candidate.from_json(text) == candidate
        assert set(json.loads(text).values()) == {str(fmt)}

    def test_pickle_keeps_a_format_even_after_use(self, fmt: Format) -> None:
        values = self.values(fmt)[0][:9]
        rounded = fmt.round(values)
        copy = pickle.loads(pickle.dumps(fmt))
        assert copy == fmt
        assert hash(copy) == hash(fmt)
        np.testing.assert_array_equal(copy.round(values), rounded)

    def test_every_role_takes_the_format_or_says_why_not(self, fmt: Format, quantizers) -> None:
        for role in Role:
            self.assert_role(fmt, role, quantizers)

    def assert_role(self, fmt: Format, role: Role, quantizers) -> None:
        reason = fmt.unfit_for_activations if role is Role.ACTIVATIONS else fmt.unfit_for_parameters
        slot, quantizer = SLOTS[role], quantizers[role is Role.ACTIVATIONS, 1]
        if not reason:
            assert Candidate.of({slot: fmt})[slot] == fmt
            return
        with pytest.raises(FormatError) as refused:
            Candidate.of({slot: fmt})
        assert str(refused.value) == f"{role} cannot be {fmt.brief}: {reason} (dense_1.{role})"
        kept = quantizer.format
        with pytest.raises(FormatError) as refused:
            quantizer.assign(fmt)
        kind = "activations" if role is Role.ACTIVATIONS else "parameters"
        assert str(refused.value) == f"{kind} cannot be {fmt.brief}: {reason}"
        assert quantizer.format == kept
