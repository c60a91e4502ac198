"""What the commands' tables show, as figures for --json: keys name their units, shares are of 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordlength.objectives.findings import findings
from wordlength.objectives.report import Accumulator, TrialReport
from wordlength.search.export.facts import layer_rows
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Role, SlotInfo

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline
    from wordlength.search.export.verify import Verified
    from wordlength.search.rungs import RungCounts
    from wordlength.search.study_file.spec import StudySpec


def status_figures(view: StudyView, live: bool, screened: RungCounts | None = None) -> dict[str, Any]:
    """A study as it stands. `live`: a launch is under way; `screened` as in `status_table`."""
    told = [row for row in view.rows if row.state in ("running", "pruned", "failed")]
    return {
        "study": view.name,
        "wanted": view.wanted,
        "finished": view.finished,
        "live": live,
        "counts": view.counts,
        "queued": view.queued,
        "reused": sum(row.reused_from is not None for row in view.rows),
        "screened": screened,
        "front": [point.number for point in view.front],
        "hypervolume": view.hypervolume,
        "seconds_per_trial": view.mean_seconds,
        "baseline": dict(view.baseline.values),
        "trials": [_trial(row, live) for row in told],
    }


def _trial(row: TrialRow, live: bool) -> dict[str, Any]:
    """A trial that runs, was cut off, was pruned or has failed."""
    running = row.state == "running"
    since = (datetime.now() - row.started).total_seconds() if running and live and row.started else None
    state = "cut off" if running and not live else row.state
    return {"trial": row.number, "state": state, "label": row.label, "reason": row.reason, "running_seconds": since}


def memory_figures(study: str, slots: Sequence[SlotInfo], candidate: Candidate) -> dict[str, Any]:
    """Bytes per layer and in total."""
    rows = layer_rows(slots, candidate)
    layers = [
        {
            "layer": row.layer,
            "parameters": row.parameters,
            **{role.value: fmt if fmt != "–" else None for role, fmt in zip(Role, row.formats, strict=True)},
            "memory_bytes": row.memory_bytes,
            "float32_bytes": row.float_bytes,
        }
        for row in rows
    ]
    return {
        "study": study,
        "memory_bytes": sum(row.memory_bytes for row in rows),
        "float32_bytes": sum(row.float_bytes for row in rows),
        "layers": layers,
    }


def analysis_figures(spec: StudySpec, baseline: Baseline, trial: TrialReport) -> dict[str, Any]:
    """What one candidate reached, its newest analysis of every tensor, accumulators, findings, worst first."""
    limit, sums = spec.analysis.precision_limit, trial.last_accumulators()
    return {
        "study": spec.name,
        "baseline": {
            **baseline.values,
            baseline.goal.error_name: baseline.standard_error,
            "memory_bytes": baseline.memory_bytes,
        },
        "state": trial.state.value,
        "reason": trial.reason,
        "values": dict(trial.values),
        baseline.goal.error_name: trial.standard_error,
        "baseline_difference": trial.baseline_difference,
        "baseline_difference_error": trial.baseline_difference_error,
        "precision_limit": limit,
        "findings": findings(trial.last_analyses(), sums, limit),
        "tensors": [row.to_dict() for row in trial.last_analyses()],
        "accumulators": [_accumulator(row) for row in sums],
        "losses": trial.losses,
        "seconds": dict(trial.seconds),
        "memory": memory_figures(spec.name, baseline.slots, trial.candidate),
    }


def _accumulator(row: Accumulator) -> dict[str, Any]:
    widths = ("integer_bits_worst", "integer_bits_used", "bits_worst", "bits_used")
    return asdict(row) | {name: getattr(row, name) for name in widths}


def verified_figures(bundle: Path, done: Verified) -> dict[str, Any]:
    """What of a bundle was checked, what not, and what lies in its folder besides."""
    return {
        "bundle": bundle,
        "study": done.config.study,
        "trial": done.config.trial,
        "verified": True,
        "checked": done.checked,
        "left_out": done.left_out,
        "foreign": done.foreign,
    }


def unverified_figures(bundle: Path, fault: str) -> dict[str, Any]:
    """The first thing of a bundle that is not as it says."""
    return {"bundle": bundle, "verified": False, "fault": fault}
