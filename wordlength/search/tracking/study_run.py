"""A study as MLflow shows it: the parent run's note, artifacts, data sets and curve of the hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow.entities import Dataset, DatasetInput, InputTag

from wordlength.objectives.goals import Goal
from wordlength.search.export.facts import with_error
from wordlength.search.front import (
    FloatPoint,
    FrontPoint,
    hypervolume,
    indistinct,
    pareto_front,
    pick,
)
from wordlength.search.plots import (
    formats_html,
    front_csv,
    importance_csv,
    importance_html,
    pareto_html,
    pareto_png,
)
from wordlength.search.tracking.description import DataSet, Description
from wordlength.search.tracking.store import GAP, TAG_CHARACTERS, cut
from wordlength.search.trials import StudyView
from wordlength.search.views import link, published_views
from wordlength.space import SlotInfo

PAGE, PICTURE, TABLE = "pareto_front.html", "pareto_front.png", "pareto_front.csv"
FORMATS, IMPORTANCE, IMPORTANCE_TABLE = "formats_along_front.html", "importance.html", "importance.csv"

VIEW_NAMES = {view.key: view.name for view in published_views(())}
"""View → its name in notes."""

_SETTING_CHARACTERS = 400

_MACHINE_LEARNING = "?workflowType=machine_learning"
"""Without it MLflow shows the pages that belong to language models."""


def view_links(experiment_id: str, run_id: str | None = None) -> str:
    """Markdown links to the published views, and to the parent run if one is given.

    On one line: MLflow folds an experiment's note after its first.
    """
    links = [f"[{name}]({link(experiment_id, view).lstrip('/')})" for view, name in VIEW_NAMES.items()]
    if run_id is not None:
        links.append(f"[Summary, figures, files](#/experiments/{experiment_id}/runs/{run_id}{_MACHINE_LEARNING})")
    return "**" + "** · **".join(links) + "**"


def dataset_inputs(data: Sequence[DataSet]) -> list[DatasetInput]:
    """The data sets as a run's inputs."""
    return [
        DatasetInput(
            dataset=Dataset(part.name, part.digest, "local", part.source, profile=part.profile_json),
            tags=[InputTag("mlflow.data.context", part.context)],
        )
        for part in data
    ]


def front_history(view: StudyView) -> list[dict[str, float]]:
    """Hypervolume, size and best quality of the front after the first, second, … finished trial, in the order in
    which trials ended, whatever their numbers. A repeated candidate's trial was not run and counts for nothing.
    """
    found: list[dict[str, float]] = []
    front: tuple[FrontPoint, ...] = ()
    figures: dict[str, float] = {"hypervolume": 0.0, "front_size": 0.0}
    for row in sorted(
        (row for row in view.rows if row.was_run), key=lambda row: (row.ended is not None, row.ended, row.number)
    ):
        point = row.point
        if point is not None and (grown := pareto_front([*front, point])) != front:
            front = grown
            area = hypervolume(front, view.baseline)
            figures = {"hypervolume": area, "front_size": float(len(front))}
            figures[f"best_{view.goals.quality.name}"] = pick(front, "best").quality
        found.append(figures)
    return found


def artifacts(
    view: StudyView,
    slots: Sequence[SlotInfo],
    importance: Mapping[str, Mapping[str, float]],
    chance: Mapping[str, float],
    weighed: int,
) -> dict[str, bytes]:
    """The front as page, picture and table, the formats along it and what decided over it: name → content.

    `weighed`: trials that `importance` and `chance` rest on.
    """
    texts = {
        PAGE: pareto_html(view),
        TABLE: front_csv(view.front, view.baseline),
        FORMATS: formats_html(view.front, view.baseline, view.name, slots),
    }
    if importance:
        texts[IMPORTANCE] = importance_html(importance, view.name, weighed, chance)
        texts[IMPORTANCE_TABLE] = importance_csv(importance)
    pictures = {PICTURE: pareto_png(view)}
    return pictures | {name: text.encode() for name, text in texts.items()}


