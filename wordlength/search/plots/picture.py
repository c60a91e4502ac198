"""The front as a PNG and as an SVG for pages of our own, by matplotlib."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.search.plots.scale import (
    BASELINE_COLOUR,
    FRONT_COLOUR,
    GRID_COLOUR,
    OTHER_COLOUR,
    SOFT_COLOUR,
    TEXT_COLOUR,
    Front,
    Points,
    View,
    styled,
    view_of,
)

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


def pareto_png(
    points: Points,
    front: Front,
    baseline: FloatPoint,
    study: str,
    trial_count: int | None = None,
    counts: Mapping[str, int] | None = None,
) -> bytes:
    """The same figure as a PNG, 816 × 480 pixels, as MLflow shows it without scaling; arguments as `pareto_html`."""
    # plotly writes a PNG only through a Chrome that a fresh machine lacks; matplotlib needs nothing. A bare Figure
    # on an Agg canvas leaves pyplot, its figure list and the chosen backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    view = view_of(points, front, baseline, study, trial_count, counts)
    figure = Figure(figsize=(8.5, 5), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), view)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=TEXT_COLOUR)
    if view.ended:
        figure.supxlabel(view.ended.replace(". ", ".\n"), x=0.01, ha="left", color=SOFT_COLOUR, fontsize=8.5)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def front_svg(view: View, chosen: FrontPoint, text: str, *, narrow: bool = False) -> str:
    """The figure without its title as an `svg` element for a page with the style of `pages`; `chosen` has a halo.

    `text`: the drawing in words; `narrow`: as wide as a telephone, the legend below. A page may hold one of each.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained", facecolor="none")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(facecolor="none")
    _draw(axes, view)
    _draw_chosen(axes, view, chosen)
    axes.set_title("", loc="left")
    if narrow:
        _thin_ticks(axes, view)
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


def _thin_ticks(axes: Any, view: View) -> None:
    """Along the costs only as many as have room beside each other on a telephone."""
    if view.logarithmic:
        ticks = [tick for tick in view.ticks if f"{tick:e}"[0] in "125" and f"{tick:e}"[2] == "0"]
        axes.set_xticks(ticks, labels=[f"{tick:,.12g}" for tick in ticks])
    else:
        axes.locator_params(axis="x", nbins=5)


def _draw_chosen(axes: Any, view: View, chosen: FrontPoint) -> None:
    """Halo and dotted lines to both axes; at the lower edge if it lies below the range."""
    x, low, own = view.x(chosen.cost), view.qualities[0], view.y(chosen.quality)
    ahead = view.goals.quality.ahead
    y = max(own, low, key=ahead)
    below = "" if ahead(own) >= ahead(low) else "\n(below this range)"
    for line in (([x, x], [low, y]), ([view.costs[0], x], [y, y])):
        axes.plot(*line, color=TEXT_COLOUR, linewidth=1.1, linestyle=(0, (1, 2)), zorder=2.4)
    halo = {"s": 270, "facecolors": _HALO_COLOUR, "edgecolors": TEXT_COLOUR, "linewidths": 1.6, "zorder": 2.5}
    axes.scatter([x], [y], label=f"this trial, {chosen.number}{below}", clip_on=False, **halo)
    axes.scatter([x], [y], color=_CHOSEN_COLOUR, s=28, linewidths=0, clip_on=False, zorder=2.6)


def plain(text: str) -> str:
    """As matplotlib writes it: it would read text between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def _draw(axes: Any, view: View) -> None:
    """Everything but the legend, on matplotlib axes."""
    draw_axes(axes, view)
    base = view.baseline
    axes.axhline(view.y(base.quality), color=BASELINE_COLOUR, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    _scatter(axes, view, view.dominated, "other trials", color=OTHER_COLOUR, s=28, linewidths=0, zorder=2)
    _draw_front(axes, view)
    for point, name, colour, (_, marker) in styled(view):
        style = {"marker": marker, "edgecolors": colour, "facecolors": "none", "s": 90, "linewidths": 1.6, "zorder": 5}
        _scatter(axes, view, [point], name.replace(" (", "\n("), **style)
    star = {"marker": "*", "s": 130, "color": BASELINE_COLOUR, "linewidths": 0, "zorder": 6}
    axes.scatter([view.x(base.cost)], [view.y(base.quality)], label="float32 baseline", **star)
    _draw_marks(axes, view)


def _draw_front(axes: Any, view: View) -> None:
    step = {"drawstyle": "steps-post", "color": FRONT_COLOUR, "linewidth": 1.3}
    filled = {"marker": "o", "markersize": 6, "markeredgewidth": 1.4}
    if view.front:
        axes.plot(*_columns(view, view.line), zorder=3, label="Pareto front", **step, **filled)
    drawn = {point.number for point in view.line}
    others = [point for point in view.front if point.number not in drawn]
    _scatter(axes, view, others, "front in\nother objectives", color=FRONT_COLOUR, s=28, linewidths=0, zorder=3)
    hollow = [point for point in view.line if point.number in view.alike]
    style = {"facecolors": "white", "edgecolors": FRONT_COLOUR, "s": 36, "linewidths": 1.4, "zorder": 4}
    _scatter(axes, view, hollow, "not told apart\nfrom a neighbour", **style)


def _draw_marks(axes: Any, view: View) -> None:
    ring = {"s": 140, "facecolors": "none", "edgecolors": TEXT_COLOUR, "linewidths": 1.1, "zorder": 7}
    for mark in view.marks:
        x, y = view.x(mark.point.cost), view.y(mark.point.quality)
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


def _scatter(axes: Any, view: View, points: Sequence[FrontPoint], name: str, **style: Any) -> None:
    if points:
        axes.scatter(*_columns(view, points), label=plain(name), **style)


def _columns(view: View, points: Sequence[FrontPoint]) -> tuple[list[float], list[float]]:
    return [view.x(point.cost) for point in points], [view.y(point.quality) for point in points]


def draw_axes(axes: Any, view: View) -> None:
    """Range, ticks, titles, grid."""
    if view.logarithmic:
        axes.set_xscale("log")
        axes.set_xticks(view.ticks, labels=[f"{tick:,.12g}" for tick in view.ticks])
        axes.minorticks_off()
    axes.set(xlim=view.costs, ylim=view.qualities)
    axes.set_xlabel(view.goals.cost.axis, color=TEXT_COLOUR)
    axes.set_ylabel(view.goals.quality.axis, color=TEXT_COLOUR)
    size = min(13, 13 * 58 / len(view.title))
    axes.set_title(plain(view.title), loc="left", color=TEXT_COLOUR, fontsize=size, pad=12)
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FRAME_COLOUR)
    axes.tick_params(colors=TEXT_COLOUR)
    if view.hidden:
        # Within the axes, where the front never comes: beside a long title it would lie over it.
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (-2, 3), "ha": "right"}
        axes.annotate(view.hidden, (1, 0), va="bottom", color=SOFT_COLOUR, fontsize=9, **place)
