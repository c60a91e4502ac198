"""What a fixed-point analysis means, for the terminal: tensors with the same trouble share a line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from wordlength.objectives.findings import Finding, findings, percent
from wordlength.objectives.report import TrialReport

HEADS = {
    "overflow": "overflow",
    "underflow": "underflow, of the non-zero values",
    "precision": "precision: moved by more than {limit:g} %",
    "zero_gradient": "no gradient, of the elements",
}
SHOWN = 8
"""Tensors that a line names; the table has all."""


def findings_text(report: TrialReport, precision_limit: float, width: int) -> str:
    """What is wrong, the worst figure first, and in each the worst tensor first; then the widest accumulator.

    Lines have at most `width` characters. Empty without an analysis.
    """
    told = findings(report.last_analyses(), report.last_accumulators(), precision_limit)
    lines = [f"- {one.sentence}" for one in told if one.figure == "none"]
    for figure in dict.fromkeys(one.figure for one in told if one.figure in HEADS):
        lines.append(HEADS[figure].format(limit=100 * precision_limit))
        lines += _grouped(one for one in told if one.figure == figure)
    sums = report.last_accumulators()
    if sums:
        widest = max(sums, key=lambda row: (row.bits_worst or 0, row.integer_bits_worst))
        (sentence,) = findings((), (widest,), precision_limit)
        lines.append(f"widest accumulator: {sentence.sentence}")
    return "\n".join(part for line in lines for part in _wrapped(line, width))


def _grouped(found: Iterable[Finding]) -> Iterator[str]:
    """A line for each detail: the tensors that it is told of, with their shares."""
    groups: dict[str, list[str]] = {}
    for one in found:
        groups.setdefault(one.detail, []).append(f"{one.place} {percent(one.share)}")
    for detail, tensors in groups.items():
        more = f", and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else ""
        yield f"- {', '.join(tensors[:SHOWN])}{more}{detail and f': {detail}'}"


def _wrapped(line: str, width: int) -> list[str]:
    """With blanks that belong together kept so."""
    kept = line.replace(" %", "\u00a0%")
    indent = "  " if line.startswith("-") else ""
    parts = textwrap.wrap(
        kept, max(width, 40), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [part.replace("\u00a0", " ") for part in parts]
