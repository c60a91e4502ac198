"""How formats distribute over the layers along the front, as a page without scripts.

A row per slot, a column per member; below each role, its share of parameters (of slots, where their sizes are
unknown or nothing is stored) by kind and width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.search.pages.parts import page_html
from wordlength.search.pages.style import STYLE
from wordlength.search.plots.cells import (
    CELL_STYLE,
    KEY_STYLE,
    KIND_NAMES,
    bits_style,
    cell_class,
    key_html,
    short_text,
)
from wordlength.search.plots.paper import point_name
from wordlength.search.plots.scale import marked
from wordlength.space import Format, Role, Slot, SlotInfo

WIDE_CELLS = 14
"""Members up to which a cell holds its format's text."""
NUMBER_CELLS = 28
"""Members up to which a cell holds its bits."""

_NAMES_PX = 150

_STYLE = """
main.wide{max-width:1700px}
.formats{table-layout:fixed;border-collapse:separate;border-spacing:1px}
.formats caption{position:absolute;clip-path:inset(50%)}
.formats th,.formats td{border:0;padding:0;text-align:center}
.formats th[scope=row]{text-align:left;padding-right:10px;overflow:hidden;text-overflow:ellipsis;z-index:1}
.formats td{height:20px;font-size:.72rem;line-height:20px;overflow:hidden}
.formats thead th[scope=row]{font-weight:400;color:var(--soft);vertical-align:middle}
.formats thead th[scope=col]{color:var(--text);font-weight:700}
.formats.tall thead td,.formats.tall thead th[scope=col]{height:inherit}
.formats thead td.flag{color:var(--warn-text);font-weight:700;border-bottom:2px solid transparent}
.formats thead td.flag.named{border-color:var(--warn)}
.formats.tall thead td,.formats.tall thead th[scope=col]{writing-mode:vertical-rl;transform:rotate(180deg);
padding:2px 0;text-align:left;line-height:1;vertical-align:middle}
.formats.tall thead td.flag{border-bottom:0;border-top:2px solid transparent}
.formats tbody th[scope=rowgroup]{padding:12px 0 3px;font-weight:700;text-align:left;text-transform:capitalize}
.formats .shares td{height:64px;padding-top:3px}
.stack{display:flex;flex-direction:column-reverse;height:60px;border:1px solid var(--line)}
.stack i{display:block}
.stack .po2{background:linear-gradient(90deg,var(--ink) 2px,transparent 2px) var(--fill)}
.stack .vbs{background:linear-gradient(90deg,var(--ink) 2px,transparent 2px calc(100% - 2px),var(--ink) 0) var(--fill)}
@media(max-width:720px){.formats th[scope=row]{font-size:.75rem}}
"""


def formats_html(front: Sequence[FrontPoint], baseline: FloatPoint, study: str, slots: Iterable[SlotInfo] = ()) -> str:
    """`front`: as `pareto_front` gives it; `slots`: what they store, so that shares count parameters, not slots."""
    title = f"{study}: formats along the Pareto front"
    sizes = {info.slot: info.count for info in slots}
    formats = {fmt for point in front for _, fmt in point.candidate.pairs}
    body = _body(front, baseline, sizes) if front else "<p>No trial is complete yet.</p>"
    style = f"{STYLE}{CELL_STYLE}{KEY_STYLE}{_STYLE}{bits_style(fmt.width_bits for fmt in formats)}"
    page = f"<header><h1>{escape(title)}</h1></header>\n{body}"
    return page_html(title, style, page, kind="wide")


def _body(front: Sequence[FrontPoint], baseline: FloatPoint, sizes: Mapping[Slot, int]) -> str:
    slots = list({slot: None for point in front for slot, _ in point.candidate.pairs})
    # Looking slots up in a candidate is slow: once each.
    chosen = [dict(point.candidate.pairs) for point in front]
    pinned, groups = [], []
    for role in Role:
        members = [slot for slot in slots if slot.role is role]
        found = {formats[slot] for formats in chosen for slot in members if slot in formats}
        if len(found) == 1:
            fmt = found.pop()
            pinned.append(f'<p>All {role}: <span class="{cell_class(fmt)}">&nbsp;{escape(fmt.brief)}&nbsp;</span></p>')
        elif members:
            groups.append(_group(role, members, chosen, sizes))
    key = key_html(fmt for formats in chosen for fmt in formats.values())
    note = "<p>A column per member of the front, from least to most memory. A cell’s colour tells its bits, its "
    note += "mark the kind.</p>"
    return "\n".join([note, key, *pinned, _table(front, baseline, groups) if groups else ""])


def _table(front: Sequence[FrontPoint], baseline: FloatPoint, groups: Sequence[str]) -> str:
    width = 58 if len(front) <= WIDE_CELLS else 22 if len(front) <= NUMBER_CELLS else 16
    kind = "formats" if len(front) <= WIDE_CELLS else "formats tall"
    columns = f'<colgroup><col style="width:{_NAMES_PX}px"><col span="{len(front)}" style="width:{width}px"></colgroup>'
    return (
        '<div class="scroll" role="region" aria-label="formats by slot and trial" tabindex="0">'
        f'<table class="{kind}" style="width:{_NAMES_PX + 2 + (width + 1) * len(front)}px">'
        f"<caption>formats by slot and trial</caption>{columns}\n<thead>{_heads(front, baseline)}</thead>\n"
        + "\n".join(groups)
        + "\n</table></div>"
    )


