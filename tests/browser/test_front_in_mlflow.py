"""The published views in the real page: what MLflow's undocumented state does is known from here alone."""

import re
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow_study import LAYERS, OBJECTIVES, Study, Trial

from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.search.views import LAYER_FIGURES, STATE_COLOURS, WORST_FIGURES, link

pytestmark = [
    pytest.mark.usefixtures("keep"),
    pytest.mark.filterwarnings(
        r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
    ),
]

FRONT = [Trial(n, "complete", 20_000.0 + 5_000 * n, 0.02 + 0.002 * n, True, 0.2 - 0.01 * n) for n in range(4)]
DOMINATED = [Trial(n, "complete", 30_000.0 + 3_000 * n, 0.005 + 0.001 * n, False, 0.3) for n in range(4, 10)]
PRUNED = [Trial(n, "pruned", 12_000.0 + 1_000 * n) for n in range(10, 13)]
FAILED = [Trial(13, "failed"), Trial(14, "failed")]
NEWCOMER = Trial(15, "complete", 15_000.0, 0.019, True, 0.1)

GROUPS = ["weight_bits", "activation_bits", "worst", "Model metrics", *LAYER_FIGURES]
TALL = 2600
"""Pixels in which all charts of a view lie in the window: the page draws no others."""

SCATTERS = """
[...document.querySelectorAll('.js-plotly-plot')].filter(e => e.data).map(e => ({
  axes: [e.layout.xaxis.title.text, e.layout.yaxis.title.text],
  names: e.data[0].customdata.map(point => point[1]),
  colours: e.data[0].marker.color,
}))
"""
AXES = (
    "[...document.querySelectorAll('.parcoords')].map(e => [...e.querySelectorAll('.dimension')].map(d => d.__data__))"
)


def names(trials) -> list[str]:
    return sorted(f"trial {trial.number}" for trial in trials)


@pytest.fixture(scope="module")
def client(server) -> MlflowClient:
    return MlflowClient(tracking_uri=server.store)


@pytest.fixture(scope="module")
def study(client) -> Study:
    """Two objectives; trials of every kind, written out of order."""
    written = Study(client, "two objectives")
    for trial in [*FRONT[::2], *FAILED, *DOMINATED, *PRUNED, *FRONT[1::2]]:
        written.add(trial)
    return written


@pytest.fixture
def look(browser, server):
    """Opens a view and returns its scatters by axes, once there are as many as expected."""

    def open_it(study: Study, view: str, expected: int, **options) -> dict[tuple[str, str], dict]:
        browser.open(server.address + link(study.experiment_id, view), height=TALL, **options)
        browser.wait_for(f"({SCATTERS}).length >= {expected}")
        return scatters(browser)

    return open_it


def scatters(browser) -> dict[tuple[str, str], dict]:
    found = browser.evaluate(SCATTERS)
    assert len({tuple(chart["axes"]) for chart in found}) == len(found)
    return {tuple(chart["axes"]): chart for chart in found}


def unopened(browser) -> list[str]:
    """Groups of metrics in a closed section each: MLflow has made their charts, but draws and loads none of them."""
    text = browser.evaluate("document.body.innerText")
    return [group for group in GROUPS if re.search(rf"{re.escape(group)}\s*\(\d+\)", text)]


def test_the_link_opens_on_a_scatter_of_exactly_the_front(look, study, browser):
    charts = look(study, "pareto-front", 1)
    assert list(charts) == [OBJECTIVES]
    assert sorted(charts[OBJECTIVES]["names"]) == names(FRONT)
    assert browser.evaluate("document.body.innerText.match(/(\\d+) matching runs/)[1]") == str(len(FRONT))
    assert unopened(browser) == GROUPS
    assert browser.unexpected == []


def test_parallel_axes_are_the_layers_and_end_in_the_objectives(look, study, browser):
    look(study, "pareto-front", 1)
    browser.wait_for(f"({AXES}).filter(axes => axes.length).length == 2")
    roles = ("weight", "activation")
    assert browser.evaluate(AXES) == [[*(f"{role}_bits/{layer}" for layer in LAYERS), *OBJECTIVES] for role in roles]


def test_all_trials_show_dominated_grey_and_pruned_amber(look, study, browser):
    charts = look(study, "all-trials", 1 + len(WORST_FIGURES))
    assert sorted(charts[OBJECTIVES]["names"]) == names([*FRONT, *DOMINATED])
    for figure in WORST_FIGURES:
        chart = charts["memory_bytes", f"worst/{figure}"]
        colours = dict(zip(chart["names"], chart["colours"], strict=True))
        assert sorted(colours) == names([*FRONT, *DOMINATED, *PRUNED])
        assert [colours[name] for name in names(PRUNED)] == [STATE_COLOURS["pruned"]] * len(PRUNED)
        assert [colours[name] for name in names(DOMINATED)] == [STATE_COLOURS["complete"]] * len(DOMINATED)
    # A failed trial has no figures, so no point: it is in the list of runs.
    listed = browser.evaluate("[...document.querySelectorAll('a')].map(e => e.innerText)")
    assert set(names([*FRONT, *DOMINATED, *PRUNED, *FAILED])) <= set(listed)
    assert len(charts) == 1 + len(WORST_FIGURES)
    assert unopened(browser) == GROUPS
    assert browser.unexpected == []


def test_health_has_a_scatter_for_each_worst_figure(look, study, browser):
    charts = look(study, "fixed-point-health", len(WORST_FIGURES))
    assert list(charts) == [(f"worst/{figure}", "stoi_improvement") for figure in WORST_FIGURES]
    for chart in charts.values():
        assert sorted(chart["names"]) == names([*FRONT, *DOMINATED])
    assert unopened(browser) == GROUPS
    assert browser.unexpected == []


def test_three_objectives_give_three_scatters(look, client):
    study = Study(
        client, "three objectives", Goals((*DEFAULT_GOALS.goals, replace(DEFAULT_GOALS.cost, name="seconds_per_clip")))
    )
    for trial in FRONT:
        study.add(trial)
    charts = look(study, "pareto-front", 3)
    pairs = [OBJECTIVES, ("memory_bytes", "seconds_per_clip"), ("stoi_improvement", "seconds_per_clip")]
    assert list(charts) == pairs
    assert all(sorted(chart["names"]) == names(FRONT) for chart in charts.values())


def test_the_front_moves_in_the_open_page(look, client, browser):
    study = Study(client, "moving")
    runs = [study.add(trial) for trial in FRONT]
    look(study, "pareto-front", 1, own_clock=True)
    browser.evaluate("window.neverLoadedAnew = true")
    study.add(NEWCOMER)
    study.dominate(runs[0])
    # The page asks again 30 s after it last did; its clock moves on by so much in a moment.
    browser.page.clock.fast_forward(31_000)
    wanted = names([*FRONT[1:], NEWCOMER])
    browser.wait_for(f"JSON.stringify(({SCATTERS})[0]?.names.sort()) == JSON.stringify({wanted})")
    assert browser.evaluate("window.neverLoadedAnew")
