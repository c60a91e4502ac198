"""Sensitivities as a picture and as an interactive page.

Two panels per width: what each slot costs alone, and what sparing it wins back; a bar per slot, coloured by role.
plotly and matplotlib are imported inside the functions that draw.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from wordlength.objectives.noise import DISTINCT
from wordlength.objectives.sensitivity import Effect, SlotSensitivity
from wordlength.search.measure_tables import sensitivity_title
from wordlength.search.plots.scale import FONT, GRID_COLOUR, PLOTLY_CONFIG, TEXT_COLOUR
from wordlength.space import Role

if TYPE_CHECKING:
    from wordlength.search.measures import Sensitivities

ROLE_COLOURS = {Role.WEIGHTS: "#1f77b4", Role.BIASES: "#2ca02c", Role.ACTIVATIONS: "#e08214"}
UNCLEAR_OPACITY = 0.35
NOTE = "bars: ± two paired standard errors; pale: not told apart from 0"


_MODES: tuple[tuple[str, Callable[[SlotSensitivity], Effect], int], ...] = (
    ("lost by this alone", lambda row: row.only, -1),
    ("won back by sparing this", lambda row: row.all_but, 1),
)
"""Label, effect, and the sign that makes a sensitive slot's bar point to the right."""


def sensitivity_png(panels: Sequence[Sensitivities], kind: str, title: str) -> bytes:
    """Horizontal bars as PNG; one row of two panels per width."""
    # As in plots: a bare Figure on an Agg canvas leaves pyplot and the chosen backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [1.3 + 0.2 * len(panel.slots) for panel in panels]
    figure = Figure(figsize=(10, sum(heights) + 0.6), dpi=96, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", color=TEXT_COLOUR, fontsize=13)
    grid = figure.subplots(len(panels), 2, squeeze=False, sharey="row", height_ratios=heights)
    for axes, panel in zip(grid, panels, strict=True):
        axes[0].set_title(sensitivity_title(panel, kind), loc="left", color=TEXT_COLOUR, fontsize=11)
        for place, mode in zip(axes, _MODES, strict=True):
            _draw(place, panel, *mode)
    figure.supxlabel(NOTE, color="#777777", fontsize=9)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def sensitivity_html(panels: Sequence[Sensitivities], kind: str, title: str) -> bytes:
    """The same as an HTML page (about 5 MB) that needs nothing else, not even a network."""
    import plotly.io

    figure = sensitivity_figure(panels, kind, title)
    page: str = plotly.io.to_html(
        figure,
        include_plotlyjs=True,
        validate=False,
        div_id="sensitivity",
        config=dict(PLOTLY_CONFIG),
        default_height="auto",
    )
    head = f"<head><title>{html.escape(title)}</title><style>body{{margin:0}}</style>"
    return page.replace("<head>", head, 1).encode()


def sensitivity_figure(panels: Sequence[Sensitivities], kind: str, title: str) -> dict[str, Any]:
    """The figure as plotly's JSON."""
    layout: dict[str, Any] = {
        "title": {"text": f"{html.escape(title, quote=False)}<br><sup>{html.escape(NOTE)}</sup>", "x": 0.03},
        "grid": {"rows": len(panels), "columns": 2, "pattern": "independent", "ygap": 0.25, "xgap": 0.06},
        "height": 150 + sum(110 + 20 * len(panel.slots) for panel in panels),
        "font": {"family": FONT, "color": TEXT_COLOUR, "size": 12},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 160, "r": 20, "t": 90, "b": 60},
        "bargap": 0.25,
    }
    traces: list[dict[str, Any]] = []
    for number, (panel, mode) in enumerate(product(panels, _MODES), 1):
        suffix = "" if number == 1 else str(number)
        layout[f"xaxis{suffix}"], layout[f"yaxis{suffix}"] = _axes(panel, mode[0], kind)
        traces += _traces(panel, suffix, *mode[1:])
    return {"data": traces, "layout": layout}


def _axes(panel: Sensitivities, label: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    first = label == _MODES[0][0]
    label = f"{panel.goal.title} {label}"
    text = f"{label}<br>({sensitivity_title(panel, kind)})" if first else label
    return (
        {"title": {"text": text}, "automargin": True, "gridcolor": GRID_COLOUR, "zerolinecolor": "#888888"},
        {
            "autorange": "reversed",
            "categoryorder": "array",
            "categoryarray": [str(row.slot) for row in _ordered(panel)],
            "showticklabels": first,
            "automargin": True,
        },
    )


def _ordered(panel: Sensitivities) -> list[SlotSensitivity]:
    """By role, then in model order."""
    return sorted(panel.slots, key=lambda row: tuple(Role).index(row.slot.role))


def _traces(
    panel: Sensitivities, suffix: str, effect: Callable[[SlotSensitivity], Effect], sign: int
) -> list[dict[str, Any]]:
    """One trace per role, so that the legend can switch it off."""
    traces, ordered, sign = [], _ordered(panel), sign * round(panel.goal.ahead(1))
    for role, colour in ROLE_COLOURS.items():
        rows = [row for row in ordered if row.slot.role is role]
        if not rows:
            continue
        effects = [effect(row) for row in rows]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": str(role),
                "legendgroup": str(role),
                "showlegend": suffix == "",
                "x": [sign * found.difference for found in effects],
                "y": [str(row.slot) for row in rows],
                "text": [row.format.brief for row in rows],
                "textposition": "none",
                "hovertemplate": "%{y} as %{text}: %{x:+.4f}<extra></extra>",
                "error_x": {"type": "data", "array": [DISTINCT * found.standard_error for found in effects]},
                "marker": {
                    "color": colour,
                    "opacity": [1.0 if found.clear else UNCLEAR_OPACITY for found in effects],
                },
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
            }
        )
    return traces


def _draw(axes: Any, panel: Sensitivities, label: str, effect: Callable[[SlotSensitivity], Effect], sign: int) -> None:
    rows, sign = _ordered(panel), sign * round(panel.goal.ahead(1))
    for place, row in enumerate(rows):
        found = effect(row)
        axes.barh(
            place,
            sign * found.difference,
            xerr=DISTINCT * found.standard_error,
            color=ROLE_COLOURS[row.slot.role],
            alpha=1.0 if found.clear else UNCLEAR_OPACITY,
            error_kw={"ecolor": "#555555", "elinewidth": 1, "capsize": 2},
        )
    axes.set_yticks(range(len(rows)), labels=[str(row.slot).replace("$", r"\$") for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.set_xlabel(f"{panel.goal.title} {label}", color=TEXT_COLOUR)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=TEXT_COLOUR)
