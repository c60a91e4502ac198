"""C code of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator

from wordlength.objectives.integer import Cell, Direction, Recurrent
from wordlength.search.export.c.plan import DEPTH, accumulator_bits, c_type
from wordlength.search.export.c.unpacking import Unpacker, accumulator, kernel_type, product, shifted_sums


def recurrent(unpacker: Unpacker, name: str, step: Recurrent) -> Iterator[str]:
    """Both kernels unpacked, then every frame; one direction after the other."""
    first = step.directions[0]
    kinds = {"state": c_type(step.grid)} | ({"cell": c_type(first.kept)} if first.cell is Cell.LSTM else {})
    yield "packed_codes codes;"
    yield "int32_t frame, i, o;"
    for state, kind in kinds.items():
        yield f"{kind} *const {state} = {unpacker.array(state, kind, first.units)};"
    for number, one in enumerate(step.directions):
        yield "{"
        yield from (f"{DEPTH}{line}" for line in _unpacked(unpacker, one))
        yield from (f"{DEPTH}{line}" for line in _pass(name, step, number))
        yield "}"


def _unpacked(unpacker: Unpacker, one: Direction) -> Iterator[str]:
    """Kernels, their channels' shifts and the biases, in arrays; space for the sums."""
    parts = (one.inputs, one.states)
    biased = {f"biases{number}": part for number, part in enumerate(parts) if part.bias is not None}
    for number, part in enumerate(parts):
        arrays = {"sums": (accumulator(part), part.shape[2]), "kernel": (kernel_type(part), part.kernel.info.count)}
        arrays |= {"biases": arrays["sums"]} if part.bias is not None else {}
        arrays |= {"shifts": ("uint8_t", part.shape[2])} if shifted_sums(part) else {}
        for name, (kind, count) in arrays.items():
            yield f"{kind} *const {name}{number} = {unpacker.array(f'{name}_{number}', kind, count)};"
    yield from unpacker.unpack_biases(biased)
    for number, part in enumerate(parts):
        yield from unpacker.channel_shifts(number, part)
        yield from unpacker.unpack_whole_kernel(number, part)


def _pass(name: str, step: Recurrent, number: int) -> Iterator[str]:
    """All frames of one direction, whose outputs lie behind those of the directions before it."""
    one = step.directions[number]
    units, frames, channels = one.units, one.frames, one.inputs.source_shape[2]
    yield f"for (o = 0; o < {units}; o++)"
    yield f"{DEPTH}state[o] = {one.start};"
    if one.cell is Cell.LSTM:
        yield f"for (o = 0; o < {units}; o++)"
        yield f"{DEPTH}cell[o] = {one.start};"
    yield f"for (frame = 0; frame < {frames}; frame++) {{"
    at = f"{frames - 1} - frame" if one.backward else "frame"
    yield f"{DEPTH}const int32_t at = {at};"
    for place, (count, value) in enumerate(((channels, f"in[at * {channels} + i]"), (units, "state[i]"))):
        yield from (f"{DEPTH}{line}" for line in _sums(one, place, count, value))
    yield f"{DEPTH}for (o = 0; o < {units}; o++) {{"
    yield from (f"{DEPTH * 2}{line}" for line in _next(f"{name}_{number}", one))
    yield f"{DEPTH}}}"
    if step.sequences:
        where = "at" if one.in_order else "frame"
        yield f"{DEPTH}for (o = 0; o < {units}; o++)"
        yield f"{DEPTH * 2}out[{where} * {step.shape[2]} + {number * units} + o] = state[o];"
    yield "}"
    if not step.sequences:
        yield f"for (o = 0; o < {units}; o++)"
        yield f"{DEPTH}out[{number * units} + o] = state[o];"


def _sums(one: Direction, place: int, count: int, value: str) -> Iterator[str]:
    """The sums of products of one frame, shifted, with their bias."""
    step = (one.inputs, one.states)[place]
    kind, bits, width = f"int{accumulator_bits(step)}_t", accumulator_bits(step), step.shape[2]
    yield f"for (o = 0; o < {width}; o++)"
    yield f"{DEPTH}sums{place}[o] = 0;"
    yield f"for (i = 0; i < {count}; i++) {{"
    yield f"{DEPTH}const {kind} value = ({kind}){value};"
    yield f"{DEPTH}for (o = 0; o < {width}; o++)"
    yield f"{DEPTH * 2}sums{place}[o] += {product(step, 'value', f'kernel{place}[i * {width} + o]')};"
    yield "}"
    shifts = [f"shifts{place}[o]"] if shifted_sums(step) else []
    shifts += [str(step.product_shift)] if step.product_shift else []
    total = f"left{bits}(sums{place}[o], {' + '.join(shifts)})" if shifts else f"sums{place}[o]"
    total += f" + biases{place}[o]" if step.bias is not None else ""
    if total != f"sums{place}[o]":
        yield f"for (o = 0; o < {width}; o++)"
        yield f"{DEPTH}sums{place}[o] = {total};"


def _next(name: str, one: Direction) -> Iterator[str]:
    """The next state of one unit."""
    if one.cell is Cell.SIMPLE:
        yield f"state[o] = finish_{name}_state({_argument(one, 'h')});"
        return
    for letter in one.cell.gates:
        if one.cell is Cell.GRU and letter == "h":
            ahead, behind = one.reset_shifts
            held = f"gate_r * {_held(one, 'h')}"
            argument = f"{_left(_fed(one, 'h'), ahead)} + {_left(held, behind)}"
        else:
            argument = _argument(one, letter)
        yield f"const int64_t gate_{letter} = finish_{name}_{letter}({argument});"
    ahead, behind = one.mixed_shifts
    if one.cell is Cell.GRU:
        kept, new = "gate_z * state[o]", f"({one.one} - gate_z) * gate_h"
        yield f"state[o] = finish_{name}_state({_left(kept, ahead)} + {_left(new, behind)});"
        return
    yield f"const int64_t mixed = {_left('gate_f * cell[o]', ahead)} + {_left('gate_i * gate_h', behind)};"
    yield f"cell[o] = finish_{name}_c(mixed);"
    yield f"state[o] = finish_{name}_state(gate_o * finish_{name}_t(mixed));"


def _argument(one: Direction, letter: str) -> str:
    ahead, behind = one.shifts
    return f"{_left(_fed(one, letter), ahead)} + {_left(_held(one, letter), behind)}"


def _fed(one: Direction, letter: str) -> str:
    return f"(int64_t)sums0[{_place(one, letter)}]"


def _held(one: Direction, letter: str) -> str:
    return f"(int64_t)sums1[{_place(one, letter)}]"


def _place(one: Direction, letter: str) -> str:
    part = one.cell.gates.index(letter) * one.units
    return f"{part} + o" if part else "o"


def _left(value: str, places: int) -> str:
    return f"left64({value}, {places})" if places else value
