"""The Pareto front as an interactive page, a picture and a table.

x: memory in kB (1000 bytes), y: STOI improvement. plotly and matplotlib are imported inside the functions that draw,
so that importing this file costs nothing. The figures follow one `_View`, so page and picture agree.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wordlength.search.front import Baseline, FrontPoint, indistinct, layer_table, saved_percent

LOG_SPREAD = 8.0
"""Largest over smallest memory from which the memory axis is logarithmic."""

FRONT_COLOUR = "#d62728"
OTHER_COLOUR = "#b8c4d0"
BASELINE_COLOUR = "#222222"
UNIFORM_COLOURS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e08214", "#17a2b8", "#5a6b7b")
"""Colours of the uniform formats; with seven colours and six symbols 42 formats stay distinct."""

_UNIFORM_SYMBOLS = (
    ("diamond-open", "D"),
    ("square-open", "s"),
    ("triangle-up-open", "^"),
    ("triangle-down-open", "v"),
    ("pentagon-open", "p"),
    ("hexagon-open", "h"),
)
_TEXT_COLOUR = "#333333"
_GRID_COLOUR = "#e6e9ec"
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    # plotly.js 4 has a button that uploads the figure to plotly's cloud: a study's results stay where they are.
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "sendChartToCloud"],
    "plotlyServerURL": "",
}
_MONOSPACE = "DejaVu Sans Mono, Menlo, Consolas, monospace"
_FONT = "Helvetica, Arial, DejaVu Sans, sans-serif"

Points = Iterable[FrontPoint]
Front = Sequence[FrontPoint]


@dataclass(frozen=True, slots=True)
class _View:
    """What both figures share: the points by kind and the axes."""

    front: tuple[FrontPoint, ...]
    dominated: tuple[FrontPoint, ...]
    uniform: tuple[FrontPoint, ...]
    baseline: Baseline
    title: str
    logarithmic: bool
    memory_kb: tuple[float, float]
    improvement: tuple[float, float]

    @property
    def hidden(self) -> str:
        """Says how many trials lie below the shown range; empty if none."""
        everyone = {point.number: point for point in (*self.front, *self.dominated, *self.uniform)}
        count = sum(point.stoi_improvement < self.improvement[0] for point in everyone.values())
        return f"{count} trial{'s' if count > 1 else ''} below this range" if count else ""

    @property
    def ticks_kb(self) -> tuple[float, ...]:
        """Round numbers within the range for the logarithmic axis, closer together if it is short."""
        low, high = self.memory_kb
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 60 else (1, 2, 5)
        return tuple(m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high)


def pareto_html(points: Points, front: Front, baseline: Baseline, study: str, trial_count: int | None = None) -> str:
    """An interactive HTML page (about 5 MB) that needs nothing else, not even a network.

    `points`: all complete trials; `trial_count`: trials that ended in any way, for the title. Hovering shows a
    trial's figures and the formats of each layer.
    """
    import plotly.io

    view = _view(points, front, baseline, study, trial_count)
    # MLflow shows artifacts in a sandboxed frame where a script from elsewhere does not load: plotly.js comes along.
    page: str = plotly.io.to_html(
        plotly_figure(view),
        include_plotlyjs=True,
        validate=False,
        div_id="pareto-front",
        default_height="100vh",
        config=_CONFIG,
    )
    head = f"<head><title>{html.escape(view.title)}</title><style>body{{margin:0}}</style>"
    return page.replace("<head>", head, 1)


def pareto_png(points: Points, front: Front, baseline: Baseline, study: str, trial_count: int | None = None) -> bytes:
    """The same figure as a PNG, 816 × 480 pixels, as MLflow shows it without scaling; arguments as `pareto_html`."""
    # plotly writes a PNG only through a Chrome that a fresh machine lacks; matplotlib needs nothing. A bare Figure
    # on an Agg canvas leaves pyplot, its figure list and the chosen backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5), dpi=96, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), _view(points, front, baseline, study, trial_count))
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=_TEXT_COLOUR)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def front_csv(front: Front, baseline_bytes: int) -> str:
    """The front as CSV: trial, label, objectives, saved_percent, standard errors, the neighbours that are not told
    apart (trial numbers), then a column per slot.
    """
    slots = list(dict.fromkeys(str(slot) for point in front for slot in point.candidate))
    target = io.StringIO()
    table = csv.writer(target, lineterminator="\n")
    noise = ["stoi_standard_error", "baseline_difference", "baseline_difference_error", "indistinct_from"]
    table.writerow(["trial", "label", "stoi_improvement", "memory_bytes", "saved_percent", *noise, *slots])
    alike = indistinct(front)
    for point in front:
        formats = point.candidate.to_dict()
        saved = f"{saved_percent(point.memory_bytes, baseline_bytes):.2f}"
        row = [point.number, point.label, point.stoi_improvement, point.memory_bytes, saved]
        row += [point.stoi_standard_error, point.difference, point.difference_error]
        row += [" ".join(map(str, alike.get(point.number, ())))]
        table.writerow(row + [formats.get(slot, "") for slot in slots])
    return target.getvalue()


def _view(points: Points, front: Front, baseline: Baseline, study: str, trial_count: int | None) -> _View:
    every = tuple(points)
    members = {point.number for point in front}
    plain = tuple(point for point in every if point.number not in members and not point.label)
    sizes = [point.memory_bytes / 1000 for point in (*every, *front)] + [baseline.memory_bytes / 1000]
    logarithmic = min(sizes) > 0 and max(sizes) / min(sizes) > LOG_SPREAD
    count = len(every) if trial_count is None else trial_count
    return _View(
        front=tuple(front),
        dominated=plain,
        uniform=tuple(point for point in every if point.label),
        baseline=baseline,
        title=f"{study}: Pareto front of {count} trial{'' if count == 1 else 's'}",
        logarithmic=logarithmic,
        memory_kb=(min(sizes) / 1.12, max(sizes) * 1.15) if logarithmic else (0.0, max(sizes) * 1.05),
        improvement=_improvement_range([p.stoi_improvement for p in (*every, *front)], baseline.stoi_improvement),
    )


def _improvement_range(values: Sequence[float], reference: float) -> tuple[float, float]:
    """Bottom and top of the y axis. Trials far below zero, which nobody would deploy, must not squash the rest."""
    top = max([*values, reference, 0.0])
    bottom = min([value for value in values if value > -0.5 * top or top == 0] + [reference, 0.0])
    margin = 0.06 * ((top - bottom) or 0.01)
    return bottom - margin, top + margin


def plotly_figure(view: _View) -> dict[str, Any]:
    """The figure as plotly's JSON; checked against plotly's schema by the tests, not at run time."""
    low, high = view.memory_kb
    traces = [
        _trace("other trials", view.dominated, view, {"color": OTHER_COLOUR, "size": 8}),
        _trace("Pareto front", view.front, view, {"color": FRONT_COLOUR, "size": 9, "symbol": _front_symbols(view)})
        | {"mode": "lines+markers", "line": {"shape": "hv", "color": FRONT_COLOUR, "width": 1.5}},
        *(
            _trace(p.label, [p], view, {"color": colour, "symbol": symbol, "size": 13, "line": {"width": 2}})
            for p, colour, (symbol, _) in _styled(view.uniform)
        ),
        _baseline_trace(view.baseline),
    ]
    axis_x = {"title": {"text": "memory in kB (1 kB = 1000 bytes)"}, "range": [low, high]}
    if view.logarithmic:
        ticks = [f"{tick:,.12g}" for tick in view.ticks_kb]
        log_range = [math.log10(low), math.log10(high)]
        axis_x |= {"type": "log", "range": log_range, "tickvals": list(view.ticks_kb), "ticktext": ticks}
    axis_y = {"title": {"text": "STOI improvement", "standoff": 14}, "automargin": True, "tickformat": ".3~f"}
    axis_y |= {"range": list(view.improvement)}
    frame = {"gridcolor": _GRID_COLOUR, "zeroline": False, "showline": True, "linecolor": "#888888", "ticks": "outside"}
    note = {"text": view.hidden and view.hidden + " (double-click to see all)", "x": 1, "y": 1, "xref": "paper"}
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": {
            "title": {"text": html.escape(view.title, quote=False), "x": 0.03, "font": {"size": 18}},
            "xaxis": axis_x | frame,
            "yaxis": axis_y | frame,
            "shapes": [_baseline_line(view.baseline)],
            "annotations": [note | {"yref": "paper", "xanchor": "right", "yanchor": "bottom", "showarrow": False}],
            "font": {"family": _FONT, "color": _TEXT_COLOUR, "size": 13},
            "hoverlabel": {"bgcolor": "white", "font": {"family": _MONOSPACE, "size": 11}, "align": "left"},
            "legend": {"x": 1.01, "y": 1, "xanchor": "left"},
            "margin": {"l": 90, "r": 20, "t": 60, "b": 60},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "hovermode": "closest",
        },
    }


def _trace(name: str, points: Sequence[FrontPoint], view: _View, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name, quote=False),
        "x": [point.memory_bytes / 1000 for point in points],
        "y": [point.stoi_improvement for point in points],
        "text": [_hover(point, view) for point in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
    }


def _front_symbols(view: _View) -> list[str]:
    """Hollow where a member is not told apart from a neighbour."""
    alike = indistinct(view.front)
    return ["circle-open" if point.number in alike else "circle" for point in view.front]


def _baseline_line(baseline: Baseline) -> dict[str, Any]:
    """Dashed over the whole width, however far the reader zooms out."""
    y = baseline.stoi_improvement
    line = {"color": BASELINE_COLOUR, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "layer": "below", "line": line}


def _baseline_trace(baseline: Baseline) -> dict[str, Any]:
    text = f"{baseline.memory_bytes:,} bytes<br>STOI improvement {baseline.stoi_improvement:.4f}"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "float32 baseline",
        "x": [baseline.memory_bytes / 1000],
        "y": [baseline.stoi_improvement],
        "text": [f"<b>float32 baseline</b><br>{text}"],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "star", "color": BASELINE_COLOUR, "size": 13},
    }


def _hover(point: FrontPoint, view: _View) -> str:
    baseline, alike = view.baseline, indistinct(view.front).get(point.number, ())
    error = "" if point.stoi_standard_error is None else f" ± {point.stoi_standard_error:.4f}"
    paired = point.difference is not None and point.difference_error is not None
    lines = [
        f"<b>{html.escape(f'trial {point.number} {point.label}'.strip(), quote=False)}</b>",
        f"{point.memory_bytes:,} bytes, {saved_percent(point.memory_bytes, baseline.memory_bytes):.1f} % saved",
        f"STOI improvement {point.stoi_improvement:.4f}{error}",
        *([f"against float32 {point.difference:+.4f} ± {point.difference_error:.4f} (paired)"] if paired else []),
        *([f"not told apart from trial {' and '.join(map(str, alike))}"] if alike else []),
        "",
        # No-break spaces: a browser would fold the padding.
        *(html.escape(line, quote=False).replace(" ", "\u00a0") for line in layer_table(point)),
    ]
    return "<br>".join(lines)


def _styled(points: Sequence[FrontPoint]) -> Iterable[tuple[FrontPoint, str, tuple[str, str]]]:
    for place, point in enumerate(points):
        symbols = _UNIFORM_SYMBOLS[place % len(_UNIFORM_SYMBOLS)]
        yield point, UNIFORM_COLOURS[place % len(UNIFORM_COLOURS)], symbols


def _draw(axes: Any, view: _View) -> None:
    """Everything but the legend, on matplotlib axes."""
    _draw_axes(axes, view)
    base = view.baseline
    axes.axhline(base.stoi_improvement, color=BASELINE_COLOUR, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    _scatter(axes, view.dominated, "other trials", color=OTHER_COLOUR, s=28, linewidths=0, zorder=2)
    step = {"drawstyle": "steps-post", "color": FRONT_COLOUR, "linewidth": 1.3}
    axes.plot(*_columns(view.front), zorder=3, **step)
    alike = indistinct(view.front)
    for name, hollow in (("Pareto front", False), ("not told apart\nfrom a neighbour", True)):
        members = [point for point in view.front if (point.number in alike) is hollow]
        fill = "white" if hollow else FRONT_COLOUR
        _scatter(axes, members, name, facecolors=fill, edgecolors=FRONT_COLOUR, s=36, linewidths=1.4, zorder=4)
    for point, colour, (_, marker) in _styled(view.uniform):
        style = {"marker": marker, "edgecolors": colour, "facecolors": "none", "s": 90, "linewidths": 1.6, "zorder": 5}
        _scatter(axes, [point], point.label, **style)
    star = {"marker": "*", "s": 130, "color": BASELINE_COLOUR, "linewidths": 0, "zorder": 6}
    axes.scatter([base.memory_bytes / 1000], [base.stoi_improvement], label="float32 baseline", **star)


def _scatter(axes: Any, points: Sequence[FrontPoint], name: str, **style: Any) -> None:
    if points:
        # matplotlib would read text between two dollar signs as a formula.
        axes.scatter(*_columns(points), label=name.replace("$", r"\$"), **style)


def _columns(points: Sequence[FrontPoint]) -> tuple[list[float], list[float]]:
    return [point.memory_bytes / 1000 for point in points], [point.stoi_improvement for point in points]


def _draw_axes(axes: Any, view: _View) -> None:
    if view.logarithmic:
        axes.set_xscale("log")
        axes.set_xticks(view.ticks_kb, labels=[f"{tick:,.12g}" for tick in view.ticks_kb])
        axes.minorticks_off()
    axes.set(xlim=view.memory_kb, ylim=view.improvement)
    axes.set_xlabel("memory in kB (1 kB = 1000 bytes)", color=_TEXT_COLOUR)
    axes.set_ylabel("STOI improvement", color=_TEXT_COLOUR)
    axes.set_title(view.title.replace("$", r"\$"), loc="left", color=_TEXT_COLOUR, fontsize=13, pad=12)
    axes.grid(color=_GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#888888")
    axes.tick_params(colors=_TEXT_COLOUR)
    axes.set_title(view.hidden, loc="right", color="#777777", fontsize=9, pad=12)
