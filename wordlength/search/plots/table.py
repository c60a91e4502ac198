"""The front as CSV and as figures for JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from wordlength.search.front import FloatPoint, FrontPoint, indistinct
from wordlength.search.plots.paper import paper_mark, uniform_formats
from wordlength.search.plots.scale import marked
from wordlength.search.trials import StudyView


def front_csv(front: Sequence[FrontPoint], baseline: FloatPoint) -> str:
    """The front as CSV: trial, label, first quality, first cost, saved_percent, the other objectives, standard errors,
    the neighbours that are not told apart (trial numbers), then a column per slot.
    """
    slots = list(dict.fromkeys(str(slot) for point in front for slot in point.candidate))
    target = io.StringIO()
    table = csv.writer(target, lineterminator="\n")
    goals = baseline.goals
    noise = [goals.quality.error_name, "baseline_difference", "baseline_difference_error", "indistinct_from"]
    others = [goal.name for goal in goals.others]
    named = ["trial", "label", goals.quality.name, goals.cost.name, "saved_percent"]
    table.writerow([*named, *others, *noise, *slots])
    alike = indistinct(front)
    for point in front:
        formats = point.candidate.to_dict()
        row = [point.number, point.label, point.quality, whole(point.cost), f"{baseline.saved(point):.2f}"]
        row += [point.values[name] for name in others]
        row += [point.standard_error, point.difference, point.difference_error]
        row += [" ".join(map(str, alike.get(point.number, ())))]
        table.writerow(row + [formats.get(slot, "") for slot in slots])
    return target.getvalue()


def front_figures(view: StudyView) -> dict[str, Any]:
    """The study as it stands and every member of its front; keys as in the CSV, an unknown figure is null."""
    named = {name: point.number for point, text in marked(view.front) for name in text.split(", ")}
    alike = indistinct(view.front)
    return {
        "study": view.name,
        "wanted": view.wanted,
        "finished": view.finished,
        "counts": view.counts,
        "objectives": view.goals.to_json(),
        "baseline": {name: whole(value) for name, value in view.baseline.values.items()},
        "hypervolume": view.hypervolume,
        **{name: named.get(name) for name in ("knee", "best", "smallest")},
        "front": [_member(point, view.baseline, alike.get(point.number, ())) for point in view.front],
    }


def _member(point: FrontPoint, baseline: FloatPoint, alike: tuple[int, ...]) -> dict[str, Any]:
    return {
        "trial": point.number,
        "label": point.label,
        **{name: whole(point.values[name]) for name in baseline.goals.names},
        baseline.goals.quality.error_name: finite(point.standard_error),
        "baseline_difference": finite(point.difference),
        "baseline_difference_error": finite(point.difference_error),
        "memory_bytes": point.memory_bytes,
        "saved_percent": round(baseline.saved(point), 2),
        "indistinct_from": list(alike),
        "uniform": uniform_formats(point.candidate) is not None,
        "paper": paper_mark(point.candidate, baseline.network) or None,
        "formats": point.candidate.to_dict(),
    }


def whole(value: float) -> float:
    """As an integer where it is one, which is how bytes are written."""
    return int(value) if float(value).is_integer() else value


def finite(value: float | None) -> float | None:
    """The value, or None in place of NaN and infinities, which JSON cannot write."""
    return value if value is not None and math.isfinite(value) else None


def digits(value: float | None) -> float | None:
    """As `finite`, with the six decimals that a drawing can show."""
    known = finite(value)
    return None if known is None else round(known, 6)
