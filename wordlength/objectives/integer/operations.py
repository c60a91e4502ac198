"""What a frame costs: multiplications, shifts and additions of every step."""

from __future__ import annotations

from math import prod

from wordlength.objectives.integer.functions import Fire, Line, Ramp, Table
from wordlength.objectives.integer.merging import Join, Merge
from wordlength.objectives.integer.moving import Move
from wordlength.objectives.integer.pooling import Pool
from wordlength.objectives.integer.program import Step
from wordlength.objectives.integer.recurrent import Cell, Direction, Recurrent
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Sum
from wordlength.objectives.network import OperationCount
from wordlength.space import Binary, Fixed, PowerOfTwo


def operations(step: Step) -> OperationCount:
    """Of one step; comparisons, memory accesses and the unpacking of weights are not among them.

    A product with a power of two is a shift, any other a multiplication; each is added to its sum. Formats whose
    position differs by channel shift every sum once. A rounding is a shift and an addition, if it drops places at all.
    A table takes two multiplications, a slope one. An average that is no power of two divides: one multiplication.
    """
    outputs = prod(step.shape)
    match step:
        case Sum():
            return _of_sum(step, outputs)
        case Pool(average=True):
            rounded = OperationCount() if step.exact else OperationCount(outputs, outputs, outputs)
            return rounded + OperationCount(additions=int(step.counts.sum()) * step.shape[2])
        case Recurrent():
            return sum((_of_direction(one) for one in step.directions), OperationCount())
        case Merge():
            return _of_merge(step, outputs)
        case Pool() | Move() | Round(function=Fire()) | Round(format=Binary()):
            return OperationCount()
        case Round():
            drops = isinstance(step.format, Fixed) and step.places != 0
            rounded = OperationCount(0, outputs, outputs if step.places > 0 else 0) if drops else OperationCount()
            return _of_function(step, outputs) + rounded


def _of_direction(one: Direction) -> OperationCount:
    """Every frame's sums of input and state, their gates, and what the gates multiply."""
    fed = _of_sum(one.inputs, prod(one.inputs.shape))
    held = _of_sum(one.states, one.states.shape[2])
    products = {Cell.SIMPLE: 0, Cell.GRU: 3, Cell.LSTM: 3}[one.cell]
    added = len(one.cell.gates) + {Cell.SIMPLE: 0, Cell.GRU: 2, Cell.LSTM: 1}[one.cell]
    shifts = sum(shift > 0 for shift in (*one.shifts, *one.mixed_shifts)) if products else 0
    gated = OperationCount(products, shifts, added)
    for step in one.rounds.values():
        gated += operations(step)
    frame = held
    for _ in range(one.units):
        frame += gated
    return sum([frame] * one.frames, fed)


def _of_merge(step: Merge, outputs: int) -> OperationCount:
    shifts = sum(prod(shape) for shape, shift in zip(step.source_shapes, step.shifts, strict=True) if shift)
    joined = 0 if step.join.passes else (len(step.sources) - 1) * outputs
    multiplied = step.join is Join.MULTIPLY
    return OperationCount(joined if multiplied else 0, shifts, 0 if multiplied else joined)


def _of_function(step: Round, outputs: int) -> OperationCount:
    match step.function:
        case Table():
            return OperationCount(2 * outputs, 2 * outputs, 2 * outputs)
        case Ramp():
            return OperationCount(2 * outputs, 4 * outputs, 3 * outputs)
        case Line():
            return OperationCount(outputs, 0, outputs if step.function.offset else 0)
    return OperationCount()


def _of_sum(step: Sum, outputs: int) -> OperationCount:
    products = step.products()
    by_shift = isinstance(step.kernel.format, PowerOfTwo)
    shifted = int(step.kernel.by_channel) + int(step.product_shift > 0)
    return OperationCount(
        0 if by_shift else products,
        (products if by_shift else 0) + shifted * outputs,
        products + (outputs if step.bias is not None else 0),
    )
