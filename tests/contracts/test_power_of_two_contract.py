import itertools
import math

import numpy as np
from format_contract import FormatContract
from format_strategies import po2_formats, zero_po2_formats

from wordlength.space import PowerOfTwo

POSITIONS = (-32, -9, -2, -1, 0, 1, 7, 32)


class PowerOfTwoContract(FormatContract):
    def exponents(self, fmt: PowerOfTwo) -> range:
        """Of all representable powers; the lowest code is zero's if there is one."""
        lowest = fmt.max_exponent - 2 ** (fmt.bits - 1) + 1 + (1 if fmt.zero else 0)
        return range(max(lowest, -126), fmt.max_exponent + 1)

    def boundaries(self, fmt: PowerOfTwo) -> np.ndarray:
        """Powers, the turning points √2 · 2^n, and half the smallest power, where zero begins."""
        exponents = self.exponents(fmt)
        ends = {end + offset for end in (exponents[0], exponents[-1]) for offset in range(-3, 4)}
        every = sorted(ends) + sorted(set(exponents) - ends)
        powers = 2.0 ** np.array([exponent for exponent in every if exponent > -149])
        values = np.stack([powers, powers * math.sqrt(2), powers * 1.5]).T.ravel()
        return np.stack([values, -values]).T.reshape(-1, 1)

    def distinct_codes(self, fmt: PowerOfTwo) -> int:
        return 2 * len(self.exponents(fmt)) + int(fmt.zero)


class TestPowerOfTwo(PowerOfTwoContract):
    formats = po2_formats
    examples = (
        *(PowerOfTwo(bits, -1) for bits in (1, 2, 3, 4, 5, 6, 7, 8, 16)),
        *(PowerOfTwo(4, position) for position in (-32, 0, 7, 32)),
        *(PowerOfTwo(8, position) for position in (0, 1, 2, 32)),
        PowerOfTwo(16, -32),
    )
    sweep = tuple(PowerOfTwo(b, e) for b, e in itertools.product(range(1, 17), POSITIONS))


class TestPowerOfTwoWithZero(PowerOfTwoContract):
    formats = zero_po2_formats
    examples = (
        *(PowerOfTwo(bits, -1, True) for bits in (2, 3, 4, 5, 6, 7, 8, 16)),
        *(PowerOfTwo(4, position, True) for position in (-32, 0, 32)),
        *(PowerOfTwo(8, position, True) for position in (0, 1, 2)),
    )
    sweep = tuple(PowerOfTwo(b, e, True) for b, e in itertools.product(range(2, 17), POSITIONS))

    def test_zero_is_code_zero(self, fmt: PowerOfTwo) -> None:
        half = np.float32(fmt.smallest_magnitude / 2)
        small = np.array([0, -0.0, 1e-45, -1e-45, half, -half], np.float32)
        assert fmt.encode(small).codes.tolist() == [0] * 6
        beyond = np.nextafter(np.float32([half, -half]), np.float32([1, -1]) * np.float32(np.inf))
        seen = np.abs(beyond) >= 2.0**-126  # half of 2^-126 has only denormals around it
        assert (fmt.round(beyond)[seen] == np.array([1, -1])[seen] * fmt.smallest_magnitude).all()
