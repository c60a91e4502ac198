"""C code of layers that move values, and of those that join several inputs."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from wordlength.objectives.integer import Join, Merge, Move, Shape
from wordlength.search.export.c.plan import DEPTH, accumulator_bits, c_type

_PLACES = ("row", "column", "o")


def moved(step: Move) -> Iterator[str]:
    """Every output place in order, and what lies there."""
    _, width, channels = step.source_shape
    sizes = (width * channels, channels, 1)
    strides = [sizes[axis] for axis in step.axes]
    kind, yes = c_type(step.grid), []
    yield "int32_t row, column, o, to = 0;"
    for axis, (place, name) in enumerate(zip(_PLACES, ("y", "x"), strict=False)):
        where, repeat, before = place, step.repeat[axis], step.before[axis]
        where += f" / {repeat}" if repeat > 1 else ""
        where += f" - {before}" if before > 0 else f" + {-before}" if before else ""
        yield (
            f"for ({place} = 0; {place} < {step.shape[axis]}; {place}++) {{"
            if axis == 0
            else (f"{DEPTH}for ({place} = 0; {place} < {step.shape[axis]}; {place}++) {{")
        )
        yield f"{DEPTH * (axis + 1)}const int32_t {name} = {where};"
        if step.pads:
            yes.append(f"{name} >= 0 && {name} < {step.turned_shape[axis]}")
    value = f"in[y * {strides[0]} + x * {strides[1]} + o * {strides[2]}]"
    value = f"({' && '.join(yes)} ? {value} : 0)" if yes else value
    yield f"{DEPTH * 2}for (o = 0; o < {step.shape[2]}; o++)"
    yield f"{DEPTH * 3}out[to++] = ({kind}){value};"
    yield f"{DEPTH}}}"
    yield "}"


def merged(step: Merge, finish: str = "") -> Iterator[str]:
    """The inputs as one; `finish`: the C function that rounds a result."""
    if step.join is Join.CONCATENATE:
        yield from _concatenated(step)
        return
    yield "int32_t row, column, o, to = 0;"
    yield f"for (row = 0; row < {step.shape[0]}; row++) {{"
    yield f"{DEPTH}for (column = 0; column < {step.shape[1]}; column++) {{"
    yield f"{DEPTH * 2}for (o = 0; o < {step.shape[2]}; o++) {{"
    yield from (f"{DEPTH * 3}{line}" for line in _joined(step))
    yield f"{DEPTH * 3}out[to++] = {finish or f'({c_type(step.grid)})'}{'(value)' if finish else 'value'};"
    yield f"{DEPTH * 2}}}"
    yield f"{DEPTH}}}"
    yield "}"


def _joined(step: Merge) -> Iterator[str]:
    kind = f"int{accumulator_bits(step)}_t"
    for number in range(len(step.sources)):
        value = _shifted(step, number, _at(step.source_shapes[number]))
        match step.join:
            case _ if not number:
                yield f"{kind} value = {value};"
            case Join.ADD | Join.AVERAGE:
                yield f"value += {value};"
            case Join.SUBTRACT:
                yield f"value -= {value};"
            case Join.MULTIPLY:
                yield f"value *= {value};"
            case Join.MAXIMUM | Join.MINIMUM:
                yield f"if ({value} {'>' if step.join is Join.MAXIMUM else '<'} value)"
                yield f"{DEPTH}value = {value};"


def _at(shape: Shape) -> str:
    """Where the output's place lies in an input: axes of size 1 are repeated."""
    row, column, o = (name if size > 1 else "0" for name, size in zip(_PLACES, shape, strict=True))
    return f"({row} * {shape[1]} + {column}) * {shape[2]} + {o}"


def _shifted(step: Merge, number: int, at: str) -> str:
    bits, shift = accumulator_bits(step), step.shifts[number]
    code = f"(int{bits}_t)in{number}[{at}]"
    return f"left{bits}({code}, {shift})" if shift else code


def _concatenated(step: Merge) -> Iterator[str]:
    """Each input in turn: blocks of it that lie together go where they belong in the output."""
    before = 0
    inner = _count(step.shape, step.axis)
    yield "int32_t block, o;"
    for number, shape in enumerate(step.source_shapes):
        size = _count(shape, step.axis)
        blocks = shape[0] * shape[1] * shape[2] // size
        value = _shifted(step, number, f"block * {size} + o")
        yield f"for (block = 0; block < {blocks}; block++)"
        yield f"{DEPTH}for (o = 0; o < {size}; o++)"
        yield f"{DEPTH * 2}out[block * {inner} + {before} + o] = ({c_type(step.grid)}){value};"
        before += size


def _count(shape: Shape, axis: int) -> int:
    """Values that lie together along an axis and those after it."""
    return prod(shape[axis:])
