"""The front as an interactive page that needs nothing else, not even a network.

plotly draws the points; what hovering shows is drawn by the page's own script (page.html), since plotly's labels hold
no coloured cells. Trials travel as rows of numbers, their formats as places in one palette.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.search.plots.cells import (
    CELL_STYLE,
    KEY_STYLE,
    KIND_NAMES,
    bits_style,
    cell_class,
    key_html,
    short_text,
)
from wordlength.search.plots.figure import plotly_figure
from wordlength.search.plots.paper import point_name, published
from wordlength.search.plots.scale import (
    PLOTLY_CONFIG,
    Drawing,
    drawing_of,
    marked,
)
from wordlength.search.plots.table import digits, whole
from wordlength.search.trials import StudyView
from wordlength.space import Format, Role, Slot


def pareto_html(study: StudyView) -> str:
    """A study's front as an HTML page of about 5 MB, nearly all of it plotly.js.

    Hovering shows a trial's figures and the formats of each layer.
    """
    return _page(drawing_of(study))


def page_data(drawing: Drawing, palette: dict[Format, int]) -> dict[str, Any]:
    """What the page's script shows of each point, by rows: trials, then the baseline and the paper's results.

    `palette`: format → its place, filled here.
    """
    slots = list({slot: None for point in drawing.points for slot, _ in point.candidate.pairs})
    layers = list(dict.fromkeys(slot.layer for slot in slots))
    roles = [role for role in Role if any(slot.role is role for slot in slots)]
    return {
        "layers": layers,
        "roles": [role.value for role in roles],
        "slots": [[layers.index(slot.layer), roles.index(slot.role)] for slot in slots],
        "points": _rows(drawing, slots, palette),
        "formats": [[fmt.brief, short_text(fmt), fmt.width_bits, cell_class(fmt), fmt.kind] for fmt in palette],
        "kinds": KIND_NAMES,
        "references": _references(drawing),
        "quality": {"title": drawing.goals.quality.title, "decimals": drawing.goals.quality.decimals},
        "cost": _cost(drawing.baseline),
    }


def _cost(baseline: FloatPoint) -> dict[str, Any]:
    """How a cost is told; that of the parameters needs no name before its bytes."""
    goal = baseline.goals.cost
    head = "" if goal.name == "memory_bytes" else f"{goal.title} "
    return {"head": head, "unit": goal.unit, "decimals": goal.decimals, "float32": baseline.cost}


def _others(held: FrontPoint | FloatPoint) -> list[str]:
    """The objectives that are not drawn, in words."""
    return [f"{goal.title} {goal.told(held.values[goal.name])}" for goal in held.goals.others]


def _rows(drawing: Drawing, slots: Sequence[Slot], palette: dict[Format, int]) -> list[list[Any]]:
    names = {point.number: "on the front" for point in drawing.front}
    names |= {point.number: text for point, text in marked(drawing.front)}
    return [
        [
            point.number,
            point_name(point, drawing.baseline.network),
            whole(point.cost),
            *(digits(value) for value in (point.quality, point.standard_error)),
            *(digits(value) for value in (point.difference, point.difference_error)),
            drawing.alike.get(point.number, ()),
            names.get(point.number, ""),
            _cells(point, slots, palette),
            _others(point),
        ]
        for point in drawing.points
    ]


def _cells(point: FrontPoint, slots: Sequence[Slot], palette: dict[Format, int]) -> list[int]:
    """The place of each slot's format in the palette, which grows; −1 where the candidate lacks the slot."""
    pairs = point.candidate.pairs
    if len(pairs) == len(slots) and all(slot == known for (slot, _), known in zip(pairs, slots, strict=True)):
        return [palette.setdefault(fmt, len(palette)) for _, fmt in pairs]
    formats = dict(pairs)
    return [palette.setdefault(formats[slot], len(palette)) if slot in formats else -1 for slot in slots]


def _references(drawing: Drawing) -> list[list[Any]]:
    """Name, remark, first cost, first quality and the other objectives of what is no trial."""
    base = drawing.baseline
    remark = "measured on the paper’s own speech and noise: its height does not compare with this study’s"
    return [
        ["float32 baseline", "", whole(base.cost), base.quality, _others(base)],
        *([f"the paper: {p.name}", remark, p.cost, p.quality, []] for p in published(base)),
    ]


def _page(drawing: Drawing) -> str:
    formats: dict[Format, int] = {}
    data = page_data(drawing, formats)
    parts = {
        "title": html.escape(drawing.title),
        "style": "\n".join([bits_style(fmt.width_bits for fmt in formats), CELL_STYLE, KEY_STYLE]),
        "caption": html.escape(_caption(drawing)),
        "key": key_html(formats),
        "figure": script_json(plotly_figure(drawing) | {"config": PLOTLY_CONFIG}),
        "data": script_json(data),
        "plotly": _plotly_js(),
    }
    # In one pass: what is put in is never searched for further places.
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _caption(drawing: Drawing) -> str:
    hollow = "Hollow circles: not told apart from a neighbour on the front." if drawing.alike else ""
    hidden = f"{drawing.hidden} (double-click to see all)." if drawing.hidden else ""
    empty = "" if drawing.points else "No trial is complete yet."
    return " ".join(text for text in (drawing.ended, empty, hollow, hidden) if text)


def script_json(value: object) -> str:
    """JSON that a script element may hold: no `<` ends the element or opens a comment; ASCII only."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@cache
def _plotly_js() -> str:
    # MLflow shows artifacts in a sandboxed frame where a script from elsewhere does not load: plotly.js comes along.
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
