"""wordlength compare: two fronts over each other, by figures known by hand, and on a real study."""

import json
import re
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from front_points import BASELINE, FIXED_313, MIXED, POWERS, png_size
from recorded import candidate
from strict_page import StrictPage
from test_goals_front import THREE
from two_goals import float_point, values

from wordlength import Home, StudyView, load_study
from wordlength.errors import SpecError
from wordlength.search.compare import Comparison, _warnings, compare
from wordlength.search.compare_tables import comparison_figures, comparison_tables
from wordlength.search.disk.restore import restore
from wordlength.search.front import FloatPoint
from wordlength.search.plots.two_fronts import fronts_figure, fronts_html, fronts_png
from wordlength.search.study import StudyStore
from wordlength.search.trials import TrialRow
from wordlength.space import Role, Slot

MEMORY = BASELINE.memory_bytes


def study(name: str, rows, baseline: FloatPoint = BASELINE, formats=MIXED) -> StudyView:
    """Trials (STOI improvement, share of float32's memory, gains of the mixtures)."""
    told = tuple(
        TrialRow(
            number,
            "complete",
            formats,
            values=values(stoi, share * MEMORY),
            memory_bytes=round(share * MEMORY),
            standard_error=0.003,
            gains=gains,
        )
        for number, (stoi, share, gains) in enumerate(rows)
    )
    return StudyView(name, told, baseline, len(told))


def comparison(one: StudyView, other: StudyView, same: bool = True) -> Comparison:
    return Comparison(one, other, (), (), same, (one.front[0], other.front[0]))


A = study("a", [(0.01, 0.25, (0.0, 0.02)), (0.03, 0.5, (0.02, 0.04)), (0.02, 0.75, (0.01, 0.03))])
B = study("b", [(0.02, 0.25, (0.01, 0.03)), (0.025, 0.5, (0.0, 0.05))], formats=POWERS)


def test_who_beats_whom_and_what_there_is_at_equal_cost_and_quality() -> None:
    found = comparison(A, B)
    one, other = found.members
    assert [row.point.number for row in one] == [0, 1]  # Trial 2 is on no front.
    assert [row.beaten_by and row.beaten_by.number for row in one] == [0, None]
    assert [row.beaten_by and row.beaten_by.number for row in other] == [None, 1]
    assert [row.at_cost and row.at_cost.number for row in one] == [0, 1]
    assert [row.at_quality and row.at_quality.number for row in one] == [0, None]
    assert [row.at_quality and row.at_quality.number for row in other] == [1, 1]


def test_differences_are_paired_where_the_mixtures_are_the_same() -> None:
    one, other = A.points[1], B.points[1]
    paired = comparison(A, B).difference(one, other)
    assert (paired.value, paired.paired) == (pytest.approx(0.005), True)
    assert paired.error == pytest.approx(np.std([0.02, -0.01], ddof=1) / np.sqrt(2))
    alone = comparison(A, B, same=False).difference(one, other)
    assert (alone.value, alone.paired) == (paired.value, False)
    assert alone.error == pytest.approx(np.hypot(0.003, 0.003))
    assert not alone.is_clear
    assert comparison(A, B).difference(A.points[1], A.points[0]).is_clear


def test_hypervolumes_count_from_one_reference() -> None:
    one, other, both = comparison(A, B).hypervolumes
    assert one == pytest.approx(0.03 * 0.5 + 0.01 * 0.25)
    assert other == pytest.approx(0.025 * 0.5 + 0.02 * 0.25)
    assert both == pytest.approx(0.03 * 0.5 + 0.02 * 0.25)
    # A network of twice the size: of both, shares are of the larger one's memory.
    larger = replace(B, baseline=float_point(0.034, 2 * MEMORY))
    found = comparison(A, larger)
    assert found.common.memory_bytes == 2 * MEMORY
    assert found.hypervolumes[0] == pytest.approx(0.03 * 0.75 + 0.01 * 0.125)
    assert found.hypervolumes[1] == pytest.approx(larger.hypervolume)


