"""How a notebook shows a study, its front and a point of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from wordlength.objectives.goals import Goals
from wordlength.search.front import FrontPoint
from wordlength.search.plots import marked, point_name
from wordlength.search.tables import verdict
from wordlength.search.trials import StudyView
from wordlength.space.html import Cell, candidate_html, table_html, words


def study_html(view: StudyView) -> str:
    """How far it is, how its front compares with float32, and the front."""
    states = ", ".join(f"{count} {state}" for state, count in view.counts.items() if count) or "none yet"
    lines = (f"study {view.name}: {view.finished} of {view.wanted} trials finished ({states})", *verdict(view))
    told = "".join(f"<div>{escape(line)}</div>" for line in lines)
    shown = front_html(view.front, view.baseline.network) if view.front else ""
    return f"<div>{told}{shown}</div>"


def front_html(front: Sequence[FrontPoint], network: str = "") -> str:
    """A row per member, cheapest first: every objective, and what it is called; by the paper, if `network` is its."""
    if not front:
        return "<div>Pareto front: no trial is complete yet</div>"
    marks, goals = {point.number: mark for point, mark in marked(front)}, front[0].goals
    heads = ("trial", *_heads(goals), "")
    rows = [
        [
            Cell(str(point.number)),
            *_values(point),
            words(", ".join(filter(None, (marks.get(point.number), point_name(point, network))))),
        ]
        for point in front
    ]
    return table_html(f"Pareto front, {len(front)} {'trial' if len(front) == 1 else 'trials'}", heads, rows)


def point_html(point: FrontPoint) -> str:
    """A trial's objectives and its formats."""
    called = point_name(point, network="")
    name = f"trial {point.number}" + (f" ({called})" if called else "")
    return f"<div>{table_html(name, _heads(point.goals), [_values(point)])}{candidate_html(point.candidate)}</div>"


def _heads(goals: Goals) -> tuple[str, ...]:
    return tuple(
        goal.title + (f", {goal.unit}" if goal.unit and goal.unit not in goal.title else "") for goal in goals.goals
    )


def _values(point: FrontPoint) -> list[Cell]:
    """Every objective; the first quality with its standard error."""
    goals = point.goals
    errors = {goals.quality.name: goals.quality.error_text(point.standard_error)}
    return [Cell(goal.text(point.values[goal.name]) + errors.get(goal.name, "")) for goal in goals.goals]
