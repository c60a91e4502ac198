"""Energy per frame, by a table of picojoules per operation and width.

Horowitz 2014, "Computing's energy problem (and what we can do about it)", 45 nm at 0.9 V: 32-bit integer addition 0.1,
multiplication 3.1; float32 addition 0.9, multiplication 3.7; 32 bits read from an 8 kB memory 5. Scaled to other
widths: an addition with its width, a multiplication with the product of its factors' widths (Horowitz's own 8-bit
figures, 0.03 and 0.2, lie within rounding of that), memory with the bits moved. A shift is not in his table; here it
takes what an addition of that width does. A study gives its own numbers in `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2

from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.goals.operations import counted
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.network import LayerFacts
from wordlength.space import Float32

PICOJOULES: Mapping[str, float] = {
    "integer_addition_32": 0.1,
    "integer_multiplication_32": 3.1,
    "float_addition_32": 0.9,
    "float_multiplication_32": 3.7,
    "shift_32": 0.1,
    "memory_32": 5.0,
}
"""Per operation on 32 bits; `memory_32`: 32 bits read or written."""


class Energy(Cost):
    """Picojoules of a frame's operations, of reading all parameters once, of writing and reading every map."""

    def measure(self, costed: Costed) -> float:
        """Over all layers."""
        table = {**PICOJOULES, **self._table}
        moved = 8 * memory_bytes(costed.slots, costed.candidate)
        moved += sum(2 * layer.elements * costed.map_format(layer.name).width_bits for layer in costed.network.layers)
        computed = sum(_computed(costed, layer, table) for layer in costed.network.layers)
        return computed + table["memory_32"] * moved / 32


def _computed(costed: Costed, layer: LayerFacts, table: Mapping[str, float]) -> float:
    """One layer's multiplications, shifts and additions.

    An accumulator holds the exact sum: as many bits as both factors have, and log2 of the terms.
    """
    found = counted(costed, layer)
    weights, inputs = costed.weights(layer), costed.input_format(layer)
    has_kernel = layer.products > 0
    if Float32() in ([weights, inputs] if has_kernel else [inputs]):
        return (
            table["float_multiplication_32"] * (found.multiplications + found.shifts)
            + table["float_addition_32"] * found.additions
        )
    other = weights.width_bits if has_kernel else inputs.width_bits
    sum_bits = other + inputs.width_bits + ceil(log2(max(1, layer.terms)))
    return (
        table["integer_multiplication_32"] * found.multiplications * other * inputs.width_bits / 32**2
        + table["shift_32"] * found.shifts * sum_bits / 32
        + table["integer_addition_32"] * found.additions * sum_bits / 32
    )
