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
    Drawing,
    Mark,
    styled,
)
from wordlength.search.plots.table import digits


def plotly_figure(drawing: Drawing) -> dict[str, Any]:
    """The figure as plotly's JSON; checked against plotly's schema by the tests, not at run time.

    `customdata` is a point's row in `page_data`.
    """
    rows = {point.number: row for row, point in enumerate(drawing.points)}
    last = len(rows)
    front = {"color": FRONT_COLOUR, "size": 9, "symbol": _symbols(drawing)}
    star = {"symbol": "star", "color": BASELINE_COLOUR, "size": 13}
    traces = [
        _trace(drawing, "other trials", drawing.dominated, rows, {"color": OTHER_COLOUR, "size": 8}),
        _trace(drawing, "Pareto front", drawing.line, rows, front)
        | {"mode": "lines+markers", "line": {"shape": "hv", "color": FRONT_COLOUR, "width": 1.5}},
        _trace(drawing, "front in other objectives", _off_line(drawing), rows, {"color": FRONT_COLOUR, "size": 8}),
        *(
            _trace(drawing, name, [p], rows, {"color": colour, "symbol": symbol, "size": 13, "line": {"width": 2}})
            for p, name, colour, (symbol, _) in styled(drawing)
        ),
        _rings(drawing, [mark.point for mark in drawing.marks]),
        _single(drawing, "float32 baseline", drawing.baseline, last, star),
        *_published_traces(drawing, published(drawing.baseline), last + 1),
    ]
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout(drawing)}


def _trace(
    drawing: Drawing, name: str, points: Sequence[FrontPoint], rows: Mapping[int, int], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name, quote=False),
        "x": [drawing.x(point.cost) for point in points],
        "y": [digits(drawing.y(point.quality)) for point in points],
        "customdata": [rows[point.number] for point in points],
        "hoverinfo": "none",
        "marker": marker,
    }


def _single(
    drawing: Drawing, name: str, result: FloatPoint | Published, row: int, marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [drawing.x(result.cost)],
        "y": [drawing.y(result.quality)],
        "customdata": [row],
        "hoverinfo": "none",
        "marker": marker,
    }


def _published_traces(drawing: Drawing, results: Sequence[Published], row: int) -> list[dict[str, Any]]:
    """One trace, off until its legend entry is clicked: these heights do not compare with the study's."""
    if not results:
        return []
    return [
        _single(
            drawing,
            "",
            results[0],
            row,
            {"symbol": "cross-thin", "size": 12, "line": {"width": 2, "color": SOFT_COLOUR}},
        )
        | {
            "name": "published by the paper<br>(other data; click to show)",
            "x": [drawing.x(result.cost) for result in results],
            "y": [drawing.y(result.quality) for result in results],
            "customdata": list(range(row, row + len(results))),
            "visible": "legendonly",
        }
    ]


def _rings(drawing: Drawing, points: Sequence[FrontPoint]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [drawing.x(point.cost) for point in points],
        "y": [drawing.y(point.quality) for point in points],
        "hoverinfo": "skip",
        "showlegend": False,
        "marker": {"symbol": "circle-open", "size": 17, "color": TEXT_COLOUR, "line": {"width": 1.5}},
    }


def _symbols(drawing: Drawing) -> list[str]:
    """Hollow where a member is not told apart from a neighbour."""
    return ["circle-open" if point.number in drawing.alike else "circle" for point in drawing.line]


def _off_line(drawing: Drawing) -> list[FrontPoint]:
    """Members for the sake of objectives that are not drawn."""
    drawn = {point.number for point in drawing.line}
    return [point for point in drawing.front if point.number not in drawn]


def layout(drawing: Drawing) -> dict[str, Any]:
    """Axes, legend, marks."""
    low, high = drawing.costs
    axis_x: dict[str, Any] = {"title": {"text": drawing.goals.cost.axis}, "range": [low, high]}
    if drawing.logarithmic:
        ticks = [f"{tick:,.12g}" for tick in drawing.ticks]
        log_range = [math.log10(low), math.log10(high)]
        axis_x |= {"type": "log", "range": log_range, "tickvals": list(drawing.ticks), "ticktext": ticks}
    # With as many digits as the ticks need, however far the reader zooms in, and without plotly's µ for millionths.
    axis_y = {"title": {"text": drawing.goals.quality.axis, "standoff": 14}, "automargin": True}
    axis_y |= {"exponentformat": "none"}
    axis_y |= {"range": list(drawing.qualities)}
    frame = {"gridcolor": GRID_COLOUR, "zeroline": False, "showline": True, "linecolor": "#888888", "ticks": "outside"}
    return {
        "xaxis": axis_x | frame,
        "yaxis": axis_y | frame,
        "shapes": [baseline_line(drawing.y(drawing.baseline.quality))],
        "annotations": [_annotation(mark, drawing) for mark in drawing.marks],
        "font": {"family": FONT, "color": TEXT_COLOUR, "size": 13},
        "legend": {"x": 1.01, "y": 1, "xanchor": "left"},
        "margin": {"l": 70, "r": 16, "t": 28, "b": 56},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
    }


def _annotation(mark: Mark, drawing: Drawing) -> dict[str, Any]:
    x = drawing.x(mark.point.cost)
    return {
        "x": math.log10(x) if drawing.logarithmic else x,
        "y": drawing.y(mark.point.quality),
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
