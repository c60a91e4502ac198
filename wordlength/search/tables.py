"""Studies, candidates and analyses as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from wordlength.objectives.findings import ranked
from wordlength.objectives.goals import Goal, Goals
from wordlength.objectives.report import TrialReport
from wordlength.search.export.facts import accumulator_cells, layer_rows, with_error
from wordlength.search.front import FrontPoint, indistinct, saved_percent
from wordlength.search.plots.paper import PAPER, paper_mark, point_name
from wordlength.search.plots.scale import marked
from wordlength.search.table_style import NARROW
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Role, SlotInfo

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline
    from wordlength.search.rungs import RungCounts


def front_tables(view: StudyView, width: int) -> Iterator[Table | str]:
    """The front, cheapest first, then its formats: a row per slot, a column per trial, as wide as fits."""
    table = Table(title=f"Pareto front of {view.name!r}, {view.finished} of {view.wanted} trials finished", **NARROW)
    goals = view.goals
    cost = "bytes" if goals.cost.name == "memory_bytes" else goals.cost.title
    keeps = _kept(view.baseline.quality, view)  # Else the column would be empty.
    heads = ("trial", goals.quality.title, "to float32", *(("kept",) if keeps else ()), cost, "saved")
    for name in (*heads, *(goal.title for goal in goals.others)):
        # With further objectives there is no room for long heads.
        head = name.replace(" ", "\n") if goals.others else name
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")  # The one that may wrap.
    alike = indistinct(view.front)
    marks = {point.number: mark for point, mark in marked(view.front)}
    for point in view.front:
        same = f"≈ {' '.join(map(str, alike[point.number]))}" if point.number in alike else ""
        notes = (same, marks.get(point.number))
        table.add_row(
            str(point.number),
            with_error(goals.quality, point.quality, point.standard_error),
            difference_text(goals.quality, point.difference, point.difference_error),
            *_kept(point.quality, view),
            goals.cost.text(point.cost),
            f"{view.baseline.saved(point):.1f} %",
            *(goal.text(point.values[goal.name]) for goal in goals.others),
            ", ".join(note for note in notes if note),
        )
    yield table
    yield from _footnotes(view, alike)
    if view.front:
        yield from _format_tables(view.front, width)


def _footnotes(view: StudyView, alike: Mapping[int, tuple[int, ...]]) -> Iterator[str]:
    """What members are called, and what the notes in the front's last column mean."""
    goals = view.goals
    for point in view.front:
        if name := point_name(point, view.baseline.network):
            yield f"trial {point.number}: {name}"
    if any(paper_mark(point.candidate, view.baseline.network) for point in view.front):
        yield f"the paper: {PAPER}, whose network this is"
    if alike:
        count = len(next(point.gains for point in view.front if point.number in alike))
        yield f"≈ N: {count} mixtures do not tell it from trial N (paired, within 2 standard errors)"
    if goals.others:
        yield f"{len(goals.names)} objectives: marks and ≈ are of {goals.quality.title} and {goals.cost.title} alone"


def difference_text(goal: Goal, difference: float | None, error: float | None) -> str:
    """A paired difference with its standard error; empty if unknown."""
    return "" if difference is None or error is None else goal.difference_text(difference, error)


def _kept(quality: float, view: StudyView) -> tuple[str, ...]:
    """The share of float32's own that is left; nothing where there is no such share."""
    share = view.goals.quality.kept(quality, view.baseline.quality)
    return () if share is None else (f"{share:.0%}",)


