"""The front as a PNG and as an SVG for pages of our own, by matplotlib."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

from wordlength.search.front import FrontPoint
from wordlength.search.plots.scale import (
    BASELINE_COLOUR,
    FRONT_COLOUR,
    GRID_COLOUR,
    OTHER_COLOUR,
    SOFT_COLOUR,
    TEXT_COLOUR,
    Drawing,
    drawing_of,
    styled,
)
from wordlength.search.trials import StudyView

_DPI = 96
_POINTS_PER_PIXEL = 72 / _DPI
_HALO_COLOUR, _CHOSEN_COLOUR, _FRAME_COLOUR = "#ffd54a", "#1c2126", "#888888"
_PAGE_COLOURS = {
    TEXT_COLOUR: "--text",
    BASELINE_COLOUR: "--text",
    SOFT_COLOUR: "--soft",
    _FRAME_COLOUR: "--soft",
    GRID_COLOUR: "--line",
    "#ffffff": "--page",
}
"""Colour → the variable of `pages.style` that takes its place in a page, for the reader's light or dark."""


def pareto_png(study: StudyView) -> bytes:
    """The same figure as a PNG, 816 × 480 pixels, as MLflow shows it without scaling."""
    # plotly writes a PNG only through a Chrome that a fresh machine lacks; matplotlib needs nothing. A bare Figure
    # on an Agg canvas leaves pyplot, its figure list and the chosen backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = drawing_of(study)
    figure = Figure(figsize=(8.5, 5), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), drawing)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=TEXT_COLOUR)
    if drawing.ended:
        figure.supxlabel(drawing.ended.replace(". ", ".\n"), x=0.01, ha="left", color=SOFT_COLOUR, fontsize=8.5)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def front_svg(drawing: Drawing, chosen: FrontPoint, text: str, *, narrow: bool = False) -> str:
    """The figure without its title as an `svg` element for a page with the style of `pages`; `chosen` has a halo.

    `text`: the drawing in words; `narrow`: as wide as a telephone, the legend below. A page may hold one of each.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained", facecolor="none")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(facecolor="none")
    _draw(axes, drawing)
    _draw_chosen(axes, drawing, chosen)
    axes.set_title("", loc="left")
    if narrow:
        _thin_ticks(axes, drawing)
    handles, names = axes.get_legend_handles_labels()
    named = [_wrapped(name, 20 if narrow else 26) for name in names]
    lines = sum(name.count("\n") + 1 for name in named)
    figure.set_size_inches(*((4, 3.6 + 0.12 * lines) if narrow else (8.6, max(4.5, 0.25 * lines))))
    place = {"loc": "outside lower center", "ncols": 2} if narrow else {"loc": "outside right upper"}
    figure.legend(handles, named, frameon=False, fontsize=9, labelcolor=TEXT_COLOUR, labelspacing=0.7, **place)
    target = io.StringIO()
    # Text remains text; names are the same each time, and others in the narrow drawing.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "narrow" if narrow else "wide"}):
        figure.savefig(target, format="svg")
    return _for_page(target.getvalue(), text)


def _for_page(svg: str, text: str) -> str:
    """matplotlib's file as an element: with the page's colours and font, without what only a file needs."""
    drawn = svg[svg.index("</metadata>") + len("</metadata>") :]
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"font-family: [^;\"]*; ", "", drawn)
    drawn = re.sub(r"#[0-9a-f]{6}\b", lambda found: _page_colour(found[0]), drawn)
    drawn = re.sub(r'\b[dxy]="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), drawn)
    drawn = re.sub(r"\s+", " ", drawn).replace("> <", "><").strip()
    size = re.search(r'viewBox="[^"]*"', svg)
    assert size is not None
    return f'<svg {size[0]} role="img" aria-label="{escape(text)}">{drawn}'


def _wrapped(name: str, characters: int) -> str:
    return "\n".join(part for line in name.split("\n") for part in textwrap.wrap(line, characters))


def _page_colour(colour: str) -> str:
    name = _PAGE_COLOURS.get(colour)
    return f"var({name})" if name else colour


def _thin_ticks(axes: Any, drawing: Drawing) -> None:
    """Along the costs only as many as have room beside each other on a telephone."""
    if drawing.logarithmic:
        ticks = [tick for tick in drawing.ticks if f"{tick:e}"[0] in "125" and f"{tick:e}"[2] == "0"]
        axes.set_xticks(ticks, labels=[f"{tick:,.12g}" for tick in ticks])
    else:
        axes.locator_params(axis="x", nbins=5)


def _draw_chosen(axes: Any, drawing: Drawing, chosen: FrontPoint) -> None:
    """Halo and dotted lines to both axes; at the lower edge if it lies below the range."""
    x, low, own = drawing.x(chosen.cost), drawing.qualities[0], drawing.y(chosen.quality)
    ahead = drawing.goals.quality.ahead
    y = max(own, low, key=ahead)
    below = "" if ahead(own) >= ahead(low) else "\n(below this range)"
    for line in (([x, x], [low, y]), ([drawing.costs[0], x], [y, y])):
        axes.plot(*line, color=TEXT_COLOUR, linewidth=1.1, linestyle=(0, (1, 2)), zorder=2.4)
    halo = {"s": 270, "facecolors": _HALO_COLOUR, "edgecolors": TEXT_COLOUR, "linewidths": 1.6, "zorder": 2.5}
    axes.scatter([x], [y], label=f"this trial, {chosen.number}{below}", clip_on=False, **halo)
    axes.scatter([x], [y], color=_CHOSEN_COLOUR, s=28, linewidths=0, clip_on=False, zorder=2.6)


def plain(text: str) -> str:
    """As matplotlib writes it: it would read text between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def _draw(axes: Any, drawing: Drawing) -> None:
    """Everything but the legend, on matplotlib axes."""
    draw_axes(axes, drawing)
    base = drawing.baseline
    axes.axhline(drawing.y(base.quality), color=BASELINE_COLOUR, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    _scatter(axes, drawing, drawing.dominated, "other trials", color=OTHER_COLOUR, s=28, linewidths=0, zorder=2)
    _draw_front(axes, drawing)
    for point, name, colour, (_, marker) in styled(drawing):
        style = {"marker": marker, "edgecolors": colour, "facecolors": "none", "s": 90, "linewidths": 1.6, "zorder": 5}
        _scatter(axes, drawing, [point], name.replace(" (", "\n("), **style)
    star = {"marker": "*", "s": 130, "color": BASELINE_COLOUR, "linewidths": 0, "zorder": 6}
    axes.scatter([drawing.x(base.cost)], [drawing.y(base.quality)], label="float32 baseline", **star)
    _draw_marks(axes, drawing)


def _draw_front(axes: Any, drawing: Drawing) -> None:
    step = {"drawstyle": "steps-post", "color": FRONT_COLOUR, "linewidth": 1.3}
    filled = {"marker": "o", "markersize": 6, "markeredgewidth": 1.4}
    if drawing.front:
        axes.plot(*_columns(drawing, drawing.line), zorder=3, label="Pareto front", **step, **filled)
    drawn = {point.number for point in drawing.line}
    others = [point for point in drawing.front if point.number not in drawn]
    _scatter(axes, drawing, others, "front in\nother objectives", color=FRONT_COLOUR, s=28, linewidths=0, zorder=3)
    hollow = [point for point in drawing.line if point.number in drawing.alike]
    style = {"facecolors": "white", "edgecolors": FRONT_COLOUR, "s": 36, "linewidths": 1.4, "zorder": 4}
    _scatter(axes, drawing, hollow, "not told apart\nfrom a neighbour", **style)


def _draw_marks(axes: Any, drawing: Drawing) -> None:
    ring = {"s": 140, "facecolors": "none", "edgecolors": TEXT_COLOUR, "linewidths": 1.1, "zorder": 7}
    for mark in drawing.marks:
        x, y = drawing.x(mark.point.cost), drawing.y(mark.point.quality)
        axes.scatter([x], [y], **ring)
        left = 0.0 if mark.centred else -12 * _POINTS_PER_PIXEL
        axes.annotate(
            mark.text,
            (x, y),
            xytext=(left, mark.up_px * _POINTS_PER_PIXEL),
            textcoords="offset points",
            ha="center" if mark.centred else "right",
            va="bottom",
            fontsize=9.5,
            color=TEXT_COLOUR,
            arrowprops={"arrowstyle": "-", "linewidth": 0.8, "color": TEXT_COLOUR, "shrinkA": 0, "shrinkB": 6},
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.65},
            zorder=8,
        )


