"""The curved functions that are read from tables, for x ≥ 0: what bounds their tables, and how they go on below 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wordlength.arrays import DoubleArray


@dataclass(frozen=True, slots=True)
class Curve:
    """A function f of x ≥ 0 with a limit.

    `mirror`: f(−x) = mirror − f(x); None if f(−x) = f(x). `curvature` and `slope`: largest |f″| and |f′|.
    """

    of: Callable[[DoubleArray], DoubleArray]
    limit: float
    mirror: int | None
    curvature: float
    slope: float

    def reach(self, places: int) -> int:
        """The first whole x from which on f is its limit, to half a unit of so many binary places."""
        x = np.arange(1.0, 100.0)
        return int(x[np.abs(self.of(x) - self.limit) >= 2.0 ** -(places + 1)].max(initial=0.0)) + 1


def _sigmoid(x: DoubleArray) -> DoubleArray:
    return 1 / (1 + np.exp(-x))


def _normal(x: DoubleArray) -> DoubleArray:
    """Of the normal distribution: how much lies above x."""
    return np.array([math.erfc(value / math.sqrt(2)) / 2 for value in np.ravel(x)]).reshape(np.shape(x))


CURVES = {
    "sigmoid": Curve(_sigmoid, 1.0, 1, 1 / (6 * math.sqrt(3)), 1 / 4),
    "tanh": Curve(np.tanh, 1.0, 0, 4 / (3 * math.sqrt(3)), 1.0),
}
"""Functions that are a table alone."""

REMAINDERS = {
    "silu": Curve(lambda x: -x * _sigmoid(-x), 0.0, None, 1 / 2, 1 / 2),
    "gelu": Curve(lambda x: -x * _normal(x), 0.0, None, math.sqrt(2 / math.pi), 1 / 2),
    "softplus": Curve(lambda x: np.log1p(np.exp(-x)), 0.0, None, 1 / 4, 1 / 2),
    "hard_silu": Curve(lambda x: np.where(x < 3, x * (x - 3) / 6, 0.0), 0.0, None, 1 / 3, 1 / 2),
    "elu": Curve(lambda x: np.exp(-x) - 1, -1.0, None, 1.0, 1.0),
}
"""Functions that are max(x, 0) and a remainder of |x|, which is tabled; that of an elu is for x < 0 only."""

ONE_SIDED = frozenset({"elu"})
LOWEST = {
    "silu": -0.2784645427610738,
    "gelu": -0.16997120747990369,
    "softplus": 0.0,
    "hard_silu": -0.375,
    "elu": -1.0,
}
"""The least value of each of REMAINDERS' functions."""
