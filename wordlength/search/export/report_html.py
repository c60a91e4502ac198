"""report.html: the report as one page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from wordlength.objectives.report import TrialReport
from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.analysis_html import analysis_sections, page_html, section, table_html
from wordlength.search.analysis_style import STYLE
from wordlength.search.export.config import BundleConfig
from wordlength.search.export.facts import (
    FRONT_HEADS,
    HELD_OUT_HEADS,
    LAYER_HEADS,
    PROOF_HEADS,
    PROOF_NOTE,
    Fact,
    LayerRow,
    analysis_text,
    arithmetic_texts,
    front_cells,
    front_text,
    head_facts,
    held_out_cells,
    held_out_text,
    layer_rows,
    loading_code,
    loading_remarks,
    proof_cells,
    report_title,
    total_row,
)
from wordlength.search.front import FrontPoint
from wordlength.search.plots.cells import CELL_STYLE, KEY_STYLE, bits_style, cell_class, key_html
from wordlength.search.plots.picture import front_svg
from wordlength.search.plots.scale import view_of
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Role, Slot, SlotInfo

SHOWN_MEMBERS = 20
"""Up to so many members of the front have their table in sight; more unfold."""

_STYLE = """
.tiles small{display:block}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:16px 0 0;padding:0}
.layers td:nth-child(n+3):nth-child(-n+5),.layers th:nth-child(n+3):nth-child(-n+5){text-align:left}
.layers tbody tr:last-child>*{font-weight:600;border-bottom:0}
.layers .c{display:inline-block;min-width:6.4em;padding:0 9px;line-height:20px;border-radius:2px;text-align:center;
font-size:.8rem;font-weight:400}
.ends td,.ends thead th:nth-child(2){text-align:right}
.layers caption,.ends caption{position:absolute;clip-path:inset(50%)}
figure{margin:12px 0}
figure svg{display:block;width:100%}
figure .wide{max-width:900px}
figure .narrow{display:none;max-width:460px}
figcaption{color:var(--soft);font-size:.87rem}
pre{overflow-x:auto;margin:8px 0;padding:10px 12px;border-radius:6px;background:var(--tint);line-height:1.4}
pre code{white-space:pre}
.here{color:var(--warn-text);font-weight:600}
@media(max-width:720px){figure .wide{display:none}figure .narrow{display:block}nav ul{gap:8px 16px}}
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
        note = analysis_text(config) or "Of the exported weights, as their training ended."
        parts["Fixed-point analysis after the last epoch"] = f"<p>{escape(note)}</p>"
        parts |= analysis_sections(report, precision_limit)
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
    rows = layer_rows(slots, candidate)
    formats = dict(candidate.pairs)
    body = (
        (
            escape(row.layer),
            [f"{row.parameters:,}", *_cells(row, formats), f"{row.memory_bytes:,}", f"{row.float_bytes:,}"],
        )
        for row in (*rows, total_row(rows))
    )
    text = key_html(formats.values())
    text += table_html("layers", "formats and bytes of every layer", LAYER_HEADS[1:], body, first=LAYER_HEADS[0])
    named = zip(formats, formats.values())
    long = [f"`{slot}`: `{fmt}`" for slot, fmt in named if str(fmt) != fmt.brief]
    if long:
        text += f"<details><summary>Formats that are shortened here</summary>{_list(long)}</details>"
    return text
