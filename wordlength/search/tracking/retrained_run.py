"""A retrained trial in MLflow: a run of its own below the study's, told from the trials' runs by its kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Run

from wordlength.errors import SpecError
from wordlength.search.export.facts import with_error
from wordlength.search.front import FloatPoint, saved_percent
from wordlength.search.tracking.store import GAP, Store, answering, check_server, key, now_ms

if TYPE_CHECKING:
    from wordlength.search.retrain import HeldOut, RetrainedTrial

KIND = "retrained"
"""The tag `kind` of these runs: everything that counts or shows trials asks for `trial`."""
FIGURES = "retrained.json"
"""The artifact with all figures, those of every mixture included."""


def log_retrained(tracking_uri: str, study: str, baseline: FloatPoint, rows: Sequence[RetrainedTrial]) -> None:
    """Give each of these retrainings its run; one that has it stays as it is, and one left half written is completed.

    `baseline`: the study's. Raises SpecError if MLflow does not take them all, or has no such study.
    """
    if not rows:
        return
    check_server(tracking_uri)
    with answering(study):
        store = Store.existing(tracking_uri, study)
        parent = store and next(store.runs("tags.kind = 'study'"), None)
        if store is None or parent is None:
            raise SpecError(
                f"a retrained trial's run lies below its study's, but MLflow has none of {study!r}; "
                f"mend with: wordlength check {study} --repair"
            )
        known = {run.data.tags.get("retrained.digest"): run for run in store.runs(f"tags.kind = '{KIND}'")}
        for row in rows:
            run = known.get(row.digest) or store.create_run(_name(row), _tags(row, parent), _started_ms(row))
            if run.info.status == "RUNNING":
                _write(store, run, row, baseline)


def _write(store: Store, run: Run, row: RetrainedTrial, baseline: FloatPoint) -> None:
    run_id = run.info.run_id
    # One time stamp, kept by the run: what an earlier call has written is not there twice.
    figures = ((key(name), step, value) for name, step, value in _figures(row, baseline))
    points = [Metric(name, value, run.info.start_time, step) for name, step, value in figures if math.isfinite(value)]
    points.sort(key=lambda point: point.key)
    store.log(run_id, points, _params(row), {"mlflow.note.content": _note(row, baseline)})
    store.upload(run_id, {FIGURES: row.to_json()})
    # Last: from here on the run is known to be whole.
    store.client.set_terminated(run_id, "FAILED" if row.reason else "FINISHED")


def _started_ms(row: RetrainedTrial) -> int:
    return now_ms() - round(1000 * row.seconds)


def _name(row: RetrainedTrial) -> str:
    label = f" ({row.point.label})" if row.point.label else ""
    return f"retrained trial {row.point.number}" + (" diverged" if row.reason else "") + label


def _tags(row: RetrainedTrial, parent: Run) -> dict[str, str]:
    """What the run is found by: kind, trial, and which of its retrainings it is."""
    return {
        "kind": KIND,
        "mlflow.parentRunId": parent.info.run_id,
        "trial.number": str(row.point.number),
        "trial.digest": row.point.candidate.digest,
        "trial.label": row.point.label,
        "retrained.digest": row.digest,
        "retrained.reason": row.reason,
        "data.digest": str(row.decided_by.get("data_digest", "")),
    }


def _params(row: RetrainedTrial) -> dict[str, str]:
    """The formats as trials' runs have them, the settings, and the threads, on which a result depends too."""
    formats = {key(str(slot)): str(fmt) for slot, fmt in row.point.candidate.pairs}
    decided = row.decided_by
    settings = {**decided.get("settings", {}), "threads": decided.get("threads")}
    return formats | {name: str(value) for name, value in settings.items()}


def _figures(row: RetrainedTrial, baseline: FloatPoint) -> Iterator[tuple[str, int, float]]:
    yield "memory_bytes", 0, row.point.memory_bytes
    yield "memory_saved_percent", 0, saved_percent(row.point.memory_bytes, baseline.memory_bytes)
    yield "seconds/retraining", 0, row.seconds
    # One curve through both training steps, as trials have it.
    for epoch, loss in enumerate(chain.from_iterable(row.losses), start=1):
        yield "loss", epoch, loss
    for name, part in _parts(row):
        for figure, value in part.to_dict().items():
            if isinstance(value, float):  # Neither a list of mixtures, nor a share of nothing.
                yield f"{name}/{figure}", 0, value


def _parts(row: RetrainedTrial) -> Iterator[tuple[str, HeldOut]]:
    for name, part in (("validation", row.validation), ("test", row.test)):
        if part is not None:
            yield name, part


def _note(row: RetrainedTrial, baseline: FloatPoint) -> str:
    """Markdown: what was measured on mixtures that no trial has heard, and what guided the search."""
    cost = f"{baseline.goals.cost.told(row.point.cost)}, {baseline.saved(row.point):.1f} % saved"
    head = f"Trial {row.point.number} retrained on all training data, {cost}"
    if row.reason:
        return f"{head}. Diverged: {row.reason}"
    goal = baseline.goals.quality
    lines = [f"| mixtures | | {goal.title} | float32 | difference, paired | kept |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, part in _parts(row):
        reached = with_error(goal, part.quality, part.standard_error)
        kept = "" if part.kept is None else f"{100 * part.kept[0]:.1f} ± {100 * part.kept[1]:.1f} %"
        told = (reached, goal.text(part.float_quality), goal.difference_text(*part.difference), kept)
        lines.append(f"| {name}{GAP} | {len(part.gains)} | {' | '.join(told)} |")
    return "\n".join([head, "", *lines])