def study_note(
    view: StudyView,
    study: Description,
    experiment_id: str,
    run_id: str,
    runs: Mapping[int, str],
    drawn: int | None,
    importance: bool,
) -> str:
    """The parent run's description in Markdown, within the length of a tag.

    `runs`: trial → its run; `drawn`: trials that the artifacts show, None if there are none yet.
    """
    links = {number: f"#/experiments/{experiment_id}/runs/{run}{_MACHINE_LEARNING}" for number, run in runs.items()}
    parts = [view_links(experiment_id), _state(view), _choices(view, links)]
    if drawn is not None:
        files = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
        named = {PAGE: "Interactive figure", FORMATS: "Formats along the front", TABLE: "Table (CSV)"}
        named |= {IMPORTANCE: "Parameter importance"} if importance else {}
        parts.append(" · ".join(f"[{text}]({files}/{name}{_MACHINE_LEARNING})" for name, text in named.items()))
        # The count at the end of the picture's address makes browsers fetch the new picture.
        parts.append(f"![Pareto front](/get-artifact?path={PICTURE}&run_uuid={run_id}&trials={drawn})")
    parts.append(_settings(study))
    head = "\n\n".join(parts) + "\n\n**All of the front**\n\n"
    return head + front_table(view.front, view.baseline, links, TAG_CHARACTERS - len(head))


def front_table(front: Sequence[FrontPoint], baseline: FloatPoint, links: Mapping[int, str], characters: int) -> str:
    """The front as a Markdown table of at most `characters`; what does not fit is counted below it.

    `links`: trial number → address, for the trials that have one.
    """
    goals = baseline.goals
    others = "".join(f" {_head(goal)} |" for goal in goals.others)
    lines = [f"| trial | {GAP}formats | {_head(goals.quality)} | {_head(goals.cost)} | saved |{others}"]
    lines.append("| ---: | --- | ---: | ---: | ---: |" + " ---: |" * len(goals.others))
    alike = indistinct(front)
    for place, point in enumerate(front):
        trial = f"[{point.number}]({links[point.number]})" if point.number in links else str(point.number)
        name = point.label.replace("`", " ").replace("|", " ")
        # As code: outside of it, <4,-1> would be taken for HTML.
        formats = GAP + (f"`{name}`" if name else "searched") + GAP
        same = "".join(f" ≈ {number}" for number in alike.get(point.number, ()))
        reached = goals.quality.text(point.quality).removeprefix("+") + same
        row = f"| {trial} | {formats} | {reached} | {_costs(point, baseline)}"
        rest = f"\n{len(front) - place} more in {TABLE}."
        if len("\n".join([*lines, row, rest])) > characters:
            return "\n".join([*lines, rest])
        lines.append(row)
    return "\n".join(lines)


def _head(goal: Goal) -> str:
    return goal.title if goal.unit in goal.title else f"{goal.title} in {goal.unit}"


def _costs(point: FrontPoint, baseline: FloatPoint) -> str:
    """First cost, what of it is saved, the other goals: the last cells of a row."""
    goals = baseline.goals
    others = "".join(f" {goal.text(point.values[goal.name])} |" for goal in goals.others)
    return f"{goals.cost.text(point.cost)} | {baseline.saved(point):.1f} % |{others}"


def _state(view: StudyView) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in view.ended.items())
    return (
        f"**{view.finished} of {view.wanted} trials finished** ({counts}), {len(view.front)} on the front, hypervolume "
        f"{view.hypervolume:.5f}; float32 reaches {view.goals.quality.text(view.baseline.quality)} with "
        f"{view.goals.cost.told(view.baseline.cost)}."
    )


def _choices(view: StudyView, links: Mapping[int, str]) -> str:
    """Best, knee and smallest member."""
    if not view.front:
        return "No trial is complete yet."
    goals = view.goals
    chosen = {rule: pick(view.front, rule) for rule in ("best", "knee", "smallest")}
    others = "".join(f" {_head(goal)} |" for goal in goals.others)
    lines = [f"| | trial | {_head(goals.quality)} | {_head(goals.cost)} | saved |{others}"]
    lines.append("| --- | ---: | ---: | ---: | ---: |" + " ---: |" * len(goals.others))
    for name, point in chosen.items():
        trial = f"[{point.number}]({links[point.number]})" if point.number in links else str(point.number)
        reached = with_error(goals.quality, point.quality, point.standard_error)
        lines.append(f"| {name}{GAP} | {trial} | {reached} | {_costs(point, view.baseline)}")
    return "\n".join(lines)


def _settings(study: Description) -> str:
    if not study.settings:
        return ""
    rows = (f"| {name}{GAP} | {cut(text, _SETTING_CHARACTERS)} |" for name, text in study.settings.items())
    return "\n".join(["| setting | |", "| --- | --- |", *rows])
