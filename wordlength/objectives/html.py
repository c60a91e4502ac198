"""How a notebook shows an analysis: a row per tensor, the worst first, with bars for the shares."""

from __future__ import annotations

from collections.abc import Iterable

from wordlength.objectives.findings import percent, ranked
from wordlength.objectives.report import LayerAnalysis, TrialReport
from wordlength.space.html import Cell, table_html, words

HEADS = (
    *("tensor", "format", "overflow", "underflow", "precision", "zero gradient", "largest"),
    *("integer bits", "SQNR, dB"),
)
_SHARES = ("overflow", "underflow", "precision", "zero_gradient")


def analyses_html(rows: Iterable[LayerAnalysis], title: str = "fixed-point analysis") -> str:
    """Of the same epoch, worst first."""
    ordered = ranked(rows)
    when = f", step {ordered[0].step}, epoch {ordered[0].epoch}" if ordered else ": none"
    first = "; worst first" if len(ordered) > 1 else ""
    return table_html(f"{title}{when}{first}", HEADS, map(_row, ordered))


def report_html(report: TrialReport) -> str:
    """The newest analysis of every tensor of a trial, below what the trial reached."""
    figures = ", ".join(f"{name} {value:,.6g}" for name, value in report.values.items()) or report.reason
    return analyses_html(report.last_analyses(), f"trial {report.number}, {report.state}: {figures}; last analysis")


def _row(row: LayerAnalysis) -> list[Cell]:
    shares = [Cell(percent(row.figure(name)), share=row.figure(name)) for name in _SHARES]
    numbers = f"{row.max_magnitude:.4g}", str(row.integer_bits_needed), f"{row.sqnr_db:.1f}"
    return [words(str(row.slot)), words(row.format.brief, hint=str(row.format)), *shares, *map(Cell, numbers)]
