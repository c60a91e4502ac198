"""A trial's fixed-point analysis as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from wordlength.objectives.findings import Finding, findings, percent
from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport
from wordlength.search.export.facts import ACCUMULATOR_HEADS, ACCUMULATOR_NOTE, accumulator_cells, with_error
from wordlength.search.pages.charts import Axis, line_svg, magnitudes_svg, share_svg
from wordlength.search.pages.parts import page_html, section, table_html
from wordlength.search.pages.style import STYLE
from wordlength.space import Binary, Candidate, Role, Slot

SHOWN_FINDINGS = 12
"""Sentences in sight; the others unfold."""
SHARES = {
    "overflow": "overflow",
    "underflow": "underflow",
    "precision": "precision",
    "zero_gradient": "zero gradient",
}
"""Figure → its name in the page."""

Rows = Sequence[LayerAnalysis]


def analysis_html(
    title: str,
    report: TrialReport,
    precision_limit: float,
    facts: Mapping[str, str],
    told: Sequence[Finding] | None = None,
    goals: Goals = DEFAULT_GOALS,
) -> str:
    """The page: objectives, findings, magnitudes against ranges, evolution, zero gradients, all figures, accumulators.

    `precision_limit`: the analysis' own, a share; `facts`: further name → text for the header, such as the study;
    `told`: the report's findings, if they are known already; `goals`: the study's.
    """
    parts = analysis_sections(report, precision_limit, told)
    body = [_header(title, report, facts, goals), *(section(name, inside) for name, inside in parts.items())]
    return page_html(title, STYLE, "\n".join(body))


def analysis_sections(
    report: TrialReport, precision_limit: float, told: Sequence[Finding] | None = None
) -> dict[str, str]:
    """Heading → HTML of each section of the analysis, for pages with STYLE; arguments as above."""
    if told is None:
        told = findings(report.last_analyses(), report.last_accumulators(), precision_limit)
    parts: dict[str, str] = {}
    if rows := report.last_analyses():
        anchors = {str(row.slot): f"t{number}" for number, row in enumerate(rows)}
        parts = {
            "Findings, worst first": _findings([f for f in told if f.figure != "accumulator"], anchors),
            "Magnitudes and the formats' ranges": _magnitudes(rows, anchors, precision_limit),
            "Evolution over epochs": _evolution(report.analyses, rows),
            "Zero gradients": _zero_gradients(rows),
            "All figures": _figures(rows, report.analyses),
        }
    if report.accumulators:
        parts["Accumulators"] = _accumulators(report.last_accumulators(), told)
    return parts


def _header(title: str, report: TrialReport, facts: Mapping[str, str], goals: Goals) -> str:
    tiles = {name: (text, True) for name, text in _objectives(report, goals).items()}
    tiles |= {f"{role}": (text, False) for role, text in _formats(report.candidate).items()}
    tiles |= {name: (text, False) for name, text in facts.items()}
    cells = (
        f'<div><dt>{escape(name)}</dt><dd class="{"big" if big else "plain"}">{escape(text)}</dd></div>'
        for name, (text, big) in tiles.items()
    )
    return f'<header><h1>{escape(title)}</h1>\n<dl class="tiles">{"".join(cells)}</dl></header>'


def _objectives(report: TrialReport, goals: Goals) -> dict[str, str]:
    found, quality = {}, goals.quality
    if report.quality is not None:
        found[quality.title] = with_error(quality, report.quality, report.standard_error)
    if report.baseline_difference is not None:
        difference = quality.difference_text(report.baseline_difference, report.baseline_difference_error)
        found["against float32, paired"] = difference
    for goal in (goals.cost, *goals.others):
        if goal.name in report.values and goal.name != "memory_bytes":
            found[goal.title] = goal.told(report.values[goal.name])
    found["memory of all parameters"] = f"{report.memory_bytes:,} bytes"
    if report.reason:
        found[str(report.state)] = report.reason
    return found


def _formats(candidate: Candidate) -> dict[Role, str]:
    """Role → its formats, the most frequent first."""
    found = {}
    for role in Role:
        counts = Counter(fmt.brief for slot, fmt in candidate.items() if slot.role is role)
        if counts:
            named = [f"{text}\u00a0×\u00a0{count}" for text, count in counts.most_common(4)]
            more = [f"{len(counts) - 4} more"] if len(counts) > 4 else []
            found[role] = ", ".join(named + more)
    return found


def _findings(told: Sequence[Finding], anchors: Mapping[str, str]) -> str:
    items = [f"<li>{_sentence(finding, anchors)}</li>" for finding in told]
    shown, hidden = "".join(items[:SHOWN_FINDINGS]), items[SHOWN_FINDINGS:]
    text = f"<ol>{shown}</ol>"
    if hidden:
        rest = f'<ol start="{SHOWN_FINDINGS + 1}">{"".join(hidden)}</ol>'
        text += f"\n<details><summary>{len(hidden)} more findings</summary>{rest}</details>"
    return text


def _sentence(finding: Finding, anchors: Mapping[str, str]) -> str:
    """The sentence, its tensor linked to the tensor's drawing."""
    who, colon, text = finding.sentence.partition(": ")
    if finding.place not in anchors:
        return escape(finding.sentence)
    return f'<a href="#{anchors[finding.place]}">{escape(who)}</a>{colon}{escape(text)}'