def _scatter(axes: Any, drawing: Drawing, points: Sequence[FrontPoint], name: str, **style: Any) -> None:
    if points:
        axes.scatter(*_columns(drawing, points), label=plain(name), **style)


def _columns(drawing: Drawing, points: Sequence[FrontPoint]) -> tuple[list[float], list[float]]:
    return [drawing.x(point.cost) for point in points], [drawing.y(point.quality) for point in points]


def draw_axes(axes: Any, drawing: Drawing) -> None:
    """Range, ticks, titles, grid."""
    if drawing.logarithmic:
        axes.set_xscale("log")
        axes.set_xticks(drawing.ticks, labels=[f"{tick:,.12g}" for tick in drawing.ticks])
        axes.minorticks_off()
    axes.set(xlim=drawing.costs, ylim=drawing.qualities)
    axes.set_xlabel(drawing.goals.cost.axis, color=TEXT_COLOUR)
    axes.set_ylabel(drawing.goals.quality.axis, color=TEXT_COLOUR)
    size = min(13, 13 * 58 / len(drawing.title))
    axes.set_title(plain(drawing.title), loc="left", color=TEXT_COLOUR, fontsize=size, pad=12)
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FRAME_COLOUR)
    axes.tick_params(colors=TEXT_COLOUR)
    if drawing.hidden:
        # Within the axes, where the front never comes: beside a long title it would lie over it.
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (-2, 3), "ha": "right"}
        axes.annotate(drawing.hidden, (1, 0), va="bottom", color=SOFT_COLOUR, fontsize=9, **place)
