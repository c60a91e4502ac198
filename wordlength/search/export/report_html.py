"""report.html: the report as one page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from wordlength.objectives.report import TrialReport
from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.export.config import BundleConfig
from wordlength.search.export.facts import (
    LAYER_HEADS,
    PROOF_HEADS,
    PROOF_NOTE,
    Fact,
    LayerRow,
    analysis_text,
    arithmetic_texts,
    front_cells,
    front_heads,
    front_text,
    head_facts,
    held_out_cells,
    held_out_heads,
    held_out_text,
    layer_rows,
    loading_code,
    loading_remarks,
    proof_cells,
    report_title,
    total_row,
)
from wordlength.search.front import FrontPoint
from wordlength.search.pages.analysis import analysis_sections
from wordlength.search.pages.parts import page_html, section, table_html
from wordlength.search.pages.style import STYLE
from wordlength.search.plots.cells import CELL_STYLE, KEY_STYLE, bits_style, cell_class, key_html
from wordlength.search.plots.picture import front_svg
from wordlength.search.plots.scale import drawing_of
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Format, Role, Slot, SlotInfo

SHOWN_MEMBERS = 20
"""Up to so many members of the front have their table in sight; more unfold."""

_STYLE = """
.tiles{grid-template-columns:repeat(auto-fit,minmax(260px,1fr))}
.tiles small{display:block}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:16px 0 0;padding:0}
.layers td:nth-child(n+3):nth-child(-n+5),.layers th:nth-child(n+3):nth-child(-n+5){text-align:left}
.layers tbody tr:last-child>*{font-weight:600;border-bottom:0}
.layers .c{display:inline-block;min-width:6.4em;padding:0 9px;line-height:20px;border-radius:2px;text-align:center;
font-size:.8rem;font-weight:400}
.ends th,.ends td{padding-right:20px}
.layers caption,.ends caption{position:absolute;clip-path:inset(50%)}
figure{margin:12px 0}
figure svg{display:block;width:100%}
figure .wide{max-width:900px}
figure .narrow{display:none;max-width:460px}
figcaption{color:var(--soft);font-size:.87rem}
pre{overflow-x:auto;margin:8px 0;padding:10px 12px;border-radius:6px;background:var(--tint);line-height:1.4}
pre code{white-space:pre}
#loading-and-verifying h3{text-transform:none}
.here{color:var(--warn-text);font-weight:600}
@media(max-width:720px){figure .wide{display:none}figure .narrow{display:block}nav ul{gap:4px 16px}
.layers thead th,.ends thead th{white-space:normal}.ends th,.ends td{padding-right:12px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}.tiles div{padding:8px 10px}
.layers .c{min-width:5.6em;padding:0 4px}.tiles .big{font-size:.94rem}}
@media print{nav{display:none}}
"""


def report_html(
    view: StudyView,
    point: FrontPoint,
    slots: tuple[SlotInfo, ...],
    report: TrialReport | None,
    config: BundleConfig,
    precision_limit: float = AnalysisSettings.precision_limit,
) -> str:
    """What report.md says, with the front as a picture and the analysis' drawings; arguments as `report_markdown`."""
    title = report_title(view, point)
    parts = {
        "Formats and bytes": _formats(slots, point.candidate),
        "Front": _front(view, point, config),
        "Test mixtures": _held_out(config),
        "Integer arithmetic": _arithmetic(config),
        "Loading and verifying": _loading(config),
    }
    if report is not None and report.analyses:
        (_, findings), *others = analysis_sections(report, precision_limit).items()
        text = f"{_paragraph(analysis_text(config))}<p>Worst first:</p>{findings}"
        parts |= {"Fixed-point analysis after the last epoch": text, **dict(others)}
    shown = {name: inside for name, inside in parts.items() if inside}
    links = "".join(f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in shown)
    body = [
        f'<header><h1>{escape(title)}</h1>\n<dl class="tiles">{_tiles(head_facts(view, point, config))}</dl></header>',
        f'<nav aria-label="contents"><ul>{links}</ul></nav>',
        *(section(name, inside, _anchor(name)) for name, inside in shown.items()),
    ]
    widths = bits_style(fmt.width_bits for _, fmt in point.candidate.pairs)
    return page_html(title, f"{STYLE}{CELL_STYLE}{KEY_STYLE}{_STYLE}{widths}", "\n".join(body))


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _prose(text: str) -> str:
    """A sentence, its `code` marked as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _paragraph(text: str) -> str:
    return f"<p>{_prose(text)}</p>" if text else ""


def _list(texts: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_prose(text)}</li>' for text in texts)}</ul>"


def _tiles(facts: Iterable[Fact]) -> str:
    return "".join(
        f'<div><dt>{escape(fact.name)}</dt><dd><span class="big">{escape(fact.text)}</span>'
        + (f"<small>{escape(fact.note)}</small>" if fact.note else "")
        + "</dd></div>"
        for fact in facts
    )


def _plain_table(kind: str, caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text."""
    body = ((escape(first), map(escape, cells)) for first, *cells in rows)
    return table_html(kind, caption, map(escape, heads[1:]), body, first=escape(heads[0]))