def _magnitudes(rows: Rows, anchors: Mapping[str, str], precision_limit: float) -> str:
    axis = Axis.over(rows)
    parts = [_key(precision_limit)]
    for role, members in _by_role(rows):
        parts.append(f"<h3>{role}</h3>")
        parts += [_magnitude_row(row, axis, anchors[str(row.slot)]) for row in members]
        parts.append(_ticks(axis))
    return "\n".join(parts)


def _key(precision_limit: float) -> str:
    def swatch(inside: str) -> str:
        return f'<svg viewBox="0 0 22 14" aria-hidden="true">{inside}</svg>'

    items = {
        '<rect class="band" width="22" height="14"/>': "range of the format, smallest to highest magnitude",
        '<rect class="b" y="2" width="22" height="12"/>': "values per octave (height: square root of their number)",
        '<rect class="o" y="2" width="22" height="12"/>': "values that overflow (right) or underflow (left)",
        '<path class="whisker" d="M0 7H22"/><rect class="box" x="6" y="3" width="10" height="8"/>': (
            "5, 25, 50, 75, 95 % of the non-zero magnitudes"
        ),
    }
    listed = "".join(f"<li>{swatch(inside)}{text}</li>" for inside, text in items.items())
    return (
        f"<p>The values that are about to be rounded, along log2|x|. Precision violations are values in range that "
        f'rounding moves by more than {100 * precision_limit:g} %.</p><ul class="key">{listed}</ul>'
    )


def _magnitude_row(row: LayerAnalysis, axis: Axis, anchor: str) -> str:
    counted = ("zero_gradient",) if isinstance(row.format, Binary) else ("overflow", "underflow", "precision")
    shares = " ".join(_share(row, name) for name in counted)
    return (
        f'<div class="row" id="{anchor}"><div class="name"><b>{escape(row.slot.layer)}</b> '
        f"<code>{escape(row.format.brief)}</code>"
        f'<div class="figures">{shares}</div></div>{magnitudes_svg(row, axis)}</div>'
    )


def _share(row: LayerAnalysis, figure: str) -> str:
    kind = "warn" if figure == "overflow" and row.overflow > 0 else "plain"
    return f'<span class="{kind}">{SHARES[figure]} {percent(row.figure(figure))}</span>'


def _ticks(axis: Axis) -> str:
    labels = "".join(
        f'<span style="left:{100 * (tick - axis.low) / axis.span:.2f}%">2<sup>{tick}</sup></span>'
        for tick in axis.ticks
        if axis.low < tick < axis.high
    )
    return f'<div class="row axis" aria-hidden="true"><div></div><div class="ticks">{labels}</div></div>'


def _evolution(analyses: Rows, rows: Rows) -> str:
    history: dict[Slot, list[LayerAnalysis]] = {}
    for row in analyses:
        history.setdefault(row.slot, []).append(row)
    ranges = {name: (0.0, max(row.figure(name) for row in analyses)) for name in SHARES} | {"sqnr_db": _span(analyses)}
    heads = [f"{SHARES[name]}<br><small>0 to {percent(ranges[name][1])}</small>" for name in SHARES]
    low, high = ranges["sqnr_db"]
    heads.append(f"SQNR in dB<br><small>{low:.1f} to {high:.1f}</small>")
    body = [
        (_name(row), [_line(history[row.slot], name, *ranges[name]) for name in ranges])
        for _, members in _by_role(rows)
        for row in members
    ]
    note = (
        "<p>Every epoch of step one (hollow dots: weights and biases quantized) and step two (filled: activations "
        "too). All drawings of a column have the same scale; the number is the last epoch's.</p>"
    )
    return note + table_html("lines", "evolution of the figures over epochs", heads, body)


