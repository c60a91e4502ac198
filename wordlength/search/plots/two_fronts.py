"""Two studies' fronts in one drawing, told apart by shape, filling and line as well as by colour.

plotly and matplotlib are imported inside the functions that draw.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wordlength.search.front import FrontPoint, plane
from wordlength.search.plots.figure import baseline_line, layout
from wordlength.search.plots.picture import draw_axes, plain
from wordlength.search.plots.scale import (
    BASELINE_COLOUR,
    FRONT_COLOUR,
    OTHER_COLOUR,
    PLOTLY_CONFIG,
    TEXT_COLOUR,
    Drawing,
    drawn,
)

if TYPE_CHECKING:
    from wordlength.search.compare import Comparison
    from wordlength.search.trials import StudyView

_DPI = 96


@dataclass(frozen=True)
class _Style:
    """How one study is drawn: colour, whether symbols are filled, matplotlib's and plotly's symbol, lines' dashes."""

    colour: str
    filled: bool
    marker: str
    symbol: str
    line: tuple[int, tuple[int, ...]] | str
    dash: str
    other: str
    other_symbol: str


_STYLES = (
    _Style(FRONT_COLOUR, True, "o", "circle", "-", "solid", ".", "circle"),
    _Style("#1f4fb4", False, "s", "square-open", (0, (5, 3)), "dash", "x", "x-thin-open"),
)


def fronts_png(found: Comparison) -> bytes:
    """Both fronts and their trials as a PNG, 816 × 480 pixels."""
    # As in picture: a bare Figure on an Agg canvas leaves pyplot and the chosen backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = _view(found)
    figure = Figure(figsize=(8.5, 5), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_axes(axes, drawing)
    for study, style in zip((found.first, found.second), _STYLES, strict=True):
        _draw(axes, drawing, study, style)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=TEXT_COLOUR)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def fronts_html(found: Comparison) -> bytes:
    """The same as an HTML page (about 5 MB) that needs nothing else, not even a network; hovering names trials."""
    import plotly.io

    drawing = _view(found)
    page: str = plotly.io.to_html(
        fronts_figure(found),
        include_plotlyjs=True,
        validate=False,
        div_id="fronts",
        config=dict(PLOTLY_CONFIG),
        default_height="96vh",
    )
    head = f"<head><title>{html.escape(drawing.title)}</title><style>body{{margin:0}}</style>"
    return page.replace("<head>", head, 1).encode()


def fronts_figure(found: Comparison) -> dict[str, Any]:
    """The figure as plotly's JSON."""
    drawing = _view(found)
    traces = []
    for study, style in zip((found.first, found.second), _STYLES, strict=True):
        members = {point.number for point in study.front}
        others = [point for point in study.points if point.number not in members]
        marker = _marker(OTHER_COLOUR, 6, style.other_symbol)
        traces.append(_trace(drawing, f"{study.name}: other trials", others, marker, study.name))
        marker = _marker(style.colour, 9, style.symbol)
        line = {"shape": "hv", "color": style.colour, "width": 1.5, "dash": style.dash}
        front = _trace(drawing, study.name, plane(study.front), marker, study.name)
        traces.append(front | {"mode": "lines+markers", "line": line})
        star = {"symbol": "star" if style.filled else "star-open", "color": BASELINE_COLOUR, "size": 13}
        traces.append(_float32(drawing, study, star))
    hidden = f"; {drawing.hidden} (double-click to see all)" if drawing.hidden else ""
    shown = layout(drawing) | {
        "title": {"text": html.escape(f"{drawing.title}{hidden}", quote=False), "x": 0.03},
        "hovermode": "closest",
        "margin": {"l": 70, "r": 16, "t": 56, "b": 56},
    }
    shown |= {"shapes": [baseline_line(drawing.y(study.baseline.quality)) for study in (found.first, found.second)]}
    return {"data": [trace for trace in traces if trace["x"]], "layout": shown}


def _marker(colour: str, size: int, symbol: str) -> dict[str, Any]:
    """A filled symbol's line has its colour, too: plotly's own is dark."""
    return {"color": colour, "size": size, "symbol": symbol, "line": {"width": 1.5, "color": colour}}


def _view(found: Comparison) -> Drawing:
    """Axes that hold both: the second study's trials get numbers of their own, which nothing shows."""
    after = 1 + max(point.number for point in found.first.points)
    moved = [replace(point, number=after + point.number) for point in found.second.points]
    points = (*found.first.points, *moved)
    studies = found.first, found.second
    filling = [point.quality for study in studies for point in plane(study.front)]
    filling += [study.baseline.quality for study in studies]
    title = f"{found.first.name} and {found.second.name}: Pareto fronts"
    return drawn(points, (), found.common, title, filling=filling)


def _draw(axes: Any, drawing: Drawing, study: StudyView, style: _Style) -> None:
    members = {point.number for point in study.front}
    others = [point for point in study.points if point.number not in members]
    if others:
        name = plain(f"{study.name}:\nother trials")
        axes.scatter(*_columns(drawing, others), marker=style.other, color=OTHER_COLOUR, s=26, label=name, zorder=2)
    face = style.colour if style.filled else "white"
    front = plane(study.front)
    axes.plot(
        *_columns(drawing, front),
        drawstyle="steps-post",
        color=style.colour,
        linestyle=style.line,
        linewidth=1.4,
        marker=style.marker,
        markersize=6,
        markerfacecolor=face,
        markeredgewidth=1.4,
        label=plain(f"{study.name}:\nfront"),
        zorder=4 if style.filled else 5,
    )
    base = study.baseline
    star = {"marker": "*", "s": 130, "facecolors": BASELINE_COLOUR if style.filled else "none", "zorder": 6}
    x, y = drawing.x(base.cost), drawing.y(base.quality)
    axes.scatter([x], [y], edgecolors=BASELINE_COLOUR, label=plain(f"{study.name}:\nfloat32"), **star)


def _columns(drawing: Drawing, points: Sequence[FrontPoint]) -> tuple[list[float], list[float]]:
    return [drawing.x(point.cost) for point in points], [drawing.y(point.quality) for point in points]


def _trace(
    drawing: Drawing, name: str, points: Sequence[FrontPoint], marker: dict[str, Any], study: str
) -> dict[str, Any]:
    x, y = _columns(drawing, points)
    goals = drawing.goals
    told = [
        f"{html.escape(study)}, trial {point.number} {html.escape(point.label)}<br>"
        + "<br>".join(f"{html.escape(goal.title)} {goal.told(point.values[goal.name])}" for goal in goals.goals)
        for point in points
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name, quote=False),
        "x": x,
        "y": y,
        "text": told,
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
    }


def _float32(drawing: Drawing, study: StudyView, marker: dict[str, Any]) -> dict[str, Any]:
    base = study.baseline
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(f"{study.name}: float32", quote=False),
        "x": [drawing.x(base.cost)],
        "y": [drawing.y(base.quality)],
        "hovertemplate": f"{html.escape(study.name)}, float32<extra></extra>",
        "marker": marker,
    }
