"""C code of what follows a sum: the function, and the rounding to the output's format."""

from __future__ import annotations

from collections.abc import Iterator

from wordlength.objectives.integer import Round
from wordlength.objectives.integer.functions import Clip, Fire, Line, Ramp, Table
from wordlength.search.export.c.plan import DEPTH, c_type, numbers
from wordlength.space import Fixed, Overflow, PowerOfTwo, Rounding

_ROUNDINGS = {Rounding.HALF_EVEN: "half_even", Rounding.HALF_UP: "half_up", Rounding.FLOOR: "down"}
_LARGEST_SHIFT = 62


def constants_of(name: str, step: Round, written: set[str]) -> tuple[list[str], int]:
    """Tables that the rounding needs, and their bytes. Curves in `written` are not repeated; new ones are added."""
    lines: list[str] = []
    size = 0
    table = step.function.table if isinstance(step.function, Ramp) else step.function
    if isinstance(table, Table) and (curve := _curve(table)) not in written:
        written.add(curve)
        entries = table.entries.tolist()
        size += 4 * len(entries)
        lines += [
            f"/* {table.name} by table: at most {table.error:.3g} from the function. */",
            f"static const int32_t entries_{curve}[{len(entries)}] = {{",
            *numbers(entries),
            "};",
            f"static const curve curve_{curve} = {{entries_{curve}, {table.largest_argument}, {table.weight_bits}, "
            f"INT64_C({table.mirror})}};",
        ]
    if isinstance(step.format, PowerOfTwo) and len(step.turns):
        size += 8 * len(step.turns)
        lines += [
            "/* Magnitudes above which the next power of two is nearer. */",
            f"static const int64_t turns_{name}[{len(step.turns)}] = {{",
            *numbers([f"INT64_C({turn})" for turn in step.turns.tolist()]),
            "};",
        ]
    return lines, size


def rounding_of(name: str, step: Round) -> Iterator[str]:
    """Function and rounding of one value."""
    kind = c_type(step.grid)
    if isinstance(step.function, Fire):
        yield f"return ({kind})(value > 0);"
        return
    source = "value"
    match step.function:
        case Table():
            source = f"interpolate(&curve_{_curve(step.function)}, {_argument(step, step.function)})"
        case Ramp():
            yield from _ramp(step, step.function)
            source = "number"
        case Line():
            below, above, offset = step.function.factors(step.source_grid)
            yield f"const int64_t number = value * (value < 0 ? {_long(below)} : {_long(above)}) + {_long(offset)};"
            source = "number"
    if isinstance(step.format, PowerOfTwo):
        yield from _power(name, step, source)
        return
    assert isinstance(step.format, Fixed)
    wraps = step.format.overflow is Overflow.WRAP
    if wraps and isinstance(step.function, Clip) and step.function.lowest == 0:
        source = "(value < 0 ? 0 : value)"
    code = _rescaled(source, step.places, step.format.rounding)
    if wraps:
        width = step.format.bits
        cut = f"wrap_signed({code}, {width})" if step.format.signed else f"({code} & {2**width - 1})"
        yield f"return ({kind}){cut};"
    else:
        yield f"return ({kind})clip({code}, {step.grid.lowest}, {step.grid.highest});"


def _ramp(step: Round, ramp: Ramp) -> Iterator[str]:
    """max(value, 0), and what is added to it."""
    linear, tabled = ramp.shifts(step.source_grid)
    yield f"const int64_t argument = {_argument(step, ramp.table)};"
    yield "const int64_t magnitude_of = argument < 0 ? -argument : argument;"
    yield f"const int64_t added = left64(interpolate(&curve_{_curve(ramp.table)}, magnitude_of), {tabled});"
    rising = f"left64(value, {linear})"
    sides = (rising, "added") if ramp.one_sided else (f"{rising} + added", "added")
    yield f"const int64_t number = value < 0 ? {sides[1]} : {sides[0]};"


def _curve(table: Table) -> str:
    return f"{table.name}_{table.fraction_bits}"


def _long(number: int) -> str:
    return f"INT64_C({number})"


def _rescaled(value: str, places: int, rounding: Rounding = Rounding.HALF_EVEN) -> str:
    if places <= 0:
        return f"left64({value}, {-places})" if places else value
    if places > _LARGEST_SHIFT:
        return f"({value} < 0 ? -1 : 0)" if rounding is Rounding.FLOOR else f"(0 * {value})"
    return f"{_ROUNDINGS[rounding]}({value}, {places})"


def _argument(step: Round, table: Table) -> str:
    places = -table.argument_bits - step.source_grid.exponent
    if places >= 0:
        return _rescaled("value", places)
    end, shift = table.cut(-places)
    return f"left64(clip(value, {-end}, {end}), {shift})"


def _power(name: str, step: Round, source: str) -> Iterator[str]:
    kind = c_type(step.grid)
    if source != "number":
        yield f"const int64_t number = {source};"
    yield "int64_t power = 1;"
    if len(step.turns) or step.zero_up_to >= 0:
        yield "const int64_t magnitude = number < 0 ? -number : number;"
    if len(step.turns):
        yield "int32_t turn;"
        yield f"for (turn = 0; turn < {len(step.turns)}; turn++)"
        yield f"{DEPTH}if (magnitude > turns_{name}[turn])"
        yield f"{DEPTH * 2}power <<= 1;"
    if step.zero_up_to >= 0:
        yield f"if (magnitude <= INT64_C({step.zero_up_to}))"
        yield f"{DEPTH}power = 0;"
    yield f"return ({kind})clip(number < 0 ? -power : power, {step.grid.lowest}, {step.grid.highest});"
