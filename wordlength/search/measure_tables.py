"""Proposals, sensitivities and the fidelity of subsets as tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.table import Table

from wordlength.objectives.proposals import Proposal
from wordlength.search.table_style import NARROW
from wordlength.space import Fixed, Format, PowerOfTwo, Role

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.fidelity import RankFidelity
    from wordlength.objectives.goals import Goal
    from wordlength.objectives.reach import SlotReach
    from wordlength.objectives.sensitivity import Effect
    from wordlength.search.front import FloatPoint
    from wordlength.search.measures import FractionRow, Sensitivities, SlotProposals
    from wordlength.search.retrain import HeldOut, RetrainedTrial

NAMES = {"fixed": "fixed point", "po2": "power of two", "vbs": "virtual bit shift"}
CLOSE_RANKS = 0.9
"""Spearman correlation from which ranks count as the same, unless two trainings on all windows agree less."""
CLEAR_MISS = 0.1
"""Integer bits by which the largest value must lie higher on all windows to be worth a word."""


def position(fmt: Format) -> int | tuple[int, ...]:
    """Integer bits, or the largest exponent."""
    match fmt:
        case Fixed():
            return fmt.integer_bits
        case PowerOfTwo():
            return fmt.max_exponent
    raise ValueError(f"a format must have a position, but {fmt} has none")


def proposal_tables(rows: Sequence[SlotProposals], kind: str, overflow_share: float, width: int) -> Iterator[Table]:
    """Per role the position of least error per width, in brackets that of least overflow if another.

    As many widths to a table as fit into `width` characters.
    """
    what = "largest exponent" if kind == "po2" else "integer bits"

    def cell(row: Proposal) -> str:
        error, overflow = position(row.least_error), position(row.least_overflow)
        return str(error) if error == overflow else f"{error} ({overflow})"

    caption = (
        f"of least error; in brackets, if another, the least that leaves at most {100 * overflow_share:g} % outside"
    )
    yield from _per_role(rows, f"as {NAMES[kind]}: {what}", caption, cell, width)


def sqnr_tables(rows: Sequence[SlotProposals], kind: str, width: int) -> Iterator[Table]:
    """The same with the signal-to-quantization-noise ratio at the position of least error."""
    caption = "signal-to-quantization-noise ratio at the position of least error"
    yield from _per_role(rows, f"as {NAMES[kind]}: SQNR in dB", caption, lambda row: f"{row.sqnr_db:.1f}", width)


def _per_role(
    rows: Sequence[SlotProposals], title: str, caption: str, cell: Callable[[Proposal], str], width: int
) -> Iterator[Table]:
    for role in Role:
        members = [row for row in rows if row.slot.role is role]
        cells = [[cell(proposal) for proposal in row.proposals] for row in members]
        if not members:
            continue
        # Every column has three characters of frame; the first three tell layer, largest value and bits for all.
        beside = max(len(row.slot.layer) for row in members) + 3 + (9 + 3) + (7 + 3) + 1
        fit = max(1, (width - beside) // (max(len(text) for line in cells for text in line) + 3))
        for first in range(0, len(cells[0]), fit):
            table = Table(title=f"{role} {title}", caption=caption)
            table.add_column("layer", no_wrap=True)
            widths = [f"{proposal.bits}\nbit" for proposal in members[0].proposals]
            for name in ("largest", "bits\nfor all", *widths[first : first + fit]):
                table.add_column(name, justify="right", no_wrap=True)
            for row, line in zip(members, cells, strict=True):
                held = (row.slot.layer, f"{row.largest:.4g}", str(row.integer_bits))
                table.add_row(*held, *line[first : first + fit])
            yield table


def sensitivity_table(found: Sensitivities, kind: str, baseline: Baseline) -> Table:
    """Slots by the loss that they cause alone, the largest first."""
    table = Table(
        title=f"{sensitivity_title(found, kind)}, {baseline.goal.text(baseline.quality)} in float32; nothing trained",
        caption="≈ 0: within two paired standard errors, not told apart from 0",
    )
    table.add_column("tensor", no_wrap=True)
    table.add_column("format", no_wrap=True)
    for name in ("only this quantized,\nagainst float32", "all but this,\nagainst all quantized"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in sorted(found.slots, key=lambda row: found.goal.ahead(row.only.difference)):
        table.add_row(str(row.slot), row.format.brief, _effect(row.only), _effect(row.all_but))
    return table


def sensitivity_title(found: Sensitivities, kind: str) -> str:
    """`4-bit power of two: STOI improvement +0.0123 with all quantized`."""
    reached = f"{found.goal.title} {found.goal.text(found.all_quantized)}"
    return f"{found.bits}-bit {NAMES[kind]}: {reached} with all quantized"


def _effect(effect: Effect) -> str:
    return f"{effect.difference:+.5f} ± {effect.standard_error:.5f} {'   ' if effect.clear else '≈ 0'}"


def rank_table(rows: Sequence[FractionRow], goal: Goal) -> Table:
    """Size, rank correlations, differences and time of every fraction; last all windows, which they refer to."""
    table = Table(
        title=f"{goal.title} after training on a subset, against training on all windows",
        caption=f"{_OWN}; swapped: of the pairs that all windows tell apart in both trainings",
    )
    table.add_column("fraction", no_wrap=True)
    heads = (
        "mix-\ntures",
        "windows",
        "Spear-\nman",
        "Kendall",
        "mean\n|diff.|",
        "paired\nerror",
        "swapped",
        "s per\ntrial",
    )
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        ranks = row.ranks
        figures = (
            f"{ranks.spearman:.3f}",
            f"{ranks.kendall:.3f}",
            f"{ranks.mean_difference:.4f}",
            f"{ranks.paired_error:.4f}",
            f"{ranks.swapped_pairs} of {ranks.clear_pairs}",
        )
        shown = figures if row is not rows[-1] else [""] * len(figures)
        table.add_row(_head(row), str(row.mixtures), f"{row.windows:,}", *shown, f"{row.outcomes.seconds:.1f}")
    return table


def outcome_table(rows: Sequence[FractionRow], goal: Goal) -> Table:
    """First quality of every candidate after training on each fraction."""
    caption = f"weights, activations; biases fixed with 16 bits. {_OWN}"
    table = Table(title=f"{goal.title} after training on", caption=caption)
    table.add_column("candidate", no_wrap=True)
    for row in rows:
        table.add_column(_head(row), justify="right", no_wrap=True)
    for label in rows[-1].outcomes.reports:
        reports = [row.outcomes.reports.get(label) for row in rows]
        cells = ["diverged" if report is None else goal.text(report.values[goal.name]) for report in reports]
        table.add_row(label, *cells)
    return table


def reach_tables(rows: Sequence[FractionRow]) -> Iterator[Table]:
    """The float model's activations: largest magnitude with the integer bits it needs, then overflow per format."""
    title = "largest |activation| of the float model (integer bits for all)"
    yield _reach_table(title, rows, lambda reach: f"{reach.largest:.4g} ({reach.integer_bits})")
    for label in rows[-1].reach[0].overflow:
        yield _reach_table(f"overflow of the float model's activations: {label}", rows, partial(_overflow, label=label))