def _formats(slots: Iterable[SlotInfo], candidate: Candidate) -> str:
    rows, formats = layer_rows(slots, candidate), dict(candidate.pairs)
    body = (
        (
            escape(row.layer),
            [f"{row.parameters:,}", *_cells(row, formats), f"{row.memory_bytes:,}", f"{row.float_bytes:,}"],
        )
        for row in (*rows, total_row(rows))
    )
    listed = table_html("layers", "formats and bytes of every layer", LAYER_HEADS[1:], body, first=LAYER_HEADS[0])
    long = [f"`{slot}`: `{fmt}`" for slot, fmt in formats.items() if str(fmt) != fmt.brief]
    whole = f"<details><summary>{len(long)} formats in full</summary>{_list(long)}</details>" if long else ""
    return key_html(formats.values()) + listed + whole


def _cells(row: LayerRow, formats: Mapping[Slot, Format]) -> Iterable[str]:
    for role, brief in zip(Role, row.briefs, strict=True):
        fmt = formats.get(Slot(row.layer, role))
        yield f'<span class="{cell_class(fmt)}">{escape(brief)}</span>' if fmt else escape(brief)


def _front(view: StudyView, point: FrontPoint, config: BundleConfig) -> str:
    drawn = drawing_of(view)
    goals = view.goals
    told = f"trial {point.number}: {goals.quality.title} {goals.quality.text(point.quality)}, "
    told += f"{goals.cost.told(point.cost)}, {view.baseline.saved(point):.1f} % saved"
    text = f"{drawn.title}, {goals.quality.title} against {goals.cost.title}; {told}"
    wide, narrow = (front_svg(drawn, point, text, narrow=way) for way in (False, True))
    figure = (
        f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
        f"<figcaption>{escape(f'Dotted lines lead to this one, {told}. {drawn.ended}')}</figcaption></figure>"
    )
    rows = (front_cells(member, view) for member in view.front)
    body = ((_member(number, number == str(point.number)), cells) for number, *cells in rows)
    listed = table_html("ends", "the Pareto front", front_heads(view)[1:], body, first="trial")
    if len(view.front) > SHOWN_MEMBERS:
        listed = f"<details><summary>All {len(view.front)} points</summary>{listed}</details>"
    return _paragraph(front_text(point, config)) + figure + listed


def _member(number: str, own: bool) -> str:
    return f'<span class="here">{number} (this one)</span>' if own else number


def _held_out(config: BundleConfig) -> str:
    if config.retraining is None:
        return ""
    rows = held_out_cells(config.retraining.test, config.goal)
    return _paragraph(held_out_text(config)) + _plain_table("ends", "test mixtures", held_out_heads(config), rows)


def _arithmetic(config: BundleConfig) -> str:
    text, points = arithmetic_texts(config)
    if config.arithmetic is None:
        return _paragraph(text)
    rows = map(proof_cells, config.arithmetic.layers)
    table = _plain_table("ends", "integers against float32, by layer", PROOF_HEADS, rows)
    return f"{_paragraph(text)}{_list(points)}{_paragraph(PROOF_NOTE)}{table}"


def _loading(config: BundleConfig) -> str:
    blocks = (
        f'<pre tabindex="0" role="region" aria-label="{language}"><code>{escape(code)}</code></pre>'
        for language, code in loading_code(config).items()
    )
    remarks = (f"<h3>{escape(head)}</h3>{_list(told)}" for head, told in loading_remarks(config).items())
    return "".join([*blocks, *remarks])
