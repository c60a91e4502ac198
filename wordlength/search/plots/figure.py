"""The front as plotly's JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.search.plots.paper import Published, published
from wordlength.search.plots.scale import (
    BASELINE_COLOUR,
    FONT,
    FRONT_COLOUR,
    GRID_COLOUR,
    OTHER_COLOUR,
    SOFT_COLOUR,
    TEXT_COLOUR,
    Mark,
    View,
    styled,
)
from wordlength.search.plots.table import digits


def plotly_figure(view: View) -> dict[str, Any]:
    """The figure as plotly's JSON; checked against plotly's schema by the tests, not at run time.

    `customdata` is a point's row in `page_data`.
    """
    rows = {point.number: row for row, point in enumerate(view.points)}
    last = len(rows)
    traces = [
        _trace(view, "other trials", view.dominated, rows, {"color": OTHER_COLOUR, "size": 8}),
        _trace(view, "Pareto front", view.line, rows, {"color": FRONT_COLOUR, "size": 9, "symbol": _symbols(view)})
        | {"mode": "lines+markers", "line": {"shape": "hv", "color": FRONT_COLOUR, "width": 1.5}},
        _trace(view, "front in other objectives", _off_line(view), rows, {"color": FRONT_COLOUR, "size": 8}),
        *(
            _trace(view, name, [p], rows, {"color": colour, "symbol": symbol, "size": 13, "line": {"width": 2}})
            for p, name, colour, (symbol, _) in styled(view)
        ),
        _rings(view, [mark.point for mark in view.marks]),
        _single(
            view, "float32 baseline", view.baseline, last, {"symbol": "star", "color": BASELINE_COLOUR, "size": 13}
        ),
        *_published_traces(view, published(view.baseline), last + 1),
    ]
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout(view)}


def _trace(
    view: View, name: str, points: Sequence[FrontPoint], rows: Mapping[int, int], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name, quote=False),
        "x": [view.x(point.cost) for point in points],
        "y": [digits(view.y(point.quality)) for point in points],
        "customdata": [rows[point.number] for point in points],
        "hoverinfo": "none",
        "marker": marker,
    }


def _single(view: View, name: str, result: FloatPoint | Published, row: int, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [view.x(result.cost)],
        "y": [view.y(result.quality)],
        "customdata": [row],
        "hoverinfo": "none",
        "marker": marker,
    }


def _published_traces(view: View, results: Sequence[Published], row: int) -> list[dict[str, Any]]:
    """One trace, off until its legend entry is clicked: these heights do not compare with the study's."""
    if not results:
        return []
    return [
        _single(
            view, "", results[0], row, {"symbol": "cross-thin", "size": 12, "line": {"width": 2, "color": SOFT_COLOUR}}
        )
        | {
            "name": "published by the paper<br>(other data; click to show)",
            "x": [view.x(result.cost) for result in results],
            "y": [view.y(result.quality) for result in results],
            "customdata": list(range(row, row + len(results))),
            "visible": "legendonly",
        }
    ]


def _rings(view: View, points: Sequence[FrontPoint]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [view.x(point.cost) for point in points],
        "y": [view.y(point.quality) for point in points],
        "hoverinfo": "skip",
        "showlegend": False,
        "marker": {"symbol": "circle-open", "size": 17, "color": TEXT_COLOUR, "line": {"width": 1.5}},
    }


def _symbols(view: View) -> list[str]:
    """Hollow where a member is not told apart from a neighbour."""
    return ["circle-open" if point.number in view.alike else "circle" for point in view.line]


def _off_line(view: View) -> list[FrontPoint]:
    """Members for the sake of objectives that are not drawn."""
    drawn = {point.number for point in view.line}
    return [point for point in view.front if point.number not in drawn]


def layout(view: View) -> dict[str, Any]:
    """Axes, legend, marks."""
    low, high = view.costs
    axis_x: dict[str, Any] = {"title": {"text": view.goals.cost.axis}, "range": [low, high]}
    if view.logarithmic:
        ticks = [f"{tick:,.12g}" for tick in view.ticks]
        log_range = [math.log10(low), math.log10(high)]
        axis_x |= {"type": "log", "range": log_range, "tickvals": list(view.ticks), "ticktext": ticks}
    axis_y = {"title": {"text": view.goals.quality.axis, "standoff": 14}, "automargin": True, "tickformat": ".3~f"}
    axis_y |= {"range": list(view.qualities)}
    frame = {"gridcolor": GRID_COLOUR, "zeroline": False, "showline": True, "linecolor": "#888888", "ticks": "outside"}
    return {
        "xaxis": axis_x | frame,
        "yaxis": axis_y | frame,
        "shapes": [baseline_line(view.y(view.baseline.quality))],
        "annotations": [_annotation(mark, view) for mark in view.marks],
        "font": {"family": FONT, "color": TEXT_COLOUR, "size": 13},
        "legend": {"x": 1.01, "y": 1, "xanchor": "left"},
        "margin": {"l": 70, "r": 16, "t": 28, "b": 56},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
    }


def _annotation(mark: Mark, view: View) -> dict[str, Any]:
    x = view.x(mark.point.cost)
    return {
        "x": math.log10(x) if view.logarithmic else x,
        "y": view.y(mark.point.quality),
        "text": mark.text,
        "ax": 0 if mark.centred else -12,
        "ay": -mark.up_px,
        "xanchor": "center" if mark.centred else "right",
        "yanchor": "bottom",
        "standoff": 9,
        "arrowhead": 0,
        "arrowwidth": 1,
        "arrowcolor": TEXT_COLOUR,
        "bgcolor": "rgba(255,255,255,0.65)",
        "borderpad": 1,
    }


def baseline_line(height: float) -> dict[str, Any]:
    """Dashed over the whole width, however far the reader zooms out."""
    line = {"color": BASELINE_COLOUR, "width": 1, "dash": "dash"}
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": height,
        "y1": height,
        "layer": "below",
        "line": line,
    }