def _overflow(reach: SlotReach, label: str) -> str:
    return f"{reach.overflow[label]:.3%}"


def _reach_table(title: str, rows: Sequence[FractionRow], cell: Callable[[SlotReach], str]) -> Table:
    table = Table(title=title, caption=_OWN)
    table.add_column("layer", no_wrap=True)
    for row in rows:
        table.add_column(_head(row), justify="right", no_wrap=True)
    for number, slot in enumerate(reach.slot for reach in rows[0].reach):
        table.add_row(slot.layer, *(cell(row.reach[number]) for row in rows))
    return table


_OWN = "*: this study's own"


def _head(row: FractionRow) -> str:
    return f"{row.name} *" if row.is_own else row.name


def fidelity_sentence(row: FractionRow, again: FractionRow, full: FractionRow, goal: Goal) -> str:
    """One fraction in plain words: whether it is honest; ranks, level, ranges, overflow, time."""
    parts = (
        _rank_words(row.ranks, again.ranks),
        _level_words(row.ranks, again.ranks, goal),
        *_reach_words(row.reach, full.reach),
        f"a trial takes {row.outcomes.seconds:.1f} s instead of {full.outcomes.seconds:.1f} s",
    )
    own = " (this study's)" if row.is_own else ""
    return f"{row.name}{own}: {_verdict(row, again, full)}: {'; '.join(parts)}."


def _verdict(row: FractionRow, again: FractionRow, full: FractionRow) -> str:
    """Ranks are honest if no pair told apart is swapped and the others agree as well as all windows with themselves."""
    ranges = not _short(row.reach, full.reach)
    if not row.ranks.clear_pairs:
        return f"{'' if ranges else 'not '}honest about ranges, ranks cannot be told"
    close = row.ranks.spearman >= min(CLOSE_RANKS, again.ranks.spearman)
    match close and not row.ranks.swapped_pairs, ranges:
        case True, True:
            return "honest"
        case False, False:
            return "not honest"
        case True, False:
            return "honest about ranks, not about ranges"
    return "honest about ranges, not about ranks"


