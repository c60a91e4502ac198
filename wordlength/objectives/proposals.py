"""Data-type proposals: the position of least squared error for a slot's float values, per kind and width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from wordlength.space import Fixed, Format, PowerOfTwo, Slot
from wordlength.space.formats import MAX_POSITION
from wordlength.space.search_space import Anchors

SAMPLE_VALUES = 16_384
"""Values of a slot that the proposals look at; the largest magnitude is always among them."""
_POSITIONS_BELOW_TOP = 12


def sample(values: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float32]:
    """At most SAMPLE_VALUES of the values, flattened, the one of largest magnitude among them."""
    flat = np.ravel(values)
    if flat.size <= SAMPLE_VALUES:
        return flat.copy()
    chosen = np.random.default_rng(seed).choice(flat.size, SAMPLE_VALUES - 1, replace=False)
    return np.append(flat[chosen], flat[np.argmax(np.abs(flat))])


def propose(values: npt.NDArray[np.float32], kind: str, bits: int) -> int:
    """Integer bits (fixed) or largest exponent (po2) of least mean squared error over float32 values (n,).

    Ties go to the larger position, which overflows less. Zeros only: position 0.
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0:
        return 0
    top = max(-MAX_POSITION, min(int(np.frexp(largest)[1]) + 1, MAX_POSITION))
    bottom = max(top - _POSITIONS_BELOW_TOP, -MAX_POSITION)
    return max(range(bottom, top + 1), key=lambda position: (-_squared_error(values, kind, bits, position), position))


def anchors(samples: Mapping[Slot, npt.NDArray[np.float32]], needed: Iterable[tuple[Slot, str, int]]) -> Anchors:
    """Proposals for every (slot, kind, bits) asked for."""
    return Anchors({(slot, kind, bits): propose(samples[slot], kind, bits) for slot, kind, bits in needed})


def _squared_error(values: npt.NDArray[np.float32], kind: str, bits: int, position: int) -> float:
    fmt: Format = Fixed(bits, position) if kind == "fixed" else PowerOfTwo(bits, position)
    return float(np.mean(np.square(fmt.round(values) - values, dtype=np.float64)))