def _heads(front: Sequence[FrontPoint], baseline: FloatPoint) -> str:
    """Trial, memory, STOI improvement and the names of smallest, knee and best, a row each."""
    names = {point.number: text.replace(", ", " ") for point, text in marked(front)}
    trials = (f'<th scope="col" title="{escape(_told(point, baseline))}">{point.number}</th>' for point in front)
    goals = baseline.goals
    cost = (f"<td>{_cost(point)}</td>" for point in front)
    quality = (f"<td>{_quality(point)}</td>" for point in front)
    flags = (
        f'<td class="flag{" named" if point.number in names else ""}">{names.get(point.number, "")}</td>'
        for point in front
    )
    unit = "kB" if goals.cost.in_bytes else goals.cost.unit or goals.cost.title
    rows = {"trial": trials, unit: cost, goals.quality.title: quality, "": flags}
    heights = _tall_px(front, names) if len(front) > WIDE_CELLS else (20,) * len(rows)
    return "\n".join(
        f'<tr style="height:{height}px"><th scope="row">{name}</th>{"".join(cells)}</tr>'
        for (name, cells), height in zip(rows.items(), heights, strict=True)
    )


def _tall_px(front: Sequence[FrontPoint], names: Mapping[int, str]) -> tuple[int, ...]:
    """Heights that hold the longest text of each head row when it is turned."""
    trials = max(len(str(point.number)) for point in front)
    memory = max(len(_cost(point)) for point in front)
    improvement = max(len(_quality(point)) for point in front)
    return tuple(8 + 8 * length for length in (trials, memory, improvement, max(map(len, names.values()))))


def _told(point: FrontPoint, baseline: FloatPoint) -> str:
    goals = baseline.goals
    told = f"trial {point.number} {point_name(point, baseline.network)}".rstrip()
    cost = f"{goals.cost.told(point.cost)}, {baseline.saved(point):.1f} % saved"
    others = "".join(f", {goal.title} {goal.told(point.values[goal.name])}" for goal in goals.others)
    return f"{told}: {cost}, {goals.quality.title} {_quality(point)}{others}"


def _cost(point: FrontPoint) -> str:
    goal = point.goals.cost
    return f"{point.cost / 1000:,.1f}" if goal.in_bytes else goal.text(point.cost)


def _quality(point: FrontPoint) -> str:
    return point.goals.quality.text(point.quality).removeprefix("+")


def _group(
    role: Role, members: Sequence[Slot], chosen: Sequence[Mapping[Slot, Format]], sizes: Mapping[Slot, int]
) -> str:
    rows = [f'<tr><th scope="rowgroup" colspan="{len(chosen) + 1}">{role}</th></tr>']
    for slot in members:
        cells = "".join(_cell(slot, formats.get(slot), len(chosen)) for formats in chosen)
        rows.append(f'<tr><th scope="row" title="{escape(str(slot))}">{escape(slot.layer)}</th>{cells}</tr>')
    weights = {slot: sizes.get(slot, 0) for slot in members}
    stored = sum(weights.values()) > 0
    stacks = "".join(
        f"<td>{_stack(_shares(formats, weights if stored else dict.fromkeys(members, 1)))}</td>" for formats in chosen
    )
    name = f"share of<br>{'parameters' if stored else 'slots'}"
    return "<tbody>" + "\n".join([*rows, f'<tr class="shares"><th scope="row">{name}</th>{stacks}</tr>']) + "</tbody>"


def _cell(slot: Slot, fmt: Format | None, columns: int) -> str:
    if fmt is None:
        return "<td></td>"
    short = short_text(fmt)
    text = short if columns <= WIDE_CELLS and len(short) <= 8 else str(fmt.width_bits)
    shown = escape(text) if columns <= NUMBER_CELLS else ""
    name = escape(f"{slot}: {fmt.brief}")
    return f'<td class="{cell_class(fmt)}" title="{name}" aria-label="{name}">{shown}</td>'


def _shares(formats: Mapping[Slot, Format], weights: Mapping[Slot, int]) -> Iterator[tuple[Format, float]]:
    """A format of each kind and width, by kind, then few bits first, with its share."""
    examples: dict[tuple[int, int], Format] = {}
    counts: Counter[tuple[int, int]] = Counter()
    for slot, weight in weights.items():
        if slot in formats:
            key = tuple(KIND_NAMES).index(formats[slot].kind), formats[slot].width_bits
            examples.setdefault(key, formats[slot])
            counts[key] += weight
    for key in sorted(counts):
        yield examples[key], counts[key] / counts.total()


def _stack(shares: Iterable[tuple[Format, float]]) -> str:
    parts, told = [], []
    for fmt, share in shares:
        parts.append(f'<i class="{cell_class(fmt)}" style="height:{100 * share:.2f}%"></i>')
        told.append(f"{KIND_NAMES[fmt.kind]}, {fmt.width_bits} bits: {100 * share:.1f} %")
    return f'<div class="stack" role="img" title="{escape("; ".join(told))}">{"".join(parts)}</div>'