def _short(subset: Sequence[SlotReach], full: Sequence[SlotReach]) -> list[str]:
    """Layers whose activations need more integer bits on all windows than the subset shows."""
    return [m.slot.layer for m, e in zip(subset, full, strict=True) if m.integer_bits < e.integer_bits]


def _rank_words(ranks: RankFidelity, again: RankFidelity) -> str:
    figures = f"Spearman {ranks.spearman:.2f}, all windows trained twice {again.spearman:.2f}"
    if not ranks.clear_pairs:
        return f"all windows tell no two candidates apart in both trainings ({figures})"
    if ranks.swapped_pairs:
        return f"swaps {ranks.swapped_pairs} of the {ranks.clear_pairs} pairs that all windows tell apart ({figures})"
    return f"swaps none of the {ranks.clear_pairs} pairs that all windows tell apart ({figures})"


def _level_words(ranks: RankFidelity, again: RankFidelity, goal: Goal) -> str:
    if ranks.mean_difference == 0:
        return f"gives the same {goal.title}"
    factor = f"{ranks.mean_difference / ranks.paired_error:.1f} paired standard errors; " if ranks.paired_error else ""
    return (
        f"its {goal.title} is {ranks.mean_difference:.4f} away on average "
        f"({factor}all windows trained twice {again.mean_difference:.4f})"
    )


def _reach_words(subset: Sequence[SlotReach], full: Sequence[SlotReach]) -> Iterator[str]:
    missed = [(mine.missed_bits(every), mine, every) for mine, every in zip(subset, full, strict=True)]
    worst, mine, every = max(missed, key=lambda item: item[0])
    if worst < CLEAR_MISS:
        yield "sees the largest activations of every layer"
    else:
        short = _short(subset, full)
        bits = f", and would give {_listed(short)} too few" if short else ", within the same whole number"
        yield (
            f"misses the largest activation of {mine.slot.layer} by {worst:.1f} integer bits "
            f"({mine.largest:.3g} of {every.largest:.3g}){bits}"
        )
    shares = [
        (abs(m.overflow[label] - e.overflow[label]), label, m, e)
        for m, e in zip(subset, full, strict=True)
        for label in e.overflow
    ]
    difference, label, m, e = max(shares, key=lambda item: item[0])
    if difference:
        yield (
            f"overflow is off by at most {100 * difference:.2f} percentage points "
            f"({m.slot.layer}, {label}: {m.overflow[label]:.2%} instead of {e.overflow[label]:.2%})"
        )


def _listed(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{', '.join(layers[:-1])} and {layers[-1]}"


def retrained_table(rows: Sequence[RetrainedTrial], base: FloatPoint) -> Table:
    """Every retrained trial against float32 on the same mixtures; fits 80 columns.

    `base`: the study's float baseline, of which each trial kept something on the validation mixtures. Where it has
    nothing to keep, or less is better, qualities stand in place of shares.
    """
    caption = _retrained_caption(rows)
    table = Table(title="retrained on all training data", caption=caption, caption_justify="left", **NARROW)
    goal, cost = base.goals.quality, base.goals.cost
    keeps = goal.kept(base.quality, base.quality) is not None
    heads = (
        "trial",
        cost.unit or cost.title,
        "saved",
        f"{'kept ' if keeps else ''}in\nthe trial",
        "retrained,\nvalidation",
    )
    for name in (*heads, "retrained,\ntest", "test, to\nfloat32"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        point = row.point
        share = goal.kept(point.quality, base.quality)
        before = goal.text(point.quality) if share is None else f"{share:.1%}"
        size = (cost.text(point.cost), f"{base.saved(point):.1f}%", before)
        if row.validation is None or row.test is None:
            figures = ("diverged", "", "")
        else:
            difference, error = row.test.difference
            figures = (_kept(row.validation), _kept(row.test), row.test.goal.difference_text(difference, error))
        table.add_row(str(point.number), *size, *figures)
    return table


def _retrained_caption(rows: Sequence[RetrainedTrial]) -> str:
    """What float32 reaches, and what ± means; empty if nothing was measured."""
    for row in rows:
        if row.validation is not None and row.test is not None:
            parts = {"validation": row.validation, "test": row.test}
            reached = ", ".join(
                f"{part.goal.text(part.float_quality)} on {len(part.gains)} {name} mixtures"
                for name, part in parts.items()
            )
            return f"float32: {row.test.goal.title} {reached}; ± is the paired standard error"
    return ""


def _kept(part: HeldOut) -> str:
    """`98.2 ± 1.1%` of float32's own; the quality itself where there is no such share."""
    if part.kept is None:
        return part.goal.text(part.quality)
    share, error = part.kept
    return f"{100 * share:.1f} ± {100 * error:.1f}%"
