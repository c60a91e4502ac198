"""What a fixed-point analysis means, in words: which tensors suffer most, and what would help them.

Terms are those of `wordlength.objectives.analysis`. Rows are one LayerAnalysis per slot, as
`TrialReport.last_analyses` gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import frexp, log2

from wordlength.objectives.report import Accumulator, LayerAnalysis
from wordlength.space import Binary, Fixed, Format, PowerOfTwo, VirtualBitShift
from wordlength.space.formats import HIGHEST_VBS_POSITION, MAX_FIXED_BITS, MAX_POSITION, Overflow, Rounding

WEIGHTS = {"overflow": 100.0, "underflow": 2.0, "precision": 1.0, "zero_gradient": 0.5}
"""Figure → what a share of 1 counts in the severity; see `severity`."""
NOTABLE = 0.01
"""Share from which underflow, precision violations and zero gradients are worth a sentence; overflow always is."""
NEARLY_ALL = 0.999
"""Share of the values for which the sentences name a smaller range than that of all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one tensor or accumulator.

    `place`: the slot as `conv_2.activations`, the layer of an accumulator, or empty; `figure`: a key of WEIGHTS,
    "accumulator", or "none" where nothing is wrong; `severity`: the figure's part of the slot's, 0 for the last two.
    `share`: how much of the tensor, 0 to 1; `detail`: what the sentence says beside tensor, share and figure.
    """

    place: str
    severity: float
    sentence: str
    figure: str
    share: float = 0.0
    detail: str = ""


def severity(row: LayerAnalysis) -> float:
    """How much one tensor suffers: 100 · overflow + 2 · underflow + precision + zero gradient / 2, of the shares.

    A value that overflows may lose any amount, so 1 % of them count as much as precision violations of all; but
    where none lies a whole step outside, overflow counts as a violation does. One that underflows is lost whole
    but is among the smallest: it counts twice a violation. A violation keeps the value's size, and training makes
    up for much of it. Zero gradients count least and can add half a point at most: relus make many of them
    without any quantization. Of binary tensors only zero gradients count.
    """
    return sum(_weight(row, figure) * share for figure, share in _shares(row).items())


def ranked(rows: Iterable[LayerAnalysis]) -> tuple[LayerAnalysis, ...]:
    """The rows, worst `severity` first; equals keep their order."""
    return tuple(sorted(rows, key=severity, reverse=True))


def findings(
    analyses: Iterable[LayerAnalysis], accumulators: Iterable[Accumulator], precision_limit: float
) -> tuple[Finding, ...]:
    """A sentence for every trouble, worst first, then one for every accumulator.

    Overflow is told however rare, the other figures from a share of NOTABLE. If nothing is wrong, one sentence
    says so. `precision_limit`: the analysis' own, a share (0.05).
    """
    rows = tuple(analyses)
    found = [finding for row in rows for finding in _findings_of(row, precision_limit)]
    if rows and not found:
        found = [Finding("", 0.0, _all_well(len(rows)), "none")]
    found.sort(key=lambda finding: finding.severity, reverse=True)
    sums = (Finding(row.layer, 0.0, _accumulator_sentence(row), "accumulator") for row in accumulators)
    return (*found, *sums)


def percent(share: float) -> str:
    """A share from 0 to 1 as "2.1 %"; smaller ones with two digits, and 100.0 % only if it is all."""
    if 0 < share < 0.0005:
        return f"{Decimal(f'{100 * share:.1e}'):f} %"
    if 0.9995 <= share < 1:
        return "more than 99.9 %"
    return f"{100 * share:.1f} %"


def _shares(row: LayerAnalysis) -> dict[str, float]:
    counted = ("zero_gradient",) if isinstance(row.format, Binary) else tuple(WEIGHTS)
    return {figure: row.figure(figure) for figure in counted}


def _weight(row: LayerAnalysis, figure: str) -> float:
    return WEIGHTS["precision" if figure == "overflow" and _is_slight(row) else figure]


def _is_slight(row: LayerAnalysis) -> bool:
    """Whether no value lies a whole step outside its range: saturation then costs what rounding may cost."""
    fmt = row.format
    if isinstance(fmt, VirtualBitShift):
        # A group's range reaches to within one step of the power of two above its values, up to the last shift.
        return row.max_magnitude < 2.0**HIGHEST_VBS_POSITION
    if not isinstance(fmt, Fixed) or fmt.per_channel or fmt.overflow is Overflow.WRAP:
        return False
    return fmt.lowest - fmt.step < row.minimum and row.maximum < fmt.highest + fmt.step


def _findings_of(row: LayerAnalysis, precision_limit: float) -> list[Finding]:
    shares = _shares(row)
    told = [figure for figure, share in shares.items() if share >= NOTABLE or (figure == "overflow" and share > 0)]
    details: dict[str, Callable[[], str]] = {
        "overflow": lambda: _overflow(row),
        "underflow": lambda: _underflow(row),
        "precision": lambda: _precision(row, precision_limit),
        "zero_gradient": lambda: "",
    }
    found = []
    for figure in told:
        share, detail = shares[figure], details[figure]()
        sentence = f"{row.slot.layer} {row.slot.role}: {_said(figure, share, detail, precision_limit)}"
        found.append(Finding(str(row.slot), _weight(row, figure) * share, sentence, figure, share, detail))
    return found


def _said(figure: str, share: float, detail: str, precision_limit: float) -> str:
    """What is told of one tensor."""
    match figure:
        case "overflow":
            return f"{percent(share)} overflow {detail}"
        case "underflow":
            return f"{percent(share)} of the non-zero values underflow {detail}"
        case "precision":
            limit = f"moved by more than {_plain(precision_limit)}"
            return f"{percent(share)} precision violations ({limit}){detail and f'; {detail}'}"
    return "no element got a gradient" if share == 1 else f"{percent(share)} of the elements got no gradient"


def _all_well(count: int) -> str:
    tensors = "the one tensor" if count == 1 else f"all {count} tensors"
    return (
        f"nothing overflows in {tensors}, and underflow, precision violations and zero gradients "
        f"stay below {_plain(NOTABLE)} each"
    )


def _overflow(row: LayerAnalysis) -> str:
    fmt = row.format
    how = " and wrap around" if isinstance(fmt, Fixed) and fmt.overflow is Overflow.WRAP else ""
    how = ", by less than one step" if _is_slight(row) else how
    if part := _part(fmt):
        return f"the range of their {part}{how}; the largest magnitude is {row.max_magnitude:.4g}"
    lowest, highest = (float(end) for end in fmt.limits(0.0))
    ends = [f"above {_exact(highest)}"] if row.maximum > highest else []
    ends += [f"below {_exact(lowest)}"] if row.minimum < lowest else []
    return f"{' or '.join(ends)}{how}; {_range_needed(row)}"


def _range_needed(row: LayerAnalysis) -> str:
    """Which position would hold all values, and which nearly all."""
    fmt = row.format
    if isinstance(fmt, Fixed) and not fmt.signed and row.minimum < 0:
        return "only a signed format holds negative values"
    if not isinstance(fmt, (Fixed, PowerOfTwo)):
        return f"the largest magnitude is {row.max_magnitude:.4g}"
    wider = range(_position(fmt) + 1, MAX_POSITION + 1)
    enough = next((p for p in wider if _holds_all(row, _moved(fmt, p))), None)
    nearly = next((p for p in wider if _lost(row, fmt, p) <= 1 - NEARLY_ALL), None)
    if enough is None:
        return f"not even {_range(fmt, MAX_POSITION)} would hold all"
    told = f"{_range(fmt, enough)} would hold all"
    if nearly is None or nearly >= enough or row.overflow <= 1 - NEARLY_ALL:
        return told
    less = f"{nearly} hold{'s' * (nearly == 1)}" if isinstance(fmt, Fixed) else f"one up to {nearly} holds"
    return f"{told}, {less} {_plain(NEARLY_ALL)}"


def _underflow(row: LayerAnalysis) -> str:
    fmt = row.format
    smallest = f"{fmt.smallest_magnitude:.4g} (2^{log2(fmt.smallest_magnitude):.0f})"
    if isinstance(fmt, PowerOfTwo) and not fmt.zero:
        return f"to the smallest power, {smallest}"
    if part := _part(fmt):
        return f"to 0, too small for the steps of their {part}"
    return f"to 0; the smallest magnitude is {smallest}"


def _precision(row: LayerAnalysis, limit: float) -> str:
    if isinstance(row.format, PowerOfTwo):
        # What lies below the smallest power would gain from more bits; what lies between two powers cannot.
        return "" if row.underflow else "more bits add no values between the powers of two"
    more = _fraction_bits_missing(row, limit)
    return "" if more is None else f"{more} more fraction bit{'s' * (more > 1)} would leave at most {_plain(NOTABLE)}"


def _fraction_bits_missing(row: LayerAnalysis, limit: float) -> int | None:
    """Fraction bits to add so that no more than NOTABLE of the values in range can break the limit; None if unknown.

    Rounding moves x by half a step at most (floor: by one), so no x from that over the limit on breaks it.
    """
    fmt = row.format
    if not isinstance(fmt, Fixed) or fmt.per_channel or limit <= 0:
        return None
    reach = fmt.step * (1.0 if fmt.rounding is Rounding.FLOOR else 0.5) / limit
    in_range = sum(n for _, n in row.histogram) - row.overflow * row.count
    for more in range(1, MAX_FIXED_BITS - fmt.bits + 1):
        endangered = sum(n for exponent, n in row.histogram if 2.0**exponent < reach / 2**more)
        if endangered <= NOTABLE * in_range:
            return more
    return None


def _accumulator_sentence(row: Accumulator) -> str:
    kernel = _kernel_in_words(row.kernel)
    who = f"{row.layer} ({kernel})" if kernel else row.layer
    safe = "can never overflow" if row.bounded else "hold the sums of any input within the range seen"
    silent = row.lowest_used == row.highest_used == 0
    if row.bits_worst is not None:
        return f"{who}: {row.bits_worst} bits {safe}, {_held(row.bits_used, silent)}"
    why = "a factor is float or an average no power of two" if row.bounded else "its input has no format"
    bits = f"{_bits(row.integer_bits_worst)} {safe}, {_held(row.integer_bits_used, silent)}"
    return f"{who}: {why}, so only integer bits are known: {bits}"


def _kernel_in_words(path: str) -> str:
    """`forward_layer.cell.recurrent_kernel` → "forward recurrent"; nothing for a layer's only or own kernel."""
    parts = (part for part in path.split(".") if part not in ("layer", "cell"))
    words = " ".join(part.removesuffix("_layer").removesuffix("_kernel") for part in parts)
    return "" if words == "kernel" else words


