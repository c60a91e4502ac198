"""One C function per stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from wordlength.objectives.integer import Grid, Merge, Move, Pool, Recurrent, Round, Sum
from wordlength.search.export.c.finish import constants_of, rounding_of
from wordlength.search.export.c.moves import merged, moved
from wordlength.search.export.c.plan import DEPTH, Stage, accumulator_bits, c_type
from wordlength.search.export.c.recurrent import recurrent
from wordlength.search.export.c.unpacking import Unpacker, accumulator, kernel_type, product, shifted_sums
from wordlength.search.export.packing import Packed

_INDICES = ("row", "column", "r", "c", "i", "o")


class LayerWriter(Unpacker):
    """Writes stages as C functions; `scratch` collects the memory that they share."""

    def __init__(self, places: Mapping[str, Packed]) -> None:
        super().__init__(places)
        self.table_bytes = 0
        self._curves: set[str] = set()

    def write(self, stage: Stage, sources: Sequence[Grid]) -> list[str]:
        """Static functions of one stage: its constants, its rounding, and the layer itself."""
        numbers = range(len(sources)) if stage.merge else ("",)
        entries = [f"const {c_type(grid)} *in{number}" for grid, number in zip(sources, numbers, strict=True)]
        head = f"static void layer_{stage.name}({', '.join(entries)}, {c_type(stage.last.grid)} *out)"
        match stage.last:
            case Pool() as pool:
                return [_comment(stage), head, *_block(_pool(pool))]
            case Move() as move:
                return [_comment(stage), head, *_block(moved(move))]
            case Merge() as merge:
                return [_comment(stage), head, *_block(merged(merge))]
            case Recurrent() as step:
                return [_comment(stage), *self._gates(stage, step), head, *_block(recurrent(self, stage.name, step))]
        finish = [f"static inline {c_type(stage.last.grid)} finish_{stage.name}(int64_t value)"]
        constants = self._constants(stage.name, stage.last)
        finish += _block(rounding_of(stage.name, stage.last))
        if stage.merge:
            body: list[str] | Iterator[str] = merged(stage.merge, f"finish_{stage.name}")
        else:
            body = self._sums(stage) if stage.sums else _each(stage)
        return [_comment(stage), *constants, *finish, "", head, *_block(body)]

    def _constants(self, name: str, step: Round) -> list[str]:
        """Tables that a rounding needs, without curves that are written already."""
        lines, size = constants_of(name, step, self._curves)
        self.table_bytes += size
        return lines

    def _gates(self, stage: Stage, step: Recurrent) -> Iterator[str]:
        """The roundings of every direction."""
        for number, one in enumerate(step.directions):
            for letter, rounding in one.rounds.items():
                name = f"{stage.name}_{number}_{letter}"
                yield from self._constants(name, rounding)
                yield f"static inline {c_type(rounding.grid)} finish_{name}(int64_t value)"
                yield from _block(rounding_of(name, rounding))
                yield ""

    def _sums(self, stage: Stage) -> list[str]:
        body = list(self._sums_body(stage))
        text = "\n".join(body)
        indices = [name for name in _INDICES if re.search(rf"\b{name}\b", text)]
        codes = ["packed_codes codes;"] if "codes" in text else []
        return [*codes, f"int32_t {', '.join(indices)};", *body]

    def _sums_body(self, stage: Stage) -> Iterator[str]:
        first, last = stage.sums[0], stage.sums[-1]
        places = last.shape[0] * last.shape[1]
        alone = first is last and not first.depthwise and first.geometry.kernel == (1, 1)
        dense = alone and places == 1 and first.source_shape[:2] == (1, 1)
        for number, step in enumerate(() if last.silent else stage.sums):
            sums = self.array(f"sums_{number}", accumulator(step), step.shape[2])
            yield f"{accumulator(step)} *const sums{number} = {sums};"
            kind, count = kernel_type(step), last.shape[2] if dense else step.kernel.info.count
            yield f"{kind} *const kernel{number} = {self.array(f'kernel_{number}', kind, count)};"
            if shifted_sums(step):
                yield f"uint8_t *const shifts{number} = {self.array(f'shifts_{number}', 'uint8_t', step.shape[2])};"
        if last.bias:
            biases = self.array("biases", accumulator(last), last.shape[2])
            yield f"{accumulator(last)} *const biases = {biases};"
            yield from self.unpack_biases({"biases": last})
        if last.silent:
            yield from _silent(stage)
            return
        for number, step in enumerate(stage.sums):
            yield from self.channel_shifts(number, step)
        yield from self._dense(stage, last) if dense else self._convolution(stage)

    def _dense(self, stage: Stage, step: Sum) -> Iterator[str]:
        inputs, outputs = step.source_shape[2], step.shape[2]
        yield f"for (o = 0; o < {outputs}; o++)"
        yield f"{DEPTH}sums0[o] = 0;"
        yield f"codes = codes_from({self.bytes_of(step.kernel)});"
        yield f"for (i = 0; i < {inputs}; i++) {{"
        yield f"{DEPTH}const {accumulator(step)} value = ({accumulator(step)})in[i];"
        yield from _indented(self.unpack_kernel(0, step, outputs, f"i * {outputs}"))
        yield f"{DEPTH}for (o = 0; o < {outputs}; o++)"
        yield f"{DEPTH * 2}sums0[o] += {product(step, 'value', 'kernel0[o]')};"
        yield "}"
        yield from _finish(stage, "")

    def _convolution(self, stage: Stage) -> Iterator[str]:
        for number, step in enumerate(stage.sums):
            yield from self.unpack_whole_kernel(number, step)
        last = stage.sums[-1]
        yield f"for (row = 0; row < {last.shape[0]}; row++) {{"
        yield f"{DEPTH}for (column = 0; column < {last.shape[1]}; column++) {{"
        yield from _indented(_place(stage), 2)
        yield from _indented(_finish(stage, f"(row * {last.shape[1]} + column) * {last.shape[2]} + "), 2)
        yield f"{DEPTH}}}"
        yield "}"


def _place(stage: Stage) -> Iterator[str]:
    """All sums of one output place; a pointwise kernel takes them from the depthwise one."""
    step = stage.sums[0]
    channels, geometry = step.source_shape[2], step.geometry
    for number, one in enumerate(stage.sums):
        yield f"for (o = 0; o < {one.shape[2]}; o++)"
        yield f"{DEPTH}sums{number}[o] = 0;"
    yield f"for (r = 0; r < {geometry.kernel[0]}; r++) {{"
    yield from _indented(_met("y", "row", "r", step, 0))
    yield f"{DEPTH}for (c = 0; c < {geometry.kernel[1]}; c++) {{"
    yield from _indented(_met("x", "column", "c", step, 1), 2)
    tap, at = f"(r * {geometry.kernel[1]} + c)", f"(y * {step.source_shape[1]} + x) * {channels}"
    if step.depthwise:
        each = step.shape[2] // channels
        value = f"({accumulator(step)})in[{at} + o{f' / {each}' if each > 1 else ''}]"
        yield f"{DEPTH * 2}for (o = 0; o < {step.shape[2]}; o++)"
        yield f"{DEPTH * 3}sums0[o] += {product(step, value, f'kernel0[{tap} * {step.shape[2]} + o]')};"
    else:
        outputs = step.shape[2]
        yield f"{DEPTH * 2}for (i = 0; i < {channels}; i++) {{"
        yield f"{DEPTH * 3}const {accumulator(step)} value = ({accumulator(step)})in[{at} + i];"
        yield f"{DEPTH * 3}for (o = 0; o < {outputs}; o++)"
        weight = f"kernel0[({tap} * {channels} + i) * {outputs} + o]"
        if geometry.transposed:
            weight = f"kernel0[({tap} * {outputs} + o) * {channels} + i]"
        yield f"{DEPTH * 4}sums0[o] += {product(step, 'value', weight)};"
        yield f"{DEPTH * 2}}}"
    yield f"{DEPTH}}}"
    yield "}"
    if len(stage.sums) == 2:
        point = stage.sums[1]
        yield f"for (i = 0; i < {point.source_shape[2]}; i++) {{"
        shifted = f"left{accumulator_bits(step)}(sums0[i], shifts0[i])" if step.kernel.by_channel else "sums0[i]"
        yield f"{DEPTH}const {accumulator(point)} value = {_cast(step, point)}{shifted};"
        yield f"{DEPTH}for (o = 0; o < {point.shape[2]}; o++)"
        yield f"{DEPTH * 2}sums1[o] += {product(point, 'value', f'kernel1[i * {point.shape[2]} + o]')};"
        yield "}"


def _silent(stage: Stage) -> Iterator[str]:
    """Outputs where every product is 0."""
    step = stage.sums[-1]
    yield "(void)in;"
    yield f"for (i = 0; i < {stage.count}; i += {step.shape[2]})"
    yield f"{DEPTH}for (o = 0; o < {step.shape[2]}; o++)"
    yield f"{DEPTH * 2}out[i + o] = finish_{stage.name}({'biases[o]' if step.bias else '0'});"


def _cast(step: Sum, to: Sum) -> str:
    return "(int32_t)" if accumulator_bits(step) > accumulator_bits(to) else ""


def _met(name: str, place: str, tap: str, step: Sum | Pool, axis: int) -> Iterator[str]:
    """Lines within the loop over taps: where in the input one meets the output place; on with the next if nowhere."""
    size, stride = step.source_shape[axis], step.geometry.strides[axis]
    if not step.geometry.transposed:
        yield f"const int32_t {name} = {_position(place, tap, step, axis)};"
        yield f"if ({name} < 0 || {name} >= {size})"
        yield f"{DEPTH}continue;"
        return
    dilation, before = step.geometry.dilation[axis], step.geometry.before[axis]
    ahead = f"{place} + {before} - {tap} * {dilation}"
    yield f"const int32_t {name}_ahead = {ahead};"
    yield f"const int32_t {name} = {name}_ahead / {stride};"
    yield f"if ({name}_ahead < 0 || {name}_ahead % {stride} != 0 || {name} >= {size})"
    yield f"{DEPTH}continue;"


def _position(place: str, tap: str, step: Sum | Pool, axis: int) -> str:
    """C expression: where in the input a tap meets the output place."""
    geometry = step.geometry
    stride, dilation, before = geometry.strides[axis], geometry.dilation[axis], geometry.before[axis]
    text = f"{place} * {stride}" if stride > 1 else place
    text += f" + {tap} * {dilation}" if dilation > 1 else f" + {tap}"
    return f"{text} - {before}" if before else text


def _finish(stage: Stage, index: str) -> Iterator[str]:
    """Shift the sums, add the biases, round."""
    step, number = stage.sums[-1], len(stage.sums) - 1
    bits, value = accumulator_bits(step), f"sums{number}[o]"
    shift = " + ".join(
        part for part in (f"shifts{number}[o]" if shifted_sums(step) else "", str(step.product_shift or "")) if part
    )
    value = f"left{bits}({value}, {shift})" if shift else value
    value += " + biases[o]" if step.bias is not None else ""
    yield f"for (o = 0; o < {step.shape[2]}; o++)"
    yield f"{DEPTH}out[{index}o] = finish_{stage.name}({value});"


def _each(stage: Stage) -> Iterator[str]:
    yield "int32_t i;"
    yield f"for (i = 0; i < {stage.count}; i++)"
    yield f"{DEPTH}out[i] = finish_{stage.name}((int64_t)in[i]);"


def _pool(step: Pool) -> Iterator[str]:
    _, width, channels = step.source_shape
    kind = f"int{accumulator_bits(step)}_t"
    inexact = step.average and not step.exact
    yield "int32_t row, column, r, c, o;"
    yield f"for (row = 0; row < {step.shape[0]}; row++) {{"
    yield f"{DEPTH}for (column = 0; column < {step.shape[1]}; column++) {{"
    yield f"{DEPTH * 2}for (o = 0; o < {channels}; o++) {{"
    lines = [f"{kind} value = {0 if step.average else step.source_grid.lowest};"]
    lines += ["int32_t count = 0;"] if inexact else []
    lines += [
        f"for (r = 0; r < {step.geometry.kernel[0]}; r++) {{",
        *_indented(_met("y", "row", "r", step, 0)),
        f"{DEPTH}for (c = 0; c < {step.geometry.kernel[1]}; c++) {{",
        *_indented(_met("x", "column", "c", step, 1), 2),
    ]
    code = f"({kind})in[(y * {width} + x) * {channels} + o]"
    if step.average:
        lines += [f"{DEPTH * 2}value += {code};"]
    else:
        lines += [f"{DEPTH * 2}if ({code} > value)", f"{DEPTH * 3}value = {code};"]
    lines += [f"{DEPTH * 2}count += 1;"] if inexact else []
    result = f"divide(left64(value, {-(step.exponent - step.source_grid.exponent)}), count)" if inexact else "value"
    lines += [f"{DEPTH}}}", "}"]
    lines += [f"out[(row * {step.shape[1]} + column) * {channels} + o] = ({c_type(step.grid)}){result};"]
    yield from _indented(lines, 3)
    yield f"{DEPTH * 2}}}"
    yield f"{DEPTH}}}"
    yield "}"


def _comment(stage: Stage) -> str:
    last = stage.last
    told = "".join(f", {step.kernel.format.brief} weights" for step in stage.sums[:1])
    if stage.recurrent:
        told += f", each from those before it within {stage.recurrent.error:.3g} before its rounding"
    return f"/* {last.layer}: {' x '.join(map(str, last.shape))} outputs {last.grid.q_format}{told}. */"


def _block(lines: Iterator[str] | list[str]) -> list[str]:
    return ["{", *_indented(lines), "}"]


def _indented(lines: Iterator[str] | list[str], depth: int = 1) -> Iterator[str]:
    return (f"{DEPTH * depth}{line}" for line in lines)
