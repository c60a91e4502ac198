"""One layer of the Keras model that hls4ml reads: its weights, its types, and what it must give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.objectives.integer import Integers, Round, Step


class Refused(Exception):
    """Why hls4ml cannot express a layer."""


@dataclass(frozen=True, eq=False)
class Node:
    """A layer for hls4ml, and its entry in the configuration.

    `kind`, `settings`: Keras' class and what it is made with. `types`: hls4ml's name of a type → the type. `step`: the
    step of the integer program whose codes it gives, after `rounding` if there is one, times 2^scale; None if it is not
    compared, because the next one gives the rounded. `exponent_bits`: width of the exponents where every weight is a
    power of two, 0 elsewhere.
    """

    name: str
    layer: str
    kind: str
    types: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[FloatArray, ...] = ()
    reuse: int = 0
    table_size: int = 0
    exponent_bits: int = 0
    step: Step | None = None
    rounding: Round | None = None
    scale: int = 0

    def entry(self) -> dict[str, Any]:
        """What the configuration says of it."""
        entry: dict[str, Any] = {"Precision": {name: text for name, text in self.types.items() if name != "table"}}
        if self.reuse:
            entry |= {"Strategy": "Resource", "ReuseFactor": self.reuse}
        if self.table_size:
            # Beside the precisions: hls4ml reads no table's type from among them.
            entry |= {"TableSize": self.table_size, "table_t": self.types["table"]}
        return entry

    def values(self, codes: Integers) -> DoubleArray:
        """What it gives where its step gives these codes; same shape."""
        assert self.step is not None
        if self.rounding is None:
            return np.ldexp(codes.astype(np.float64), self.step.grid.exponent + self.scale)
        return np.ldexp(self.rounding(codes).astype(np.float64), self.rounding.grid.exponent + self.scale)


class Names:
    """Names for hls4ml, each given once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wanted: str) -> str:
        """The name in letters that C++ allows.

        A single word may be one of C++ (`int`) or of hls4ml (`input`; by mistake also `i`, `n`, `p`, `u` and `t`):
        `_layer` is added, as to what looks like a type.
        """
        stem = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        stem = stem if "_" in stem and not stem.endswith("_t") else f"{stem}_layer"
        stem = stem if stem[0].isalpha() else f"layer_{stem}"
        name, number = stem, 2
        while name.lower() in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name.lower())
        return name