def _held(bits: int | None, silent: bool) -> str:
    return "and all sums seen were 0" if silent else f"{bits} held all sums seen"


def _part(fmt: Format) -> str:
    """What each value's range belongs to, if not to all of them."""
    if isinstance(fmt, VirtualBitShift):
        return fmt.group if isinstance(fmt.group, str) else "block"
    return "channel" if isinstance(fmt, Fixed) and fmt.per_channel else ""


def _position(fmt: Fixed | PowerOfTwo) -> int:
    return fmt.positions[0] if isinstance(fmt, Fixed) else fmt.max_exponent


def _moved(fmt: Fixed | PowerOfTwo, position: int) -> Fixed | PowerOfTwo:
    name = "integer_bits" if isinstance(fmt, Fixed) else "max_exponent"
    return dataclasses.replace(fmt, **{name: position})  # type: ignore[arg-type]


def _holds_all(row: LayerAnalysis, fmt: Format) -> bool:
    lowest, highest = fmt.limits(0.0)
    return bool(lowest <= row.minimum and row.maximum <= highest)


def _lost(row: LayerAnalysis, fmt: Fixed | PowerOfTwo, position: int) -> float:
    """Share of the values that would lie outside at this position, from the histogram.

    An element with floor(log2|x|) = e needs position e + 1. Of the topmost bin, the part above `highest` is
    taken as lost, its values as evenly spread, to the nearest whole value.
    """
    bins = dict(row.histogram)
    beyond = sum(n for exponent, n in bins.items() if exponent >= position)
    top = min(2 - _moved(fmt, position).highest / 2.0 ** (position - 1), 1.0)
    return round(beyond + top * bins.get(position - 1, 0)) / row.count


def _range(fmt: Fixed | PowerOfTwo, position: int) -> str:
    return _bits(position) if isinstance(fmt, Fixed) else f"an exponent up to {position}"


def _bits(count: int) -> str:
    return f"{count} integer bit{'s' * (count != 1)}"


def _plain(share: float) -> str:
    return f"{100 * share:g} %"


def _exact(value: float) -> str:
    """Five digits, more where 3.99999 would read as the power of two that it is not."""
    for digits in range(5, 12):
        text = f"{value:.{digits}g}"
        if frexp(float(text))[0] not in (0.5, -0.5) or float(text) == value:
            break
    return text
