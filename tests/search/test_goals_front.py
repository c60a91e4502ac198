"""Fronts of other objectives than the default two: directions, more than two, the plane they are drawn in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.objectives.goals import KNOWN, Goal, GoalKind, Goals
from wordlength.search.front import FloatPoint, FrontPoint, hypervolume, knee, pareto_front, pick, plane
from wordlength.search.hypervolume import volume
from wordlength.search.tables import verdict
from wordlength.search.trials import StudyView
from wordlength.space import Candidate

NOTHING = Candidate.of({})
THREE = Goals(
    (
        Goal("rmse", "RMSE", "", GoalKind.QUALITY, maximize=False, worst=6.0),
        Goal("energy", "energy", "pJ", GoalKind.COST, maximize=False, worst=6.0),
        Goal("life", "battery life", "h", GoalKind.COST, maximize=True, worst=0.0),
    )
)


def point(number: int, *values: float, goals: Goals = THREE) -> FrontPoint:
    return FrontPoint(number, dict(zip(goals.names, values, strict=True)), 100, NOTHING, goals=goals)


triples = st.tuples(*[st.integers(0, 6)] * 3)
clouds = st.lists(triples, max_size=9).map(lambda rows: [point(n, *row) for n, row in enumerate(rows)])


def dominates(a: FrontPoint, b: FrontPoint) -> bool:
    ours, theirs = THREE.ahead(a.values), THREE.ahead(b.values)
    return ours != theirs and all(x >= y for x, y in zip(ours, theirs, strict=True))


@given(clouds)
def test_the_front_is_what_the_definition_says_in_three_objectives(cloud) -> None:
    front = pareto_front(cloud)
    unbeaten = [p for p in cloud if not any(dominates(q, p) for q in cloud)]
    assert {tuple(p.values.items()) for p in front} == {tuple(p.values.items()) for p in unbeaten}
    assert len({tuple(p.values.items()) for p in front}) == len(front)
    for member in front:
        assert member.number == min(p.number for p in cloud if p.values == member.values)
    assert [p.cost for p in front] == sorted(p.cost for p in front)


@given(clouds)
def test_the_hypervolume_is_the_count_of_unit_cells(cloud) -> None:
    cells = sum(
        any(6 - p.values["rmse"] > x and 6 - p.values["energy"] > y and p.values["life"] > z for p in cloud)
        for x, y, z in itertools.product(range(6), range(6), range(6))
    )
    own = FloatPoint({"rmse": 1.0, "energy": 1.0, "life": 1.0}, 100, THREE)
    assert hypervolume(cloud, own) == pytest.approx(cells, abs=1e-9)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), max_size=6))
def test_volumes_of_four_dimensions(points) -> None:
    cells = sum(
        any(all(a > b for a, b in zip(p, cell, strict=True)) for p in points)
        for cell in itertools.product(range(3), repeat=4)
    )
    assert volume(tuple(map(float, p)) for p in points) == pytest.approx(cells, abs=1e-9)


def test_picks_are_made_in_the_plane_of_first_quality_and_first_cost() -> None:
    corner, dear = point(1, 2, 2, 1), point(2, 1, 6, 1)
    cloud = [point(0, 5, 1, 1), corner, dear, point(3, 6, 6, 9)]
    front = pareto_front(cloud)
    assert {p.number for p in front} == {0, 1, 2, 3}
    assert [p.number for p in plane(front)] == [0, 1, 2]
    assert knee(front) is corner
    assert (pick(front, "best"), pick(front, "smallest").number) == (dear, 0)
    assert pick(front, "trial=3").number == 3


def test_a_size_is_no_rule_where_the_first_cost_counts_no_bytes() -> None:
    with pytest.raises(ValueError, match="max-bytes needs a study whose first cost counts bytes, but it is energy"):
        pick([point(0, 1, 1, 1)], "max-bytes=10kB")


def test_a_share_of_float32s_own_counts_where_nothing_absolute_is_the_worst() -> None:
    goals = Goals((KNOWN["pearson_correlation"][0], KNOWN["inference_memory_bytes"][0]))
    own = FloatPoint({"pearson_correlation": 0.9, "inference_memory_bytes": 1000}, 100, goals)
    assert hypervolume([point(0, 0.8, 250, goals=goals)], own) == pytest.approx(0.8 * 0.75)


@pytest.mark.parametrize(
    ("cost", "told"), [("operations_per_frame", "with operations per frame 100"), ("memory_bytes", "with 100 bytes")]
)
def test_the_verdict_names_a_cost_that_is_no_bytes(cost: str, told: str) -> None:
    goals = Goals((KNOWN["stoi"][0], KNOWN[cost][0]))
    view = StudyView("c", (), FloatPoint({"stoi": 0.5, cost: 100}, 100, goals), 4)
    assert verdict(view) == (f"float32: STOI 0.5000 {told}", "no trial is complete yet")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stoi_improvement"], "must hold a quality and a cost, but got no cost: stoi_improvement"),
        (["memory_bytes", "energy_pj_per_frame"], "got no quality: memory_bytes, energy_pj_per_frame"),
        (["rmse", "rmse", "memory_bytes"], "must differ by name, but 'rmse' comes twice"),
    ],
)
def test_goals_that_make_no_front_are_refused(names, message) -> None:
    with pytest.raises(ValueError, match=message):
        Goals(tuple(KNOWN[name][0] for name in names))


@pytest.mark.parametrize(
    ("name", "qualities", "low", "high"),
    [
        ("stoi_improvement", (0.02, 0.04, -0.3), 0.015, 0.02),
        ("stoi_improvement", (0.005, 0.04, -0.3), -0.01, 0.0),  # Where nothing done is near, the axis holds it.
        ("stoi", (0.62, 0.64, 0.1), 0.6, 0.62),
        ("pearson_correlation", (0.8, 0.9, -0.2), 0.75, 0.8),
    ],
)
def test_the_front_fills_the_quality_axis(name: str, qualities, low: float, high: float) -> None:
    """And what is far off is counted, not drawn, even if it is the smallest member of the front."""
    from wordlength.search.plots.scale import drawn

    goals = Goals((KNOWN[name][0], KNOWN["memory_bytes"][0]))
    cloud = [point(n, quality, 100 - n, goals=goals) for n, quality in enumerate(qualities)]
    own = FloatPoint({name: max(qualities), "memory_bytes": 1000}, 1000, goals)
    drawing = drawn(cloud, pareto_front(cloud), own, "study")
    assert low < drawing.qualities[0] < high < drawing.qualities[1]
    assert [mark.text for mark in drawing.marks] == ["knee, best"]
    assert drawing.hidden == "1 trial below this range"


def test_trials_that_would_squeeze_the_front_are_counted() -> None:
    from wordlength.search.plots.scale import drawn

    goals = Goals((KNOWN["stoi_improvement"][0], KNOWN["memory_bytes"][0]))
    rows = [(0.046, 50), (0.050, 90), (0.043, 95), (0.030, 96), (0.010, 97)]
    cloud = [point(n, *row, goals=goals) for n, row in enumerate(rows)]
    own = FloatPoint({"stoi_improvement": 0.049, "memory_bytes": 400}, 400, goals)
    drawing = drawn(cloud, pareto_front(cloud), own, "study")
    assert 0.042 < drawing.qualities[0] < 0.043
    assert 0.050 < drawing.qualities[1] < 0.053
    assert drawing.hidden == "2 trials below this range"


def test_a_front_that_improves_nothing_is_drawn_as_well() -> None:
    from wordlength.search.plots.scale import drawn

    goals = Goals((KNOWN["stoi_improvement"][0], KNOWN["memory_bytes"][0]))
    cloud = [point(n, *row, goals=goals) for n, row in enumerate([(-0.046, 50), (-0.013, 90), (-0.058, 55)])]
    own = FloatPoint({"stoi_improvement": -0.014, "memory_bytes": 400}, 400, goals)
    drawing = drawn(cloud, pareto_front(cloud), own, "study")
    assert (drawing.hidden, len(drawing.marks)) == ("", 2)
    assert -0.065 < drawing.qualities[0] < -0.058
    assert drawing.qualities[1] > 0.0  # Nothing done is near.


def test_what_hardly_differs_is_drawn_at_one_height() -> None:
    from wordlength.search.plots.scale import drawn

    goals = Goals((KNOWN["stoi"][0], KNOWN["memory_bytes"][0]))
    cloud = [point(n, 0.77 + n * 1e-6, 100 + n, goals=goals) for n in range(3)]
    own = FloatPoint({"stoi": 0.77, "memory_bytes": 400}, 400, goals)
    bottom, top = drawn(cloud, pareto_front(cloud), own, "study").qualities
    assert 0.01 < top - bottom < 0.03
    assert 0.25 < (0.77 - bottom) / (top - bottom) < 0.6


def test_less_is_higher_in_drawings_where_less_is_better() -> None:
    from wordlength.search.plots.figure import plotly_figure
    from wordlength.search.plots.scale import drawn

    goals = Goals((KNOWN["rmse"][0], KNOWN["energy_pj_per_frame"][0]))
    cloud = [point(n, *row, goals=goals) for n, row in enumerate([(0.3, 1e5), (0.2, 2e5), (0.1, 4e5)])]
    front = pareto_front(cloud)
    own = FloatPoint({"rmse": 0.1, "energy_pj_per_frame": 3e6}, 100, goals)
    drawing = drawn(cloud, front, own, "study")
    bottom, top = drawing.qualities
    assert bottom > 0.3 > 0.1 > top
    figure = plotly_figure(drawing)
    assert figure["layout"]["xaxis"]["title"]["text"] == "energy per frame in pJ"
    assert figure["layout"]["yaxis"]["title"]["text"] == "RMSE (less is better)"
    assert drawing.place(front[-1])[1] > drawing.place(front[0])[1]
