"""report.md: what was exported, readable without any tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wordlength.objectives.findings import findings, ranked
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport
from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.export.config import BundleConfig
from wordlength.search.export.facts import (
    ACCUMULATOR_HEADS,
    ACCUMULATOR_NOTE,
    LAYER_HEADS,
    PROOF_HEADS,
    PROOF_NOTE,
    LayerRow,
    accumulator_cells,
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
from wordlength.search.trials import StudyView
from wordlength.space import SlotInfo


def report_markdown(
    view: StudyView,
    point: FrontPoint,
    slots: tuple[SlotInfo, ...],
    report: TrialReport | None,
    config: BundleConfig,
    precision_limit: float = AnalysisSettings.precision_limit,
) -> str:
    """The exported trial: objectives, formats and bytes per layer, analysis, arithmetic, neighbours on the front.

    `precision_limit`: the one that the study's analysis used.
    """
    facts = head_facts(view, point, config)
    lines = [f"# {report_title(view, point)}", ""]
    lines += [f"- {fact.name}: {fact.text}" + (f" ({fact.note})" if fact.note else "") for fact in facts]
    lines += ["", "## Formats and bytes", "", *_layer_table(layer_rows(slots, point.candidate))]
    if config.retraining is not None:
        lines += ["", "## Test mixtures", "", held_out_text(config), ""]
        lines += _table("lr", held_out_heads(config), held_out_cells(config.retraining.test, config.goal))
    if report is not None and report.analyses:
        lines += _analysis_section(report, config, precision_limit)
    lines += _arithmetic_section(config)
    lines += _verifying_section(config)
    rows = (front_cells(member, view) for member in view.front)
    own = str(point.number)
    marked = ((f"**{number}**" if number == own else number, *cells) for number, *cells in rows)
    lines += [
        "",
        "## Front",
        "",
        *_told(front_text(point, config)),
        *_table("r" * len(front_heads(view)), front_heads(view), marked),
    ]
    return "\n".join(lines) + "\n"


def _told(text: str) -> list[str]:
    """A paragraph; nothing without text."""
    return [text, ""] if text else []


def _table(alignment: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """`alignment`: l or r of every column."""
    rules = ("---" if side == "l" else "---:" for side in alignment)
    return [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]


def _layer_table(rows: Sequence[LayerRow]) -> list[str]:
    cells = (
        (
            row.layer,
            f"{row.parameters:,}",
            *(f"`{fmt}`" if fmt else "" for fmt in row.formats),
            f"{row.memory_bytes:,}",
            f"{row.float_bytes:,}",
        )
        for row in (*rows, total_row(rows))
    )
    return _table("lrlllrr", LAYER_HEADS, cells)


def _arithmetic_section(config: BundleConfig) -> list[str]:
    """Integers, C and the float model: how far they lie apart."""
    text, points = arithmetic_texts(config)
    lines = ["", "## Integer arithmetic", "", text]
    if config.arithmetic is None:
        return lines
    lines += ["", *(f"- {told}" for told in points), "", PROOF_NOTE, ""]
    return lines + _table("lrrrr", PROOF_HEADS, map(proof_cells, config.arithmetic.layers))


def _verifying_section(config: BundleConfig) -> list[str]:
    """How to load the model and check the bundle."""
    lines = ["", "## Loading and verifying"]
    for language, code in loading_code(config).items():
        lines += ["", f"```{language}", code, "```"]
    for head, told in loading_remarks(config).items():
        lines += ["", f"{head}:", "", *(f"- {text}" for text in told)]
    return lines


def _analysis_section(report: TrialReport, config: BundleConfig, precision_limit: float) -> list[str]:
    rows, sums = report.last_analyses(), report.last_accumulators()
    lines = ["", "## Fixed-point analysis after the last epoch", "", *_told(analysis_text(config)), "Worst first:", ""]
    lines += [f"- {finding.sentence}" for finding in findings(rows, sums, precision_limit)]
    lines += ["", *_analysis_table(ranked(rows))]
    return lines + (["", "### Accumulators", "", ACCUMULATOR_NOTE, "", *_accumulator_table(sums)] if sums else [])


def _analysis_table(rows: Iterable[LayerAnalysis]) -> list[str]:
    heads = ("tensor", "format", "overflow", "underflow", "precision", "zero gradient", "largest", "SQNR in dB")
    cells = (
        (
            str(row.slot),
            f"`{row.format.brief}`",
            *(f"{share:.2%}" for share in (row.overflow, row.underflow, row.precision, row.zero_gradient)),
            f"{row.max_magnitude:.4g}",
            f"{row.sqnr_db:.1f}",
        )
        for row in rows
    )
    return _table("llrrrrrr", heads, cells)


def _accumulator_table(rows: Iterable[Accumulator]) -> list[str]:
    cells = ((f"`{layer}`", *others) for layer, *others in map(accumulator_cells, rows))
    return _table("llrrrrr", ACCUMULATOR_HEADS, cells)