def test_what_members_are_called_stands_below_the_table() -> None:
    rows = (replace(B.rows[0], label="uniform po2<4,-1> [x]"), *B.rows[1:])
    found = list(comparison_tables(comparison(A, replace(B, rows=rows))))
    told = [part for part in found if isinstance(part, str) and re.match(r"[AB]'s trial", part)]
    assert told == ["B's trial 0: uniform po2<4,-1> [x]"]


def test_what_a_study_does_not_say_is_not_taken_for_equal() -> None:
    assert list(_warnings({}, {})) == [
        "whether their data are the same is not known: no difference is paired",
        "whether their float baselines are the same is not known",
    ]
    told = {"data_digest": "a", "baseline_content": "b"}
    assert list(_warnings(told, told)) == []
    assert next(_warnings(told, {"data_digest": "c"})).startswith("their data differ (the audio itself)")


def test_three_objectives() -> None:
    def three(name: str, *rows: tuple[float, float, float]) -> StudyView:
        told = tuple(
            TrialRow(
                number,
                "complete",
                candidate(),
                values=dict(zip(THREE.names, row, strict=True)),
                memory_bytes=100,
                goals=THREE,
            )
            for number, row in enumerate(rows)
        )
        return StudyView(name, told, FloatPoint({"rmse": 1.0, "energy": 3.0, "life": 1.0}, 100, THREE), len(told))

    found = comparison(three("a", (2, 2, 2), (3, 1, 1)), three("b", (2, 2, 3), (3, 1, 0.5)))
    one, other = ({row.point.number: row.beaten_by for row in rows} for rows in found.members)
    assert {number: beaten and beaten.number for number, beaten in one.items()} == {0: 0, 1: None}
    assert {number: beaten and beaten.number for number, beaten in other.items()} == {0: None, 1: 1}
    assert found.hypervolumes[0] == pytest.approx(4 * 4 * 2 + 3 * 5 * 1 - 3 * 4 * 1)
    text = "\n".join(part for part in comparison_tables(found) if isinstance(part, str))
    assert "counted for both from RMSE 6.0000, energy 6.0000 pJ, battery life 0.0000 h" in text
    assert png_size(fronts_png(found)) == (816, 480)