def _span(rows: Rows) -> tuple[float, float]:
    finite = [row.sqnr_db for row in rows if math.isfinite(row.sqnr_db)] or [0.0]
    return min(finite), max(finite)


def _line(history: Rows, figure: str, low: float, high: float) -> str:
    values = [row.figure(figure) for row in history]
    show: Callable[[float], str] = _decibel if figure == "sqnr_db" else percent
    steps = ([show(row.figure(figure)) for row in history if row.step == step] for step in (1, 2))
    told = "; ".join(", ".join(numbers) for numbers in steps if numbers)
    text = f"{SHARES.get(figure, 'SQNR')} of {history[0].slot}: {told}"
    drawn = line_svg(values, [row.step for row in history], low, high, text)
    return f'{drawn}<span class="now">{show(values[-1])}</span>'


def _zero_gradients(rows: Rows) -> str:
    tables = []
    for role, members in _by_role(rows):
        body = [(escape(row.slot.layer), [_zero_gradient_bar(row), percent(row.zero_gradient)]) for row in members]
        tables.append(table_html("bars", f"{role}", ["elements without", "share"], body, first="layer"))
    note = "<p>Elements whose gradient was exactly zero on all analysed windows of the last epoch.</p>"
    return f'{note}<div class="columns">{"".join(tables)}</div>'


def _zero_gradient_bar(row: LayerAnalysis) -> str:
    return share_svg(row.zero_gradient, f"{row.slot}: {percent(row.zero_gradient)} of the elements got no gradient")


def _figures(rows: Rows, analyses: Rows) -> str:
    last = [row for _, members in _by_role(rows) for row in members]
    newest = {id(row) for row in rows}
    earlier = [row for row in analyses if id(row) not in newest]
    text = _figure_table("every figure after the last epoch", last)
    if earlier:
        table = _figure_table("every figure of the earlier epochs", earlier)
        text += f"<details><summary>{len(earlier)} rows of earlier epochs</summary>{table}</details>"
    return text


def _figure_table(caption: str, rows: Iterable[LayerAnalysis]) -> str:
    body = [(_name(row), [show(row) for show in _COLUMNS.values()]) for row in rows]
    return table_html("numbers", caption, _COLUMNS, body)


_COLUMNS: dict[str, Callable[[LayerAnalysis], str]] = {
    "format": lambda row: f"<code>{escape(row.format.brief)}</code>",
    "step,<br>epoch": lambda row: f"{row.step}, {row.epoch}",
    "values": lambda row: f"{row.count:,}",
    "overflow": lambda row: percent(row.overflow),
    "underflow": lambda row: percent(row.underflow),
    "precision": lambda row: percent(row.precision),
    "zero<br>gradient": lambda row: percent(row.zero_gradient),
    "largest": lambda row: f"{row.max_magnitude:.4g}",
    "integer<br>bits": lambda row: str(row.integer_bits_needed),
    "minimum": lambda row: f"{row.minimum:.3g}",
    "maximum": lambda row: f"{row.maximum:.3g}",
    "mean": lambda row: f"{row.mean:.3g}",
    "std": lambda row: f"{row.std:.3g}",
    "SQNR<br>in dB": lambda row: _decibel(row.sqnr_db),
}
"""Head → cell, as HTML, of the table of all figures."""


def _accumulators(rows: Sequence[Accumulator], told: Iterable[Finding]) -> str:
    first, *heads = (head.replace(", ", ",<br>") for head in ACCUMULATOR_HEADS)
    body = [(escape(layer), [escape(cell) for cell in cells]) for layer, *cells in map(accumulator_cells, rows)]
    sentences = "".join(f"<li>{escape(f.sentence)}</li>" for f in told if f.figure == "accumulator")
    words = f"<details><summary>In words</summary><ul>{sentences}</ul></details>"
    listed = table_html("numbers", "bits of every layer's sums", heads, body, first)
    return f"<p>{escape(ACCUMULATOR_NOTE)}</p>{listed}{words}"


def _by_role(rows: Rows) -> Iterable[tuple[Role, Rows]]:
    for role in Role:
        members = [row for row in rows if row.slot.role is role]
        if members:
            yield role, members


def _name(row: LayerAnalysis) -> str:
    return escape(str(row.slot))


def _decibel(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ("∞" if value > 0 else "−∞")
