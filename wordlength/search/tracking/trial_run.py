"""One trial's report as MLflow shows it: figures, tags, note and page of its run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from mlflow.entities import Metric

from wordlength.objectives.findings import Finding, findings
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.export.facts import layer_rows, with_error
from wordlength.search.front import saved_percent
from wordlength.search.pages.analysis import analysis_html
from wordlength.search.tracking.description import Description
from wordlength.search.tracking.store import GAP, TAG_CHARACTERS, cut, key
from wordlength.search.views import LAYER_FIGURES, WORST_FIGURES, bits_metric, colour, link
from wordlength.space import Float32

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAILED: "FAILED"}
"""How a trial ended → the status of its run."""

ANALYSIS_PAGE = "analysis.html"
WEIGHTS = "weights.npz"

_VERDICT_CHARACTERS = 1000
NOTE_FINDINGS = 10
"""Sentences of a run's note; the page has them all."""


def trial_metrics(
    report: TrialReport, study: Description, stamp_ms: int, rungs: Sequence[float | None] = ()
) -> list[Metric]:
    """The finite numbers of a report, with their epoch as step where they have one, in order of names.

    In order, because a series split over two calls would be written, then updated. A slot whose format the study does
    not vary has no series of its own: it counts among the worst, and stands in the note and the page. `rungs`: what
    the candidate reached on the lower rungs, under names of their own.
    """
    quality = study.baseline.goals.quality.name
    judged = ((f"rung_{rung}/{quality}", 0, value) for rung, value in enumerate(rungs))
    figures = chain(_figures(report, study), judged)
    named = ((key(name), step, value) for name, step, value in figures if value is not None)
    points = [Metric(name, float(value), stamp_ms, step) for name, step, value in named if math.isfinite(value)]
    return sorted(points, key=lambda point: point.key)


def trial_tags(report: TrialReport, label: str) -> dict[str, str]:
    """What filters and columns go by. `trial.step`: the training step that the trial reached."""
    return {
        "kind": "trial",
        "trial.number": str(report.number),
        "trial.state": report.state.value,
        "trial.reason": report.reason,
        "trial.step": str(max(1, len(report.losses))),
        "trial.digest": report.candidate.digest,
        "trial.label": label,
        "mlflow.runColor": colour(report.state.value, on_front=False),
    }


def trial_name(report: TrialReport, label: str) -> str:
    """The run's name: number, label, and how it ended if not complete."""
    state = "" if report.state is TrialState.COMPLETE else f" {report.state}"
    return f"trial {report.number}{state}" + (f" ({label})" if label else "")


def trial_findings(report: TrialReport, study: Description) -> tuple[Finding, ...]:
    """What the newest analysis means, worst first."""
    return findings(report.last_analyses(), report.last_accumulators(), study.precision_limit)


def trial_note(
    report: TrialReport, told: Sequence[Finding], study: Description, experiment_id: str, run_id: str
) -> str:
    """Markdown: objectives, links, formats and bytes per layer, the worst findings in words."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{ANALYSIS_PAGE}?workflowType=machine_learning"
    links = [f"[Fixed-point analysis]({page})"] if report.analyses else []
    links.append(f"[Pareto front]({link(experiment_id).lstrip('/')})")
    # MLflow shows a note's beginning, as plain text, beside a point that is clicked, and folds it after a few lines.
    head = " · ".join([cut(_verdict(report, study), _VERDICT_CHARACTERS), *links]) + "\n\n"
    worst = [f"- {finding.sentence}" for finding in told if finding.figure != "accumulator"][:NOTE_FINDINGS]
    foot = "\n\n" + "\n".join(["**Fixed-point analysis, worst first**", "", *worst]) if worst else ""
    return head + _layer_table(report, study, TAG_CHARACTERS - len(head) - len(foot)) + foot


def trial_page(report: TrialReport, told: Sequence[Finding], label: str, study_name: str, study: Description) -> str:
    """The analysis as a page of its own."""
    facts = {"study": study_name, "state": report.state.value} | ({"reference": label} if label else {})
    return analysis_html(f"Trial {report.number}", report, study.precision_limit, facts, told, study.baseline.goals)


def _verdict(report: TrialReport, study: Description) -> str:
    goals = study.baseline.goals
    memory = f"{report.memory_bytes:,} bytes, {_saved(report, study):.1f} % saved"
    if report.quality is None:
        return f"{report.state}: {report.reason}. {memory}"
    reached = f"{goals.quality.title} {with_error(goals.quality, report.quality, report.standard_error)}"
    if report.baseline_difference is not None:
        difference = goals.quality.difference_text(report.baseline_difference, report.baseline_difference_error)
        reached += f" ({difference} to float32, paired)"
    others = [goal for goal in (goals.cost, *goals.others) if goal.name != "memory_bytes"]
    told = [f"{goal.title} {goal.told(report.values[goal.name])}" for goal in others]
    return ", ".join([reached, *told, memory])


def _saved(report: TrialReport, study: Description) -> float:
    return saved_percent(report.memory_bytes, study.baseline.memory_bytes)


def _layer_table(report: TrialReport, study: Description, characters: int) -> str:
    """Formats and bytes of every layer in Markdown; what does not fit is counted below it."""
    lines = ["| layer | parameters | weights | biases | activations | bytes |"]
    lines.append("| --- | ---: | --- | --- | --- | ---: |")
    rows = layer_rows(study.slots, report.candidate)
    for place, row in enumerate(rows):
        formats = " | ".join(f"{GAP}`{fmt}`{GAP}" for fmt in row.briefs)
        line = f"| {row.layer}{GAP} | {row.parameters:,} | {formats} | {row.memory_bytes:,} |"
        rest = f"\n{len(rows) - place} more layers."
        if len("\n".join([*lines, line, rest])) > characters:
            return "\n".join([*lines, rest])
        lines.append(line)
    return "\n".join(lines)


def _figures(report: TrialReport, study: Description) -> Iterator[tuple[str, int, float | None]]:
    for name, value in report.values.items():
        yield name, 0, value
    yield study.baseline.goals.quality.error_name, 0, report.standard_error
    yield "baseline_difference", 0, report.baseline_difference
    yield "baseline_difference_error", 0, report.baseline_difference_error
    if "memory_bytes" not in report.values:  # Of pruned trials, and where it is no objective.
        yield "memory_bytes", 0, report.memory_bytes
    yield "memory_saved_percent", 0, _saved(report, study)
    for name, value in _worst(report).items():
        yield f"worst/{name}", 0, value
    searched = set(study.searched)
    for slot, fmt in report.candidate.pairs:
        yield bits_metric(str(slot)), 0, fmt.width_bits
    for gate, excess in report.constraints.items():
        yield f"constraint/{gate}", 0, excess
    for phase, seconds in report.seconds.items():
        yield f"seconds/{phase}", 0, seconds
    # One curve through both training steps: epochs of step two follow those of step one.
    for epoch, loss in enumerate(chain.from_iterable(report.losses), start=1):
        yield "loss", epoch, loss
    step_one = len(report.losses[0]) if report.losses else 0
    for row in report.analyses:
        # A tensor that stays in float32 has nothing to violate.
        for name in LAYER_FIGURES if row.slot in searched and row.format != Float32() else ():
            yield f"{name}/{row.slot}", row.epoch + step_one * (row.step - 1), row.figure(name)


def _worst(report: TrialReport) -> Mapping[str, float]:
    """Figure → the worst slot's share after the last epoch."""
    rows = [row for row in report.last_analyses() if row.format != Float32()]
    return {name: max(row.figure(name) for row in rows) for name in WORST_FIGURES} if rows else {}
