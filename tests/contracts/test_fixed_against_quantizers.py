"""Fixed point against an implementation of others: the NumPy functions of `quantizers` (C. Sun), held against ap_fixed.

Theirs are kept bits k + integer bits i + fraction bits f; ours `bits` = k + i + f and the same integer bits.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from wordlength.space import Fixed, Overflow, Rounding

MODES = {Rounding.HALF_EVEN: "RND_CONV", Rounding.HALF_UP: "RND", Rounding.FLOOR: "TRN"}
OVERFLOWS = {Overflow.SATURATE: "SAT", Overflow.WRAP: "WRAP"}
BITS = (1, 2, 3, 4, 7, 8, 12, 16, 20, 24)
POSITIONS = (-9, -1, 0, 1, 2, 5, 16)
GRID = [Fixed(b, i, s, r, o) for b, i, s, r, o in itertools.product(BITS, POSITIONS, (True, False), Rounding, Overflow)]


@pytest.fixture(scope="module")
def theirs(tensorflow) -> Callable[[Fixed, np.ndarray], np.ndarray]:
    """`theirs(fmt, values)`. Importing `quantizers` imports Keras, so TensorFlow must be there before."""
    from quantizers.fixed_point import get_fixed_quantizer_np

    def rounded(fmt: Fixed, values: np.ndarray) -> np.ndarray:
        kept = int(fmt.signed)
        quantize = get_fixed_quantizer_np(MODES[fmt.rounding], OVERFLOWS[fmt.overflow])
        return quantize(values.astype(np.float64), kept, fmt.integer_bits, fmt.bits - kept - fmt.integer_bits)

    return rounded


def values_for(fmt: Fixed) -> np.ndarray:
    """Codes and ties of the whole range and past both ends, their neighbours, random values, and far ones.

    Up to 2^28 steps: beyond 2^53 theirs, which adds before it takes the remainder, is inexact.
    """
    count = 2**fmt.bits
    around = [2 * centre + offset for centre in (0, fmt.lowest_code, fmt.highest_code) for offset in range(-12, 13)]
    turns = [2 * k * count + offset for k in (-5, -1, 1, 2, 16) for offset in range(-4, 5)]
    random = np.random.default_rng(fmt.bits).uniform(-3 * count, 3 * count, 400)
    steps = np.array([*around, *turns, *random]) / 2
    plain = (steps * fmt.step).astype(np.float32)
    infinity = np.float32(np.inf)
    values = np.concatenate([plain, np.nextafter(plain, infinity), np.nextafter(plain, -infinity)])
    return values[(np.abs(values) >= 2.0**-126) | (values == 0)]


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_they_give_the_same_values(theirs, signed: bool, rounding: Rounding, overflow: Overflow) -> None:
    formats = [fmt for fmt in GRID if (fmt.signed, fmt.rounding, fmt.overflow) == (signed, rounding, overflow)]
    assert len(formats) == len(BITS) * len(POSITIONS)
    for fmt in formats:
        values = values_for(fmt)
        assert values.size > 1000
        ours, wanted = fmt.round(values).astype(np.float64), theirs(fmt, values)
        wrong = np.flatnonzero(ours != wanted)
        some = [(float(values[k]), float(ours[k]), float(wanted[k])) for k in wrong[:5]]
        assert not wrong.size, f"{fmt}: {wrong.size} of {values.size} differ, e.g. (x, ours, theirs) {some}"


def test_the_grid_is_large() -> None:
    assert len(set(GRID)) == 840
