"""The views that a study publishes into MLflow's own UI: its front, all its trials, the health of its formats.

A view is a tag of the experiment that holds the state of MLflow's run page, and a link that opens the page on it. That
state is documented nowhere: this file alone knows it, for MLflow 3.17, and tests/browser holds it to the real page.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.search.plots import FRONT_COLOUR, OTHER_COLOUR

STATE_COLOURS = {"complete": OTHER_COLOUR, "pruned": "#d98a00", "failed": "#4b2a7b"}
"""State of a trial off the front → colour of its run: grey, amber, dark violet.

Their lightness differs as well as their hue, from each other's and the front's red, so that they stay apart for
people who see fewer colours.
"""

WORST_FIGURES = ("overflow", "underflow", "precision", "zero_gradient")
"""The figures whose worst value over the layers is a metric, `worst/FIGURE`."""

LAYER_FIGURES = (*WORST_FIGURES, "max_magnitude", "sqnr_db")
"""The figures of every layer analysis that are metrics, `FIGURE/SLOT`: a store takes 0.1 ms per number, and the page
loads them all.
"""

BITS = {"weights": "weight_bits", "biases": "bias_bits", "activations": "activation_bits"}
"""Role → the group of the metrics that hold its slots' bits. Of long names, parallel coordinates show the first and the
last six characters: `weight_bits/conv_1` becomes weight...conv_1.
"""

_GROUPS = ("worst", "constraint", "seconds")
_PAGE_RUNS = 100  # what the page loads at once
_TAG_PREFIX = "mlflow.sharedViewState."
_UPDATED_MS = 1_767_225_600_000  # 1 January 2026: the same view is the same tag, however often it is published

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """One page of MLflow's UI.

    `key`: its name in links; `name`: what the Views menu calls it; `state`: what the page is to show; `updated_ms`:
    Unix time in milliseconds, by which the menu sorts, latest first.
    """

    key: str
    name: str
    state: State
    updated_ms: int = _UPDATED_MS

    @property
    def tag(self) -> tuple[str, str]:
        """Name and value of the tag that publishes the view on an experiment."""
        packed = base64.b64encode(zlib.compress(_json(self.state).encode(), 9)).decode()
        times = {"createdAt": self.updated_ms, "updatedAt": self.updated_ms}
        return _TAG_PREFIX + self.key, _json({"name": self.name, **times, "state": f"deflate;{packed}"})


@dataclass(frozen=True, slots=True)
class _Section:
    """A titled row of charts: how many side by side, how high in pixels."""

    name: str
    charts: tuple[State, ...]
    columns: int
    height: int


def published_views(slots: Sequence[str], goals: Goals = DEFAULT_GOALS) -> tuple[View, ...]:
    """The views of a study: Pareto front, all trials, fixed-point health.

    `slots`: every slot of the study as it is written, `conv_1.weights`. `goals`: each is a metric, drawn against
    each other.
    """
    closed = _metric_groups(slots)
    return (
        View("pareto-front", "Pareto front", _front_page(slots, goals, closed), _UPDATED_MS + 2),
        View("all-trials", "All trials", _trials_page(goals, closed), _UPDATED_MS + 1),
        View("fixed-point-health", "Fixed-point health", _health_page(goals, closed), _UPDATED_MS),
    )


def link(experiment_id: str, view_key: str = "pareto-front") -> str:
    """The path that opens a view, to be put behind a server's address.

    Always hand out this one: the address that the page turns it into loses its charts when it is opened again.
    """
    # The workflow type keeps newcomers out of MLflow's page for language models.
    query = f"viewStateShareKey={view_key}&workflowType=machine_learning&compareRunsMode=CHART"
    return f"/#/experiments/{experiment_id}/runs?{query}"


def bits_metric(slot: str) -> str:
    """The metric that holds the bits of a slot: `conv_1.weights` → `weight_bits/conv_1`."""
    layer, _, role = slot.rpartition(".")
    return f"{BITS[role]}/{layer}"


def colour(state: str, on_front: bool) -> str:
    """The colour of a trial's run, for its tag `mlflow.runColor`; raises ValueError for an unknown state."""
    if state not in STATE_COLOURS:
        raise ValueError(f"a trial's state must be one of {', '.join(STATE_COLOURS)}, but got {state!r}")
    return FRONT_COLOUR if on_front else STATE_COLOURS[state]


