"""The front as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

from wordlength.search.front import FrontPoint, indistinct, saved_percent
from wordlength.search.plots.paper import paper_mark, uniform_formats
from wordlength.search.plots.scale import Front, marked
from wordlength.search.trials import StudyView


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


def front_json(view: StudyView) -> str:
    """The study as it stands and every member of its front; keys as in the CSV, an unknown figure is null."""
    named = {name: point.number for point, text in marked(view.front) for name in text.split(", ")}
    alike = indistinct(view.front)
    found = {
        "study": view.name,
        "wanted": view.wanted,
        "finished": view.finished,
        "counts": view.counts,
        "baseline": {
            "stoi_improvement": view.baseline.stoi_improvement,
            "memory_bytes": view.baseline.memory_bytes,
        },
        "hypervolume": view.hypervolume,
        **{name: named.get(name) for name in ("knee", "best", "smallest")},
        "front": [_member(point, view.baseline.memory_bytes, alike.get(point.number, ())) for point in view.front],
    }
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)


def _member(point: FrontPoint, baseline_bytes: int, alike: tuple[int, ...]) -> dict[str, Any]:
    return {
        "trial": point.number,
        "label": point.label,
        "stoi_improvement": point.stoi_improvement,
        "stoi_standard_error": finite(point.stoi_standard_error),
        "baseline_difference": finite(point.difference),
        "baseline_difference_error": finite(point.difference_error),
        "memory_bytes": point.memory_bytes,
        "saved_percent": round(saved_percent(point.memory_bytes, baseline_bytes), 2),
        "indistinct_from": list(alike),
        "uniform": uniform_formats(point.candidate) is not None,
        "paper": paper_mark(point.candidate) or None,
        "formats": point.candidate.to_dict(),
    }


def finite(value: float | None) -> float | None:
    """The value, or None in place of NaN and infinities, which JSON cannot write."""
    return value if value is not None and math.isfinite(value) else None


def digits(value: float | None) -> float | None:
    """As `finite`, with the six decimals that a drawing can show."""
    known = finite(value)
    return None if known is None else round(known, 6)
