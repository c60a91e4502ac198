"""The activation function of a Keras layer on integers."""

from __future__ import annotations

import math
from typing import Any

from wordlength.errors import IntegerError
from wordlength.objectives.integer.curves import CURVES, REMAINDERS
from wordlength.objectives.integer.functions import MOST_FRACTION_BITS, Clip, Fire, Function, Line, Ramp, Table
from wordlength.space import Binary, Fixed, Format, PowerOfTwo
from wordlength.space.layer_types import Family
from wordlength.space.slots import Anatomy

_LINES: dict[str, Clip | Line] = {
    "linear": Clip(),
    "relu": Clip(0.0),
    "relu6": Clip(0.0, 6.0),
    "hard_tanh": Clip(-1.0, 1.0),
    "leaky_relu": Line(0.2),
    "hard_sigmoid": Line(1 / 6, 1 / 6, 0.5, 0.0, 1.0),
}
"""By the names of `keras.activations`, with their default settings."""
FUNCTIONS = (*_LINES, *CURVES, *REMAINDERS)
_PO2_PLACES = 3
"""Binary places that a table needs below the smallest power, so that the nearest power is found."""


def function_of(parts: Anatomy, fmt: Format) -> Function:
    """What a layer's ACTIVATIONS slot applies before it rounds. Raises IntegerError for an unknown function."""
    if isinstance(fmt, Binary):
        return Fire()
    if (function := _of_layer(parts, fmt)) is not None:
        return function
    name = _function_name(parts)
    return named_function(parts.layer.name, name, 0 if name in _LINES else places_of(parts.layer, fmt))


def named_function(layer: str, name: str, places: int) -> Function:
    """A function of `keras.activations`, tables for an output of so many fraction bits."""
    if name in _LINES:
        return _LINES[name]
    if name in CURVES:
        return Table(name, places)
    if name in REMAINDERS:
        return Ramp(name, places)
    raise IntegerError(
        f"layer {layer!r} has the function {name}, but integer arithmetic knows {', '.join(FUNCTIONS)} only"
    )


def places_of(layer: Any, fmt: Format) -> int:
    """The fraction bits that count for a table. Raises IntegerError for an output that is not in whole numbers."""
    match fmt:
        case Fixed():
            places = -int(fmt.step_exponents[0])
        case PowerOfTwo():
            places = _PO2_PLACES - fmt.min_exponent
        case _:
            raise IntegerError(f"outputs of {layer.name} must have whole numbers for codes, but are {fmt}")
    return min(max(places, 1), MOST_FRACTION_BITS)


def _of_layer(parts: Anatomy, fmt: Format) -> Function | None:
    """The function of an activation layer with settings of its own."""
    layer = parts.core
    match parts.kind:
        case "ReLU":
            return _relu(layer)
        case "LeakyReLU":
            return Line(_slope(layer, layer.negative_slope))
        case "ELU":
            if layer.alpha != 1:
                raise IntegerError(f"an elu must have alpha=1 to be computed with integers, but {layer.name!r} has not")
            return Ramp("elu", places_of(layer, fmt))
    return None


def _relu(layer: Any) -> Function:
    if layer.threshold:
        raise IntegerError(f"a ReLU must have no threshold to be computed with integers, but {layer.name!r} has one")
    highest = math.inf if layer.max_value is None else float(layer.max_value)
    if layer.negative_slope:
        return Line(_slope(layer, layer.negative_slope), highest=highest)
    return Clip(0.0, highest)


def _slope(layer: Any, slope: float) -> float:
    if slope < 0:
        raise IntegerError(f"slopes must be positive to be computed with integers, but {layer.name!r} has {slope:g}")
    return float(slope)


def _function_name(parts: Anatomy) -> str:
    if parts.family is Family.FUNCTION or parts.has_function:
        return getattr(getattr(parts.core, "activation", None), "__name__", parts.kind)
    return "linear"