def _front_page(slots: Sequence[str], goals: Goals, closed: Sequence[str]) -> State:
    objectives = _metrics(goals)
    against = f"{goals.quality.title} against {goals.cost.title}" if len(objectives) == 2 else "Objectives in pairs"
    sections = [_pairs(against, objectives)]
    for role in ("weights", "activations"):
        bits = [bits_metric(slot) for slot in slots if slot.endswith(f".{role}")]
        if bits:
            # The last axis colours the lines.
            chart = _parallel(role, [*bits, *objectives])
            sections.append(_Section(f"Bits of the {role}", (chart,), 1, 380))
    columns = [*map(_metric, objectives), _tag("trial.label")]
    return _page("tags.pareto = 'true'", _metric(objectives[0]), columns, sections, closed)


def _trials_page(goals: Goals, closed: Sequence[str]) -> State:
    objectives = _metrics(goals)
    # A pruned trial has no quality, but its memory and the analysis for which it was pruned.
    worst = tuple(_scatter("memory_bytes", f"worst/{figure}") for figure in WORST_FIGURES)
    sections = [_pairs("Complete trials, front in red", objectives)]
    sections.append(_Section("With pruned trials, in amber", worst, 2, 320))
    columns = [*(_tag(f"trial.{name}") for name in ("state", "reason", "rung")), *map(_metric, objectives)]
    return _page("tags.kind = 'trial'", _tag("pareto"), columns, sections, closed)


def _health_page(goals: Goals, closed: Sequence[str]) -> State:
    objectives = _metrics(goals)
    worst = [f"worst/{figure}" for figure in WORST_FIGURES]
    charts = tuple(_scatter(figure, goals.quality.name) for figure in worst)
    sections = [_Section("Worst layer of each trial", charts, 2, 360)]
    columns = [*map(_metric, worst), *map(_metric, objectives)]
    return _page("tags.kind = 'trial'", _tag("pareto"), columns, sections, closed)


def _metrics(goals: Goals) -> tuple[str, ...]:
    """First cost, first quality, the others: in a chart of two the earlier one is the x axis."""
    return tuple(goal.name for goal in (goals.cost, goals.quality, *goals.others))


def _pairs(name: str, objectives: Sequence[str]) -> _Section:
    charts = tuple(_scatter(x, y) for x, y in combinations(objectives, 2))
    return _Section(name, charts, min(len(charts), 2), 420)


def _page(
    search: str, order_by: str, columns: Sequence[str], sections: Sequence[_Section], closed: Sequence[str]
) -> State:
    """The state of the whole page: its runs, the columns of its table, its charts.

    Ordered by the tag `pareto`, runs without it come last, latest first: the front is always among the runs that the
    page loads at once. Every view refreshes itself each 30 s; MLflow takes that from no state.
    """
    return {
        "searchFilter": search,
        "orderByKey": order_by,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": False,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunCharts": [chart | {"metricSectionId": part.name} for part in sections for chart in part.charts],
        "compareRunSections": [
            *(_open_section(part) for part in sections),
            *(_closed_section(name) for name in closed),
        ],
    }


def _open_section(part: _Section) -> State:
    return _closed_section(part.name) | {"display": True, "columns": part.columns, "cardHeight": part.height}


def _closed_section(name: str) -> State:
    common = {"display": False, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": name, **common, "columns": 3, "cardHeight": 300}


def _metric_groups(slots: Sequence[str]) -> list[str]:
    """Every part of a metric's name that stands before its last slash, and the two sections that MLflow always has.

    MLflow makes an open section of each that it does not find, and loads every history in it: seconds per page.
    """
    parents = {"": None} | {f"/{slot.rpartition('/')[0]}": None for slot in slots if "/" in slot}
    named = [f"{group}{parent}" for group in (*BITS.values(), *LAYER_FIGURES) for parent in parents]
    return [*_GROUPS, *named, "Model metrics", "System metrics"]


def _scatter(x: str, y: str) -> State:
    # The axes' titles are the metrics' names: with a title of its own the page looks up the wrong value on hovering.
    axes = {"xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}
    return _chart("SCATTER", f"{x} {y}") | axes


def _parallel(name: str, metrics: Sequence[str]) -> State:
    return _chart("PARALLEL", name) | {"selectedParams": [], "selectedMetrics": metrics, "showAllRuns": False}


def _chart(kind: str, name: str) -> State:
    common = {"runsCountToCompare": _PAGE_RUNS, "deleted": False, "isGenerated": False}
    return {"uuid": f"{kind.lower()} {name}", "type": kind, **common}


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _tag(name: str) -> str:
    return f"tags.`{name}`"


def _json(value: State) -> str:
    return json.dumps(value, separators=(",", ":"))
