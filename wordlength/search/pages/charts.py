"""The drawings of the analysis page, as SVG text: magnitudes against a format's range, evolution over epochs, shares.

Along x, the drawings of magnitudes have log2|x| itself as coordinate, so that a rectangle from −8 to −1 is the
range from 2^-8 to 2^-1; the browser stretches them to the space there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from wordlength.objectives.findings import percent
from wordlength.objectives.report import LayerAnalysis
from wordlength.space import Binary, Fixed, Float32, Format, PowerOfTwo
from wordlength.space.formats import Rounding

BOX_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the non-zero magnitudes at a box's ends, quartiles and middle."""

_FOOT, _BOX_TOP, _BOX_FOOT, _HEIGHT = 42, 48, 58, 62
"""Foot of the bars, the box, and the whole height, in pixels."""
_LEAST_BAR = 1.5
_LINE_WIDTH, _LINE_HEIGHT, _LINE_MARGIN = 104, 30, 5

Histogram = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Axis:
    """log2|x| from `low` to `high`, whole numbers."""

    low: int
    high: int

    @classmethod
    def over(cls, rows: Iterable[LayerAnalysis]) -> Axis:
        """Holds every histogram bin, and the ends of ranges that lie not far outside."""
        rows = tuple(rows)
        bins = [exponent for row in rows for exponent, _ in row.histogram] or [-1]
        low, high = min(bins), max(bins) + 1
        ends = [end for row in rows for end in log2_range(row.format) or ()]
        near = [end for end in ends if low - 4 <= end <= high + 4]
        return cls(math.floor(min([low, *near])) - 1, math.ceil(max([high, *near])) + 1)

    @property
    def span(self) -> int:
        """Length in octaves."""
        return self.high - self.low

    @property
    def ticks(self) -> tuple[int, ...]:
        """Whole multiples of 2, 4 or 8, ten at most up to 80 octaves."""
        step = 2 if self.span <= 16 else 4 if self.span <= 36 else 8
        return tuple(range(-(-self.low // step) * step, self.high + 1, step))


def log2_range(fmt: Format) -> tuple[float, float] | None:
    """log2 of a format's smallest magnitude and highest value, of all channels or groups together; None for binary."""
    if isinstance(fmt, Binary):
        return None
    # fixed<1,i> is 0 or −2^i.
    return math.log2(fmt.smallest_magnitude), math.log2(fmt.highest or -fmt.lowest)


def quantiles(histogram: Histogram, shares: Sequence[float] = BOX_SHARES) -> tuple[float, ...]:
    """log2 magnitudes below which these shares of the non-zero values lie, evenly spread within a bin; () without."""
    bins = sorted(histogram)
    total = sum(count for _, count in bins)
    return tuple(_quantile(bins, share * total) for share in shares) if total else ()


def _quantile(bins: Histogram, wanted: float) -> float:
    for exponent, count in bins:
        if wanted <= count:
            return exponent + wanted / count
        wanted -= count
    return bins[-1][0] + 1.0


def magnitudes_svg(row: LayerAnalysis, axis: Axis) -> str:
    """One tensor: the format's range as a band, the histogram as bars before it, the box below."""
    inside = [
        f'<path class="grid" d="{"".join(f"M{tick} 0V{_HEIGHT}" for tick in axis.ticks)}"/>',
        _band(row.format),
        *_bars(row),
        _box(row),
    ]
    return (
        f'<svg class="dist" viewBox="{axis.low} 0 {axis.span} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(magnitudes_text(row))}">{"".join(inside)}</svg>'
    )


def magnitudes_text(row: LayerAnalysis) -> str:
    """The drawing in words."""
    found = quantiles(row.histogram)
    values = "only zeros"
    if found:
        values = f"half of the non-zero magnitudes lie from 2^{found[1]:.1f} to 2^{found[3]:.1f}"
        values += f", nine tenths from 2^{found[0]:.1f} to 2^{found[4]:.1f}"
    return f"{row.slot.layer} {row.slot.role}: {values}; {_range_text(row.format)}"


def _range_text(fmt: Format) -> str:
    span = log2_range(fmt)
    if span is None:
        return f"{fmt.brief} has no range"
    if isinstance(fmt, Float32):
        return "float32 represents them all"
    smallest, highest = fmt.smallest_magnitude, fmt.highest or -fmt.lowest
    return f"{fmt.brief} represents {smallest:.5g} (2^{span[0]:g}) to {highest:.5g}"


def _band(fmt: Format) -> str:
    span = log2_range(fmt)
    if span is None:
        return ""
    title = f"<title>{escape(_range_text(fmt))}</title>"
    return _rect("band", span[0], 0, span[1] - span[0], _HEIGHT, title)


def _bars(row: LayerAnalysis) -> Iterable[str]:
    tallest = max((count for _, count in row.histogram), default=0)
    span = log2_range(row.format)
    lost_below = -math.inf if span is None or row.underflow == 0 else _lost_below(row.format)
    for exponent, count in row.histogram:
        height = round(max((_FOOT - 2) * math.sqrt(count / tallest), _LEAST_BAR), 1)
        share = percent(count / row.count)
        title = f"<title>from 2^{exponent}: {count:,} values, {share}</title>"
        for kind, start, end in _parts(row, exponent, span, lost_below):
            yield _rect(kind, start, _FOOT - height, end - start, height, title)


def _parts(
    row: LayerAnalysis, exponent: int, span: tuple[float, float] | None, lost_below: float
) -> list[tuple[str, float, float]]:
    """One bin's bar, cut where the format's range `span` ends: class, left and right end."""
    left, right = exponent + 0.05, exponent + 0.95
    if exponent + 1 <= lost_below:
        return [("u", left, right)]
    if span is None or row.overflow == 0 or span[1] > right - 0.05:
        return [("b", left, right)]
    if span[1] <= left:
        return [("o", left, right)]
    return [("b", left, span[1]), ("o", span[1], right)]


def _lost_below(fmt: Format) -> float:
    """log2 of the magnitude up to which all values underflow: where rounding to nearest, half the smallest."""
    kept_down = isinstance(fmt, PowerOfTwo) and not fmt.zero
    cut_off = isinstance(fmt, Fixed) and fmt.rounding is Rounding.FLOOR
    return math.log2(fmt.smallest_magnitude) - (0 if kept_down or cut_off else 1)


def _box(row: LayerAnalysis) -> str:
    found = quantiles(row.histogram)
    if not found:
        return ""
    low, first, middle, third, high = found
    centre = (_BOX_TOP + _BOX_FOOT) / 2
    named = zip(BOX_SHARES, found, strict=True)
    title = f"<title>{', '.join(f'{share:.0%} below 2^{value:.1f}' for share, value in named)}</title>"
    caps = "".join(f"M{end:.3f} {_BOX_TOP + 2}V{_BOX_FOOT - 2}" for end in (low, high))
    return (
        f'<path class="whisker" d="M{low:.3f} {centre}H{high:.3f}{caps}"/>'
        + _rect("box", first, _BOX_TOP, third - first, _BOX_FOOT - _BOX_TOP, title)
        + f'<path class="median" d="M{middle:.3f} {_BOX_TOP}V{_BOX_FOOT}"/>'
    )


def line_svg(values: Sequence[float], steps: Sequence[int], low: float, high: float, text: str) -> str:
    """One figure over the epochs of both steps, between `low` and `high`; what is not finite is left out.

    `steps`: the training step of each value; hollow dots are step one, filled ones step two.
    """
    width, height = _LINE_WIDTH - 2 * _LINE_MARGIN, _LINE_HEIGHT - 2 * _LINE_MARGIN
    points = [
        (
            _LINE_MARGIN + width * (n / (len(values) - 1) if len(values) > 1 else 0.5),
            _LINE_MARGIN + height * (1 - (value - low) / ((high - low) or 1)),
            step,
        )
        for n, (value, step) in enumerate(zip(values, steps, strict=True))
        if math.isfinite(value)
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
    names = {1: "one", 2: "two"}
    radius = 2.5 if len(points) <= 12 else 1.5
    dots = (f'<circle class="{names[step]}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y, step in points)
    foot = _LINE_HEIGHT - _LINE_MARGIN
    return (
        f'<svg class="line" viewBox="0 0 {_LINE_WIDTH} {_LINE_HEIGHT}" role="img" aria-label="{escape(text)}">'
        f'<title>{escape(text)}</title><path class="grid" d="M0 {foot}H{_LINE_WIDTH}"/>'
        + (f'<path d="M{line}"/>' if line else "")
        + f"{''.join(dots)}</svg>"
    )


def share_svg(share: float, text: str) -> str:
    """A share from 0 to 1 as a bar of 0 to 100 units in a frame of 100."""
    return (
        f'<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(text)}">'
        f'<title>{escape(text)}</title><rect class="b" width="{100 * share:.2f}" height="10"/></svg>'
    )


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str) -> str:
    return (
        f'<rect class="{kind}" x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}">'
        f"{title}</rect>"
    )


def _number(value: float) -> str:
    """Five decimals at most, without trailing zeros."""
    return f"{value:.5f}".rstrip("0").rstrip(".")
