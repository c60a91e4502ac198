"""Binary activation maps: one bit that says whether a neuron fires."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.errors import FormatError
from wordlength.space.formats.base import NO_SHIFTS, CodeNumbers, Encoded, Format, checked

MAX_STEEPNESS = 1000.0


@dataclass(frozen=True)
class Binary(Format):
    """{0, 1} for activations, after Nilsson et al. 2024: the Heaviside step of the sum before the activation.

    It takes the activation function's place: a layer whose output is binary gives 1 where its sum, bias
    included, is above zero, else 0. The bias therefore is the (negative) threshold, learned with the rest;
    with `learn_threshold=False` it gets no gradient while the output is binary. Gradient in training: the
    derivative of a fast sigmoid, 1 / (1 + steepness · |x|)², everywhere (the paper's figure 1: a surrogate
    with adjustable steepness; Zenke & Ganguli 2018). Nothing overflows and nothing is lost in precision: the
    analysis counts zero gradients only.

    Raises FormatError if `steepness` is not above 0 and at most 1000.
    """

    steepness: float = 10.0
    learn_threshold: bool = True

    kind: ClassVar[str] = "binary"
    unfit_for_parameters = "it is 0 or 1, for activations; 1-bit weights are po2<1,-1>"

    def __post_init__(self) -> None:
        given = self.steepness
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= MAX_STEEPNESS:
            raise FormatError(f"binary steepness must be above 0 and at most {MAX_STEEPNESS:g}, but got {given!r}")
        if not isinstance(self.learn_threshold, bool):
            raise FormatError(f"binary learn_threshold must be True or False, but got {self.learn_threshold!r}")
        object.__setattr__(self, "steepness", float(given))

    @property
    def width_bits(self) -> int:
        return 1

    @property
    def lowest(self) -> float:
        return 0.0

    @property
    def highest(self) -> float:
        return 1.0

    @property
    def smallest_magnitude(self) -> float:
        return 1.0

    def limits(self, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        # Every sum has its bit: none lies outside.
        return np.asarray(-inf, np.float32), np.asarray(inf, np.float32)

    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        return np.asarray(checked(values, place) > 0, np.float32)

    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        return Encoded(self.round(values, place).astype(np.uint32), NO_SHIFTS)

    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        return encoded.codes.astype(np.int64), np.zeros((), np.int64)

    def __str__(self) -> str:
        options = [] if self.steepness == Binary.steepness else [f"steepness={self.steepness!r}".removesuffix(".0")]
        options += [] if self.learn_threshold else ["fixed_threshold"]
        return f"binary<{','.join(options)}>" if options else "binary"
