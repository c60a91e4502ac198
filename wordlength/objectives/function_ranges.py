"""What activation functions can give: known of Keras' own, whatever the name of a user's."""

from __future__ import annotations

from math import inf
from typing import Any

from keras import activations

Range = tuple[float, float]
ANYTHING: Range = (-inf, inf)

_RANGES: dict[Any, Range] = {
    activations.relu: (0.0, inf),
    activations.relu6: (0.0, 6.0),
    activations.softplus: (0.0, inf),
    activations.exponential: (0.0, inf),
    activations.sigmoid: (0.0, 1.0),
    activations.hard_sigmoid: (0.0, 1.0),
    activations.softmax: (0.0, 1.0),
    activations.tanh: (-1.0, 1.0),
    activations.hard_tanh: (-1.0, 1.0),
    activations.softsign: (-1.0, 1.0),
}


def range_of(function: Any) -> Range:
    """Lowest and highest value of a function; anything for one that is not known."""
    return _RANGES.get(function, ANYTHING)
