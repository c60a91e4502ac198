import base64
import json
import random
import zlib
from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from wordlength.objectives.goals import DEFAULT_GOALS, KNOWN, Goals
from wordlength.search.plots import FRONT_COLOUR, OTHER_COLOUR
from wordlength.search.views import (
    LAYER_FIGURES,
    STATE_COLOURS,
    WORST_FIGURES,
    View,
    bits_metric,
    colour,
    link,
    published_views,
)

LAYERS = ("conv_1", "conv_2", "dense_1")
SLOTS = [f"{layer}.{role}" for layer in LAYERS for role in ("weights", "biases", "activations")]
OBJECTIVES = ("memory_bytes", "stoi_improvement")
TAG_CHARACTERS = 20_000
"""What MLflow's page takes for a view."""


def goals(*more: str) -> Goals:
    """The default two and further costs."""
    return Goals((*DEFAULT_GOALS.goals, *(replace(DEFAULT_GOALS.cost, name=name) for name in more)))


@pytest.fixture
def views() -> dict[str, View]:
    return {view.key: view for view in published_views(SLOTS)}


def charts(view: View, kind: str) -> list[dict]:
    return [chart for chart in view.state["compareRunCharts"] if chart["type"] == kind]


def axes(view: View) -> list[tuple[str, str]]:
    return [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in charts(view, "SCATTER")]


def metric_names(slots) -> list[str]:
    """Every name of a trial's metrics."""
    layered = [f"{figure}/{slot}" for figure in LAYER_FIGURES for slot in slots]
    named = [bits_metric(slot) for slot in slots] + [f"worst/{figure}" for figure in WORST_FIGURES]
    return [*layered, *named, "constraint/overflow", "seconds/step1", "loss", "memory_bytes"]


def test_the_front_is_the_first_view(views):
    assert [view.name for view in views.values()] == ["Pareto front", "All trials", "Fixed-point health"]
    times = [view.updated_ms for view in views.values()]
    assert times == sorted(times, reverse=True)  # MLflow's menu shows the latest first
    assert len(set(times)) == len(times)


def test_the_tag_unpacks_to_the_state(views):
    for view in views.values():
        name, value = view.tag
        assert name == f"mlflow.sharedViewState.{view.key}"
        envelope = json.loads(value)
        assert envelope["name"] == view.name
        assert envelope["createdAt"] == envelope["updatedAt"] == view.updated_ms
        method, _, packed = envelope["state"].partition(";")
        assert method == "deflate"
        assert json.loads(zlib.decompress(base64.b64decode(packed))) == json.loads(json.dumps(view.state))


def test_the_same_study_publishes_the_same_tags():
    assert [view.tag for view in published_views(SLOTS)] == [view.tag for view in published_views(tuple(SLOTS))]


def test_tags_of_sixty_slots_with_long_names_fit():
    rng = random.Random(0)
    layers = [f"block_{rng.randrange(10**9)}/depthwise_separable_convolution_{n}" for n in range(20)]
    slots = [f"{layer}.{role}" for layer in layers for role in ("weights", "biases", "activations")]
    assert len(slots) == 60
    sizes = [len(view.tag[1]) for view in published_views(slots, goals("latency", "energy"))]
    assert max(sizes) < TAG_CHARACTERS


@pytest.mark.parametrize("more", [(), ("latency",), ("latency", "energy")])
def test_one_scatter_for_each_pair_of_objectives(more):
    front, trials, _ = published_views(SLOTS, goals(*more))
    pairs = list(combinations((*OBJECTIVES, *more), 2))
    assert axes(front) == pairs
    assert axes(trials)[: len(pairs)] == pairs


def test_parallel_axes_are_bits_by_role_then_the_objectives(views):
    found = [chart["selectedMetrics"] for chart in charts(views["pareto-front"], "PARALLEL")]
    roles = ("weight", "activation")
    assert found == [[*(f"{role}_bits/{layer}" for layer in LAYERS), *OBJECTIVES] for role in roles]


def test_a_role_without_slots_has_no_parallel_axes():
    front, *_ = published_views(["conv_1.weights"])
    assert [chart["selectedMetrics"][0] for chart in charts(front, "PARALLEL")] == ["weight_bits/conv_1"]


def test_pruned_trials_have_a_chart_that_needs_no_stoi(views):
    found = axes(views["all-trials"])
    assert [("memory_bytes", f"worst/{figure}") for figure in WORST_FIGURES] == found[1:]


def test_health_is_each_worst_figure_against_stoi(views):
    assert axes(views["fixed-point-health"]) == [(f"worst/{figure}", "stoi_improvement") for figure in WORST_FIGURES]


@pytest.mark.parametrize("slots", [SLOTS, ["block/conv.weights", "deep/block/conv.activations"]])
def test_every_group_of_metrics_has_a_closed_section(slots):
    for view in published_views(slots):
        sections = {part["name"]: part["display"] for part in view.state["compareRunSections"]}
        wanted = {name.rpartition("/")[0] or "Model metrics" for name in metric_names(slots)} | {"System metrics"}
        assert [name for name in wanted if sections.get(name, True)] == []


def test_charts_and_sections_are_told_apart_and_belong_together(views):
    for view in views.values():
        sections = [part["uuid"] for part in view.state["compareRunSections"]]
        assert len(set(sections)) == len(sections)
        found = view.state["compareRunCharts"]
        assert len({chart["uuid"] for chart in found}) == len(found)
        shown = {part["uuid"] for part in view.state["compareRunSections"] if part["display"]}
        assert {chart["metricSectionId"] for chart in found} == shown


def test_views_go_by_the_goals_of_the_study():
    study = Goals((KNOWN["rmse"][0], KNOWN["inference_memory_bytes"][0]))
    front, _, health = published_views(SLOTS, study)
    assert axes(front) == [("inference_memory_bytes", "rmse")]
    assert axes(health)[0] == (f"worst/{WORST_FIGURES[0]}", "rmse")
    assert front.state["compareRunSections"][0]["name"] == "RMSE against inference memory"


def test_the_link_opens_the_front_unless_asked_otherwise():
    query = "workflowType=machine_learning&compareRunsMode=CHART"
    assert link("7") == f"/#/experiments/7/runs?viewStateShareKey=pareto-front&{query}"
    assert link("7", "all-trials") == f"/#/experiments/7/runs?viewStateShareKey=all-trials&{query}"


def test_colours_tell_front_and_states_apart():
    assert colour("complete", True) == FRONT_COLOUR
    assert colour("complete", False) == OTHER_COLOUR
    seen = [FRONT_COLOUR, *STATE_COLOURS.values()]
    lightness = sorted(_lightness(text) for text in seen)
    steps = [brighter - darker for darker, brighter in pairwise(lightness)]
    assert min(steps) > 10  # of 100; people tell apart about 1


def test_an_unknown_state_has_no_colour():
    with pytest.raises(ValueError, match="one of complete, pruned, failed, but got 'running'"):
        colour("running", False)


def _lightness(text: str) -> float:
    """CIE L* of an sRGB colour."""
    parts = [int(text[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * luminance ** (1 / 3) - 16
