"""Studies, candidates and analyses as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from rich.table import Table

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.report import TrialReport
from wordlength.search.export.report import layer_rows
from wordlength.search.front import knee, saved_percent
from wordlength.search.trials import StudyView
from wordlength.space import Candidate, Role, Slot, SlotInfo


def front_table(view: StudyView) -> Table:
    """The front, ascending in memory."""
    table = Table(title=f"Pareto front of {view.name!r}, {view.finished} of {view.wanted} trials finished")
    for name in ("trial", "STOI improvement", "bytes", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("weights / biases / activations, per layer")
    bend = knee(view.front).number if view.front else None
    for point in view.front:
        error = f" ± {point.stoi_standard_error:.4f}" if point.stoi_standard_error is not None else ""
        note = point.label + (" · knee" if point.number == bend else "")
        table.add_row(
            str(point.number),
            f"{point.stoi_improvement:+.4f}{error}",
            f"{point.memory_bytes:,}",
            f"{saved_percent(point.memory_bytes, view.baseline.memory_bytes):.1f} %",
            (f"{note.removeprefix(' · ')}\n" if note else "") + layer_formats(point.candidate),
            end_section=True,
        )
    return table


def layer_formats(candidate: Candidate) -> str:
    """One line per run of layers with the same formats: `conv_2 – conv_4: po2<4,-1> / fixed<16,2> / …`."""
    layers = list(dict.fromkeys(slot.layer for slot in candidate))

    def formats(layer: str) -> str:
        return " / ".join(str(candidate[s]) if (s := Slot(layer, role)) in candidate else "–" for role in Role)

    runs = [(text, list(names)) for text, names in groupby(layers, key=formats)]
    return "\n".join(f"{names[0] if len(names) == 1 else f'{names[0]} – {names[-1]}'}: {text}" for text, names in runs)


def verdict(view: StudyView) -> str:
    """One sentence: how the front compares with float32."""
    base = f"float32: STOI improvement {view.baseline.stoi_improvement:+.4f} with {view.baseline.memory_bytes:,} bytes"
    if not view.front:
        return f"{base}; no trial is complete yet"
    return f"{base}; hypervolume {view.hypervolume:.5f} (STOI improvement x share of memory saved)"


def status_table(view: StudyView) -> Table:
    """Counts by state, hypervolume, time per trial, and what runs now."""
    table = Table(title=f"study {view.name!r}", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row("finished", f"{view.finished} of {view.wanted}")
    table.add_row("by state", ", ".join(f"{count} {state}" for state, count in view.counts.items()))
    reused = sum(row.reused_from is not None for row in view.rows)
    table.add_row("reused results", f"{reused} (the same candidate proposed again)")
    table.add_row("front", f"{len(view.front)} points")
    table.add_row("hypervolume", f"{view.hypervolume:.5f} (STOI improvement x share of memory saved)")
    mean = view.mean_seconds
    table.add_row("time per trial", "unknown yet" if mean is None else f"{mean:.1f} s")
    table.add_row("float32", f"STOI improvement {view.baseline.stoi_improvement:+.4f}, {view.baseline.memory_bytes:,} bytes")
    for row in view.rows:
        if row.state == "running":
            since = timedelta(seconds=round((datetime.now() - row.started).total_seconds())) if row.started else "?"
            table.add_row("running", f"trial {row.number} for {since} {row.label}".rstrip())
    for row in [row for row in view.rows if row.state in ("pruned", "failed")][-3:]:
        table.add_row(f"last {row.state}", f"trial {row.number}: {row.reason}")
    return table


def memory_table(slots: Iterable[SlotInfo], candidate: Candidate) -> Table:
    """Bytes per layer and in total."""
    table = Table(title="memory of all parameters")
    table.add_column("layer")
    for name in ("parameters", "weights", "biases", "activations", "bytes", "float32 bytes", "saved"):
        table.add_column(name, justify="right")
    rows = layer_rows(slots, candidate)
    for row in rows:
        table.add_row(row.layer, f"{row.parameters:,}", *row.formats, *_sizes(row.memory_bytes, row.float_bytes))
    count, size = sum(row.parameters for row in rows), sum(row.memory_bytes for row in rows)
    table.add_section()
    table.add_row("total", f"{count:,}", "", "", "", *_sizes(size, 4 * count))
    return table


def _sizes(size: int, full: int) -> tuple[str, str, str]:
    return f"{size:,}", f"{full:,}", f"{saved_percent(size, full):.1f} %" if full else ""


def analysis_table(report: TrialReport) -> Table:
    """The newest analysis of every slot."""
    rows = report.last_analyses()
    when = f"step {rows[0].step}, epoch {rows[0].epoch}" if rows else "not reached"
    table = Table(title=f"fixed-point analysis ({when})")
    table.add_column("tensor")
    table.add_column("format")
    for name in ("overflow", "underflow", "precision", "zero gradient", "largest", "needs integer bits", "SQNR dB"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row.slot),
            str(row.format),
            *(f"{share:.2%}" for share in (row.overflow, row.underflow, row.precision, row.zero_gradient)),
            f"{row.max_magnitude:.4g}",
            str(row.integer_bits_needed),
            f"{row.sqnr_db:.1f}",
            end_section=row.slot.role is Role.ACTIVATIONS,
        )
    return table


def trial_verdict(report: TrialReport, baseline: Baseline) -> str:
    """One sentence: what the candidate reached."""
    memory = f"{report.memory_bytes:,} bytes, {saved_percent(report.memory_bytes, baseline.memory_bytes):.1f} % saved"
    base = f"float32 {baseline.stoi_improvement:+.4f}"
    if report.stoi_improvement is None:
        return f"{report.state}: {report.reason} ({memory}; {base})"
    return f"STOI improvement {report.stoi_improvement:+.4f} ± {report.stoi_standard_error:.4f} ({base}); {memory}"