def test_the_drawings_tell_the_two_apart_without_colour() -> None:
    found = comparison(A, B)
    figure = fronts_figure(found)
    traces = {trace["name"]: trace for trace in figure["data"]}
    assert list(traces) == ["a: other trials", "a", "a: float32", "b", "b: float32"]
    assert traces["a"]["marker"]["symbol"] != traces["b"]["marker"]["symbol"]
    assert traces["a"]["line"]["dash"] != traces["b"]["line"]["dash"]
    assert traces["b"]["y"] == [0.02, 0.025]
    assert "b, trial 1" in traces["b"]["text"][1]
    assert png_size(fronts_png(found)) == (816, 480)
    page = fronts_html(found).decode()
    StrictPage(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert "a and b: Pareto fronts" in page


def test_fronts_are_equal_in_objectives_and_formats() -> None:
    assert comparison(A, replace(A, name="again")).equal
    lower = study("a", [(0.01, 0.25, (0.0, 0.02)), (0.029, 0.5, (0.02, 0.04))])
    others = study("a", [(0.01, 0.25, (0.0, 0.02)), (0.03, 0.5, (0.02, 0.04))], formats=POWERS)
    for other in (B, lower, others):
        assert not comparison(A, other).equal
        assert "the fronts are equal" not in str(list(comparison_tables(comparison(A, other))))


def test_json_has_every_figure() -> None:
    plain = json.loads(json.dumps(comparison_figures(comparison(A, B)), allow_nan=False))
    first = plain["studies"][0]["front"][0]
    assert first["trial"] == 0
    assert first["beaten_by"]["trial"] == 0
    assert first["beaten_by"]["quality_difference"] == pytest.approx(0.01)
    assert plain["gain"] == pytest.approx(0.0)
    assert plain["hypervolume_together"] == pytest.approx(0.02)
    slots = {slot for slot in MIXED if MIXED[slot] != POWERS[slot]}
    assert set(plain["formats"]) == {str(slot) for slot in slots}
    assert plain["formats"]["dense_1.weights"] == ["fixed<5,-1>", "po2<4,-1>"]


def test_a_slot_that_one_network_lacks() -> None:
    other = study("c", [(0.02, 0.25, ())], formats=FIXED_313)
    lacking = replace(other.front[0], candidate=other.front[0].candidate.parameters_only())
    found = replace(comparison(A, other), picked=(A.front[0], lacking))
    assert Slot("dense_1", Role.ACTIVATIONS) in found.formats


@pytest.fixture
def two_studies(restored_study: Home, tiny_archive) -> Home:
    """The real study, and the same under another name."""
    restore(tiny_archive, restored_study, "again")
    return restored_study


@pytest.mark.usefixtures("ray_session")
def test_a_study_against_itself(two_studies: Home, run_cli, tmp_path) -> None:
    found = compare("tiny", "again", two_studies)
    front = load_study("tiny", two_studies).front
    assert found.same_mixtures
    assert (found.settings, found.warnings, found.formats) == ((), (), {})
    assert len({*found.hypervolumes}) == 1
    for rows in found.members:
        assert [row.at_cost.number for row in rows] == [point.number for point in front]
        assert [row.beaten_by for row in rows] == [None] * len(front)
        assert {found.difference(row.at_cost, row.point).error for row in rows} == {0.0}
    picture = tmp_path / "fronts.png"
    status, out, err = run_cli("compare", "tiny", "again", "--home", two_studies.root, "--plot", picture)
    assert (status, err) == (0, f"written: {picture}\n"), out
    assert png_size(picture.read_bytes()) == (816, 480)
    assert "B against A +0.00000" in out
    assert "the same" in out
    assert "the fronts are equal: all " in out
    assert "beaten" not in out
    status, out, _ = run_cli("compare", "tiny", "again", "--pick", "best", "--json", "-", "--home", two_studies.root)
    assert json.loads(out)["studies"][1]["picked"] == found.second.front[-1].number
    status, _, err = run_cli("compare", "tiny", "again", "--pick", "trial=99", "--home", two_studies.root)
    assert status == 2
    assert "(--pick, study 'tiny')" in err


@pytest.mark.usefixtures("ray_session")
def test_what_differs_is_named_and_other_objectives_are_refused(two_studies: Home) -> None:
    spec = two_studies.find("again")
    with closing(StudyStore.open("again", two_studies.optuna_address(spec))) as store:
        known = store.attributes
        print_ = known["fingerprint"]
        changed = print_ | {"seed": 1, "data": print_["data"] | {"snr_db": [5.0]}, "model": {"name": "other"}}
        store.remember({"fingerprint": changed, "data_digest": "x", "baseline_content": "y"})
        found = compare("tiny", "again", two_studies)
        assert not found.same_mixtures
        assert {"seed", "data.snr_db", "model.name"} <= {row.place for row in found.settings}
        text = "\n".join(found.warnings)
        assert "their data differ (data.snr_db)" in text
        assert "their networks differ (model." in text
        assert "their float baselines differ (seed" in text
        goals = [*known["baseline"]["goals"]]
        goals[1] = goals[1] | {"name": "energy"}
        told = {"stoi_improvement": 0.1, "energy": 100.0}
        store.remember({"baseline": known["baseline"] | {"goals": goals, "values": told}})
    expected = "'tiny' has stoi_improvement, memory_bytes and 'again' has stoi_improvement, energy"
    with pytest.raises(SpecError, match=expected):
        compare("tiny", "again", two_studies)
