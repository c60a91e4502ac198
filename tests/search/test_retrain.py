"""retrain: what is picked, what is kept of it, and what it says; one real run, the rest with a stand-in."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from front_points import MIXED
from retrainings import StandIn, both
from rich.console import Console
from two_goals import float_point, front_point, values

from wordlength import SpecError, load_study
from wordlength.errors import TrainingDiverged
from wordlength.objectives.settings import RetrainingSettings
from wordlength.search.measure_tables import retrained_table
from wordlength.search.retrain import HeldOut, RetrainedTrial, chosen
from wordlength.search.trials import StudyView, TrialRow
from wordlength.search.weights import load_weights

pytestmark = [
    pytest.mark.usefixtures("ray_session", "tensorflow"),
]


def view_of(*objectives: tuple[float, int]) -> StudyView:
    rows = (TrialRow(n, "complete", MIXED, values=values(s, m), memory_bytes=m) for n, (s, m) in enumerate(objectives))
    return StudyView("s", tuple(rows), float_point(0.04, 1_875_812), len(objectives))


FOUR = view_of((0.03, 200_000), (0.01, 100_000), (0.005, 150_000), (0.04, 400_000))
"""Trials 1, 0, 3 are the front, ascending in memory."""


@pytest.mark.parametrize(
    ("rules", "numbers"),
    [
        ((), [1, 0, 3]),
        (("best", "smallest"), [1, 3]),
        (("best", "trial=3", "max-bytes=1MB"), [3]),
        (("trial=2",), [2]),
        (("max-bytes=250kB", "smallest"), [1, 0]),
    ],
)
def test_the_rules_pick_each_trial_once(rules: tuple[str, ...], numbers: list[int]) -> None:
    assert [point.number for point in chosen(FOUR, rules)] == numbers


@pytest.mark.parametrize(
    ("view", "rules", "message"),
    [
        (FOUR, ("best", "trial=9"), r"trial= takes the number of a complete trial .* but got 9 \(--pick\)"),
        (FOUR, ("max-bytes=1",), r"smallest front member's 100000 bytes .* \(--pick\)"),
        (FOUR, ("fastest",), r"a front member is picked by one of .* but got 'fastest' \(--pick\)"),
        (view_of(), (), "a study must have a complete trial to retrain, but 's' has none yet"),
    ],
)
def test_what_cannot_be_picked_is_refused(view: StudyView, rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        chosen(view, rules)


def test_shares_and_errors_by_hand() -> None:
    part = HeldOut((0.02, 0.04, 0.03), (0.03, 0.05, 0.01))
    assert part.quality == part.float_quality == pytest.approx(0.03)
    # Differences -0.01, -0.01, 0.02: standard deviation 0.01·√3, of the mean of three 0.01.
    assert part.difference == pytest.approx((0.0, 0.01))
    assert part.kept == pytest.approx((1.0, 1 / 3))
    assert HeldOut((0.02,), (-0.01,)).kept is None
    assert HeldOut((0.02,), (-0.01,)).to_dict()["kept"] is None


def test_the_table_fits_80_columns() -> None:
    part = HeldOut((0.0123, -0.0156), (0.0456, 0.0234))
    point = front_point(123_456, 0.0123, 1_875_811, MIXED)
    file = io.StringIO()
    Console(file=file, width=80).print(
        retrained_table([RetrainedTrial(point, part, part)], float_point(0.0345, 1_875_812))
    )
    assert "…" not in file.getvalue()
    assert "1,875,811  0.0%" in file.getvalue()


def test_without_a_share_the_quality_is_told() -> None:
    worse = HeldOut((-0.02, -0.04), (-0.01, -0.02))
    rows = [RetrainedTrial(front_point(1, -0.031, 1000, MIXED), worse, worse)]
    file = io.StringIO()
    Console(file=file, width=80).print(retrained_table(rows, float_point(-0.015, 4000)))
    assert "kept" not in file.getvalue()
    assert "1 1,000 75.0%   -0.0310    -0.0300    -0.0300" in file.getvalue()


def test_a_real_run_is_kept_and_reused(
    run_retrain, copied_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wordlength.objectives import retraining

    _, home = copied_study
    view = load_study("tiny", home)
    file = tmp_path / "retrained.json"
    status, out, err = run_retrain("--pick", "smallest", "--json", file)
    assert status == 0, err
    point = view.front[0]
    (loss,) = re.findall(rf"trial {point.number}: 2 of 2, step 2, epoch 1, distillation loss (\S+)", err)
    assert f"{point.memory_bytes:,}" in out
    written = json.loads(file.read_text())
    (trial,) = written["trials"]
    assert float(loss) == pytest.approx(trial["losses"][1][0], rel=0.01)
    assert (written["command"], written["settings"]["epochs"], trial["trial"]) == ("retrain", 1, point.number)
    assert len(trial["test"]["gains"]) == len(trial["test"]["float_gains"]) >= 2
    assert trial["test"]["stoi_improvement"] == pytest.approx(np.mean(trial["test"]["gains"]))
    kept = home.study("tiny").retrained(point.number)
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name, f"{kept.stem}.npz"]
    weights = load_weights(kept.with_suffix(".npz"))
    assert weights is not None
    assert sum(weight.size for weight in weights) * 4 == view.baseline.memory_bytes
    monkeypatch.setattr(retraining, "Retrainer", None)  # Nothing is trained any more.
    status, out, err = run_retrain("--pick", "smallest", "--json", file)
    assert status == 0, err
    assert "retrained before" in err
    assert json.loads(file.read_text()) == written


def test_the_table_tells_what_is_kept(run_retrain, stand_in: StandIn, ends) -> None:
    status, out, err = run_retrain(*both(ends))
    assert status == 0, err
    assert stand_in.trained == [point.candidate for point in ends]
    for point in ends:
        line = next(line for line in out.splitlines() if line.strip().startswith(f"{point.number} "))
        # 0.04 of 0.05, always 0.01 less; 0.1 / 3 of 0.03, differences -0.01, -0.01 and 0.03.
        assert line.split()[1] == f"{point.memory_bytes:,}"
        assert "80.0 ± 0.0%" in line
        assert "111.1 ± 44.4%" in line
        assert "+0.0033 ± 0.0133" in line
    caption = "float32: STOI improvement +0.0500 on 2 validation mixtures, +0.0300 on 3 test mixtures"
    assert caption in " ".join(out.split())  # It may wrap.


def test_other_settings_train_again(run_retrain, stand_in: StandIn, ends) -> None:
    pick = both(ends)[:2]
    for options, count in (((), 1), ((), 1), (("--distillation", 0.25), 2), (("--distillation", 0.25), 2), ((), 3)):
        status, _, err = run_retrain(*pick, *options)
        assert status == 0, err
        assert len(stand_in.trained) == count


def lose(kept: Path) -> None:
    kept.unlink()


def cut(kept: Path) -> None:
    kept.write_text(kept.read_text()[:99])


def forget_a_part(kept: Path) -> None:
    kept.write_text(json.dumps({key: part for key, part in json.loads(kept.read_text()).items() if key != "test"}))


def lose_the_weights(kept: Path) -> None:
    kept.with_suffix(".npz").unlink()


def cut_the_weights(kept: Path) -> None:
    weights = kept.with_suffix(".npz")
    weights.write_bytes(weights.read_bytes()[:50])


@pytest.mark.parametrize(
    "damage", [lose, cut, forget_a_part, lose_the_weights, cut_the_weights], ids=lambda damage: damage.__name__
)
def test_damaged_results_are_made_again(run_retrain, stand_in: StandIn, ends, copied_study, damage) -> None:
    _, home = copied_study
    pick, kept = both(ends)[:2], home.study("tiny").retrained(ends[0].number)
    run_retrain(*pick)
    before = kept.read_bytes()
    damage(kept)
    status, _, err = run_retrain(*pick)
    assert status == 0, err
    assert len(stand_in.trained) == 2
    assert kept.read_bytes() == before


def test_one_that_diverges_does_not_stop_the_others(run_retrain, stand_in: StandIn, ends, tmp_path: Path) -> None:
    stand_in.errors[ends[0].candidate] = TrainingDiverged("training must stay finite, but loss is nan in epoch 1")
    file = tmp_path / "retrained.json"
    status, out, err = run_retrain(*both(ends), "--json", file)
    assert status == 0, err
    assert stand_in.trained == [ends[1].candidate]
    assert "diverged" in out
    assert f"trial {ends[0].number}: training must stay finite, but loss is nan in epoch 1" in out
    first, second = json.loads(file.read_text())["trials"]
    assert (first["test"], second["test"]["stoi_improvement"]) == (None, pytest.approx(0.1 / 3))


def test_ctrl_c_loses_nothing_finished(run_retrain, stand_in: StandIn, ends, copied_study) -> None:
    _, home = copied_study
    stand_in.errors[ends[1].candidate] = KeyboardInterrupt()
    status, _, err = run_retrain(*both(ends))
    assert status == 130
    assert "stopped; every trial that was retrained is kept; go on with: wordlength retrain tiny" in err
    assert [home.study("tiny").retrained(point.number).exists() for point in ends] == [True, False]
    stand_in.errors.clear()
    status, _, err = run_retrain(*both(ends))
    assert status == 0, err
    assert stand_in.trained == [point.candidate for point in ends]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epochs", 0), "epochs must be between 1 and 10000, but got 0 (--epochs)"),
        (("--distillation", 2), "distillation must be between 0 and 1, but got 2 (--distillation)"),
        (("--pick", "worst"), "but got 'worst' (--pick)"),
        (("--json", "no/where.json"), "a file's folder must exist, but no does not (--json)"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(run_retrain, stand_in, copied_study, options, message: str) -> None:
    _, home = copied_study
    status, _, err = run_retrain(*options)
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not home.study("tiny").retrained(0).parent.exists()


def test_another_float_baseline_is_refused(
    run_retrain, stand_in, copied_study, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wordlength.objectives.baseline import Baseline

    monkeypatch.setattr(Baseline, "content_digest", "0123456789abcdef")
    status, _, err = run_retrain()
    assert status == 2
    assert "a study keeps its float baseline, but that of 'tiny' was trained again with another result" in err


def test_help_teaches_and_strangers_are_refused(run_cli, tmp_path: Path) -> None:
    status, out, _ = run_cli("retrain", "--help")
    assert status == 0
    assert "wordlength retrain demo --pick best" in out
    defaults = RetrainingSettings()
    assert f"[default: ({defaults.epochs})]" in out
    assert f"[default: ({defaults.distillation:g})]" in out
    status, _, err = run_cli("retrain", "nobody", "--home", tmp_path / "home")
    assert status == 2
    assert "a study must have been launched, but got 'nobody'" in err
