"""Operations per frame: what a processor does for one window of the network's input, counted by format.

A product with a power-of-two weight is a shift; with a binary activation, or a binary weight, it is a selection, which
goes into the addition. Weights of the count (`table`): a multiplication and an addition count 1; a shift counts 0,
since it costs no step of its own where an adder's operand can be shifted on the way (ARM's barrel shifter, wires).
Activation functions are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.network import LayerFacts, OperationCount
from wordlength.space import Binary, PowerOfTwo

WEIGHTS: Mapping[str, float] = {"multiplication": 1.0, "shift": 0.0, "addition": 1.0}
"""How much each operation counts."""


def counted(costed: Costed, layer: LayerFacts) -> OperationCount:
    """The operations of one layer in the candidate's formats."""
    weights, inputs = costed.weights(layer), costed.input_format(layer)
    selected = isinstance(weights, Binary) or isinstance(inputs, Binary)
    shifted = isinstance(weights, PowerOfTwo) and not selected
    products = 0 if selected or shifted else layer.products
    return OperationCount(products + layer.elementwise, layer.products if shifted else 0, layer.additions)


class Operations(Cost):
    """Weighted count of multiplications, shifts and additions per frame."""

    def measure(self, costed: Costed) -> float:
        """Over all layers."""
        table = {**WEIGHTS, **self._table}
        layers = [counted(costed, layer) for layer in costed.network.layers]
        return sum(
            table["multiplication"] * found.multiplications
            + table["shift"] * found.shifts
            + table["addition"] * found.additions
            for found in layers
        )
