"""Two studies over each other as tables for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from wordlength.search.compare import Comparison, Difference, Versus
from wordlength.search.front import FrontPoint
from wordlength.search.plots.scale import marked
from wordlength.search.plots.table import finite, whole
from wordlength.search.table_style import SPACED

LETTERS = ("A", "B")
_CHARACTERS = 60


def comparison_tables(found: Comparison) -> Iterator[Table | str]:
    """Warnings, both fronts by cost unless equal, hypervolumes, the picked members' formats, settings that differ."""
    for letter, view in zip(LETTERS, (found.first, found.second), strict=True):
        yield f"{letter}: {view.name}, {view.finished} of {view.wanted} trials finished, {len(view.front)} on the front"
    for text in found.warnings:
        yield f"warning: {text}"
    if found.equal:
        count = len(found.first.front)
        yield f"the fronts are equal: all {count} members have the same formats and the same objectives"
    else:
        yield _fronts(found)
        for letter, view in zip(LETTERS, (found.first, found.second), strict=True):
            yield from (f"{letter}'s trial {point.number}: {point.label}" for point in view.front if point.label)
    yield from _verdict(found)
    yield from _formats(found)
    if found.settings:
        yield "settings that differ:"
        yield _settings(found)


def comparison_figures(found: Comparison) -> dict[str, Any]:
    """JSON-able: all figures."""
    one, other, both = found.hypervolumes
    studies = zip((found.first, found.second), found.members, found.picked, (one, other), strict=True)
    return {
        "studies": [
            {
                "study": view.name,
                "finished": view.finished,
                "hypervolume": volume,
                "picked": picked.number,
                "front": [_member(found, row) for row in rows],
            }
            for view, rows, picked, volume in studies
        ],
        "objectives": found.common.goals.to_json(),
        "reference": {name: whole(value) for name, value in found.common.values.items()},
        "hypervolume_together": both,
        "gain": other - one,
        "same_mixtures": found.same_mixtures,
        "warnings": list(found.warnings),
        "formats": {str(slot): [fmt and str(fmt) for fmt in pair] for slot, pair in found.formats.items()},
        "settings": [{"place": row.place, "first": row.first, "second": row.second} for row in found.settings],
    }


def _fronts(found: Comparison) -> Table:
    goals = found.common.goals
    table = Table(title=f"fronts of A and B, by {goals.cost.title}", **SPACED)
    cost = "bytes" if goals.cost.name == "memory_bytes" else goals.cost.title
    heads = ["", "trial", goals.quality.title, cost, *(goal.title for goal in goals.others)]
    heads = [head.replace(" ", "\n") for head in heads]
    for head in (*heads, "the other\nat this cost", "at this\nquality", "beaten\nby"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    rows = [(letter, row) for letter, rows in zip(LETTERS, found.members, strict=True) for row in rows]
    names = {
        (letter, point.number): name
        for letter, view in zip(LETTERS, (found.first, found.second), strict=True)
        for point, name in marked(view.front)
    }
    for letter, row in sorted(rows, key=lambda pair: (-goals.cost.ahead(pair[1].point.cost), pair[0])):
        point = row.point
        table.add_row(
            letter,
            str(point.number),
            goals.quality.text(point.quality),
            goals.cost.text(point.cost),
            *(goal.text(point.values[goal.name]) for goal in goals.others),
            "–" if row.at_cost is None else _text(found, found.difference(row.at_cost, point)),
            "–" if row.at_quality is None else _change(row.at_quality.cost, point.cost),
            "–" if row.beaten_by is None else str(row.beaten_by.number),
            names.get((letter, point.number), ""),
        )
    return table


def _text(found: Comparison, difference: Difference) -> str:
    return found.common.goals.quality.difference_text(difference.value, difference.error)


def _change(cost: float, reference: float) -> str:
    """How much more or less of a cost, in percent."""
    return f"{100 * (cost / reference - 1):+.1f} %" if reference > 0 else ""


def _verdict(found: Comparison) -> Iterator[str]:
    one, other, both = found.hypervolumes
    goals, gain = found.common.goals, other - one
    share = f" ({100 * gain / one:+.1f} %)" if one > 0 else ""
    yield f"hypervolume: A {one:.5f}, B {other:.5f}, B against A {gain:+.5f}{share}, both together {both:.5f}"
    worst = (
        f"{goal.title} {goal.told(found.common.values[goal.name] if goal.worst is None else goal.worst)}"
        for goal in goals.goals
    )
    yield f"counted for both from {', '.join(worst)}"
    if found.equal:
        return
    for letter, other_letter, rows in zip(LETTERS, LETTERS[::-1], found.members, strict=True):
        beaten = [row for row in rows if row.beaten_by is not None]
        clear = sum(found.difference(row.beaten_by, row.point).is_clear for row in beaten if row.beaten_by)
        surely = f", {clear} of them clearly in {goals.quality.title}" if beaten else ""
        yield f"{len(beaten)} of {letter}'s {len(rows)} members are beaten by a member of {other_letter}{surely}"
    yield (
        "± are paired standard errors: both studies heard the same mixtures; clearly: beyond two of them"
        if found.same_mixtures
        else "± are not paired: the mixtures are not the same; clearly: beyond two of them"
    )


def _formats(found: Comparison) -> Iterator[Table | str]:
    one, other = found.picked
    named = f"A's trial {one.number} and B's trial {other.number}"
    slots = set(one.candidate) | set(other.candidate)
    if not found.formats:
        yield f"formats of {named}: all {len(slots)} the same"
        return
    yield f"formats of {named}: {len(found.formats)} of {len(slots)} differ"
    table = Table(**SPACED)
    for head in ("slot", f"A {one.number}", f"B {other.number}"):
        table.add_column(head, no_wrap=True)
    for slot, pair in found.formats.items():
        table.add_row(str(slot), *("–" if fmt is None else fmt.brief for fmt in pair))
    yield table


def _settings(found: Comparison) -> Table:
    table = Table(**SPACED)
    for head in ("setting", "A", "B"):
        table.add_column(head)
    for row in found.settings:
        table.add_row(Text(row.place), *(Text(_short(value)) for value in (row.first, row.second)))
    return table


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"


def _member(found: Comparison, row: Versus) -> dict[str, Any]:
    point = row.point
    return {
        "trial": point.number,
        "label": point.label,
        **{name: whole(value) for name, value in point.values.items()},
        **{name: _other(found, getattr(row, name), point) for name in ("beaten_by", "at_cost", "at_quality")},
    }


def _other(found: Comparison, other: FrontPoint | None, point: FrontPoint) -> dict[str, Any] | None:
    """A member of the other front: its quality less the point's, and its cost less the point's."""
    if other is None:
        return None
    difference = found.difference(other, point)
    return {
        "trial": other.number,
        "quality_difference": difference.value,
        "standard_error": finite(difference.error),
        "paired": difference.paired,
        "cost_difference": whole(other.cost - point.cost),
    }