def _format_tables(front: Sequence[FrontPoint], width: int) -> Iterator[Table | str]:
    slots = tuple(front[0].candidate)
    pinned = {
        role: next(iter(formats))
        for role in Role
        if len(formats := {point.candidate[slot] for point in front for slot in slots if slot.role is role}) == 1
    }
    for role, fmt in pinned.items():
        yield f"all {role}: {fmt.brief}"
    shown = [slot for slot in slots if slot.role not in pinned]
    names = max((len(str(slot)) for slot in shown), default=0) + 1
    columns = max(1, (width - names) // (max((len(p.candidate[s].brief) for p in front for s in shown), default=1) + 1))
    parts = [front[first : first + columns] for first in range(0, len(front) if shown else 0, columns)]
    for place, members in enumerate(parts, 1):
        count = f" ({place} of {len(parts)})" if len(parts) > 1 else ""
        table = Table(title=f"formats by trial{count}", **NARROW)
        table.add_column("", no_wrap=True)
        for point in members:
            table.add_column(str(point.number), no_wrap=True)
        for slot in sorted(shown, key=lambda slot: (tuple(Role).index(slot.role), slots.index(slot))):
            last = slot == [other for other in shown if other.role is slot.role][-1]
            table.add_row(str(slot), *(point.candidate[slot].brief for point in members), end_section=last)
        yield table


def verdict(view: StudyView) -> tuple[str, str]:
    """Two lines: what float32 reaches, and how good the front is."""
    if not view.front:
        return f"float32: {_float32(view)}", "no trial is complete yet"
    return f"float32: {_float32(view)}", f"hypervolume: {view.hypervolume:.5f} ({_volume(view)})"


def _float32(view: StudyView) -> str:
    """Every objective of the float32 model."""
    goals, base = view.goals, view.baseline
    cost = "" if goals.cost.in_bytes else f"{goals.cost.title} "
    others = (f", {goal.title} {goal.told(base.values[goal.name])}" for goal in goals.others)
    reached = f"{goals.quality.title} {goals.quality.told(base.quality)}"
    return "".join([f"{reached} with {cost}{goals.cost.told(base.cost)}", *others])


def _volume(view: StudyView) -> str:
    """What the hypervolume's axes are, and from where they count unless from 0 on."""
    return " x ".join(map(_axis, view.goals.goals))


def _axis(goal: Goal) -> str:
    if goal.worst is None:
        return f"share of {goal.title} {'gained' if goal.maximize else 'saved'}"
    begins = "" if goal.maximize and not goal.worst else f" {'above' if goal.maximize else 'below'} {goal.worst:g}"
    return f"{goal.title}{begins}"


def status_table(view: StudyView, live: bool, screened: RungCounts | None = None) -> Table:
    """Counts by state, hypervolume, time per trial, and what runs now.

    `live`: a launch is under way. `screened`: candidates on the rungs below the trials, None without screening.
    """
    table = Table(title=f"study {view.name!r}", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row("finished", f"{view.finished} of {view.wanted}")
    table.add_row("by state", _states(view, live))
    reused = sum(row.reused_from is not None for row in view.rows)
    if reused:
        table.add_row("reused results", f"{reused} (the same candidate proposed again)")
    if screened is not None:
        table.add_row("candidates", str(screened))
    table.add_row("front", f"{len(view.front)} {'trial' if len(view.front) == 1 else 'trials'}")
    table.add_row("hypervolume", f"{view.hypervolume:.5f} ({_volume(view)})")
    mean = view.mean_seconds
    table.add_row("time per trial", "unknown yet" if mean is None else f"{mean:.1f} s")
    table.add_row("float32", _float32(view))
    for row in view.rows:
        if row.state == "running" and live:
            since = timedelta(seconds=round((datetime.now() - row.started).total_seconds())) if row.started else "?"
            table.add_row("running", f"trial {row.number} for {since} {row.label}".rstrip())
        elif row.state == "running":
            table.add_row("cut off", f"trial {row.number}; launch the study again to go on")
    for row in [row for row in view.rows if row.state in ("pruned", "failed")][-3:]:
        # As Text: a reason may hold square brackets, which tables take for markup.
        table.add_row(f"last {row.state}", Text(f"trial {row.number}: {row.reason}"))
    return table


def _states(view: StudyView, live: bool) -> str:
    """Trials by state, those that nobody runs as cut off, and the candidates that wait."""
    names = {"running": "running" if live else "cut off"}
    counts = {names.get(state, state): count for state, count in view.counts.items()} | {"queued": view.queued}
    always = ("complete", "pruned", "failed")
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count or state in always)


def memory_table(slots: Iterable[SlotInfo], candidate: Candidate) -> Table:
    """Bytes per layer and in total."""
    rows = layer_rows(slots, candidate)
    count, size = sum(row.parameters for row in rows), sum(row.memory_bytes for row in rows)
    table = Table(title=f"memory of all parameters: {size:,} bytes, in float32 {4 * count:,}", **NARROW)
    table.add_column("layer", no_wrap=True)
    for name in ("params", "weights", "biases", "activations", "bytes", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.layer, f"{row.parameters:,}", *row.briefs, *_sizes(row.memory_bytes, row.float_bytes))
    table.add_section()
    table.add_row("total", f"{count:,}", "", "", "", *_sizes(size, 4 * count))
    return table


def _sizes(size: int, full: int) -> tuple[str, str]:
    return f"{size:,}", f"{saved_percent(size, full):.1f} %" if full else ""


def analysis_table(report: TrialReport) -> Table:
    """The newest analysis of every slot, worst offenders first; fits 80 columns."""
    rows = ranked(report.last_analyses())
    when = f"step {rows[0].step}, epoch {rows[0].epoch}; worst offenders first" if rows else "not reached"
    table = Table(title=f"fixed-point analysis ({when})", **NARROW)
    for name in ("tensor", "format"):
        table.add_column(name, no_wrap=True)
    for name in ("over-\nflow", "under-\nflow", "preci-\nsion", "zero\ngrad.", "largest", "int.\nbits", "SQNR\ndB"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row.slot),
            row.format.brief,
            *(_percent(row.figure(name)) for name in ("overflow", "underflow", "precision", "zero_gradient")),
            f"{row.max_magnitude:.4g}",
            str(row.integer_bits_needed),
            f"{row.sqnr_db:.1f}",
        )
    return table


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{share:.2%}"


def accumulator_table(report: TrialReport) -> Table:
    """Bits of every layer's sums: that no input can overflow, and that the data used; "–" where unknown."""
    table = Table(title="accumulators: bits that never overflow (worst), bits the data used", **NARROW)
    for name in ("layer", "kernel"):
        table.add_column(name, no_wrap=True)
    for name in ("int. bits\nworst", "int. bits\nused", "fraction\nbits", "total\nworst", "total\nused"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.last_accumulators():
        table.add_row(*accumulator_cells(row))
    return table


def trial_verdict(report: TrialReport, baseline: Baseline, goals: Goals) -> str:
    """One sentence: what the candidate reached, and how surely that differs from float32."""
    memory = f"{report.memory_bytes:,} bytes, {saved_percent(report.memory_bytes, baseline.memory_bytes):.1f} % saved"
    goal = baseline.goal
    base = f"float32 {goal.text(baseline.quality)}"
    if report.quality is None:
        return f"{report.state}: {report.reason} ({memory}; {base})"
    reached = f"{goal.title} {with_error(goal, report.quality, report.standard_error)} ({base})"
    if report.baseline_difference is not None:
        difference = goal.difference_text(report.baseline_difference, report.baseline_difference_error)
        reached += f", {difference} against float32, paired"
    others = (other for other in goals.goals if other.name not in (goal.name, "memory_bytes"))
    told = [f"{other.title} {other.told(report.values[other.name])}" for other in others]
    return "; ".join([reached, *told, memory])
