"""Studies of other objectives: what a study file says, what is refused, and one that runs from launch to table."""

from pathlib import Path

import pytest

from wordlength.errors import SpecError
from wordlength.objectives.goals import DEFAULT_OBJECTIVES, require_measurable
from wordlength.search.study_file.spec import load_spec, parse_spec

MINIMAL = "name: s\ndata: {speech: [{kind: builtin}], noise: [{kind: builtin}]}\n"
OWN = "def level(heard):\n    return -float(abs(heard.enhanced).mean())\n"


def spec_of(objectives: str, folder: Path = Path()):
    return parse_spec(f"{MINIMAL}objectives: {objectives}\n", folder / "study.yaml")


def test_the_default_is_stoi_improvement_and_memory() -> None:
    spec = parse_spec(MINIMAL, Path("study.yaml"))
    assert spec.objectives == DEFAULT_OBJECTIVES
    assert spec_of("[stoi_improvement, memory_bytes]").fingerprint() == spec.fingerprint()


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ("[stoi_improvment, memory_bytes]", "must be known, .* but got 'stoi_improvment'; did you mean 'stoi_improve"),
        ("[stoi_improvement]", "must hold a quality and a cost, but got no cost: stoi_improvement"),
        ("[{name: rmse, unit: dB}, memory_bytes]", "rmse has its own unit, but got 'dB'"),
        ("[rmse, {name: memory_bytes, table: {shift: 1}}]", "keys must be known, but got 'shift'; memory_bytes has n"),
        ("[rmse, {name: energy_pj_per_frame, table: {memory_32: -1}}]", "at least 0, but memory_32 is -1"),
        ("[{name: 'own.py:level'}, memory_bytes]", "needs a direction, maximize or minimize"),
        ("[{name: 'own.py:level', direction: minimize}, memory_bytes]", "minimized needs a worst value, but has none"),
        ("[{name: 'own.py:rmse', direction: maximize}, memory_bytes]", "'rmse' is a known one"),
        ("[{name: 'none.py:level', direction: maximize}, memory_bytes]", "file must be readable, but .*none.py is not"),
        (
            "[{name: 'own.py:loud', direction: maximize}, memory_bytes]",
            "'loud' is not there; its functions are level",
        ),
        (
            "[{name: 'torn.py:f', direction: maximize}, memory_bytes]",
            r"must be Python, but .* \(.*torn\.py, line 1\)",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, objectives: str, message: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "torn.py").write_text("def f(:\n")
    with pytest.raises(SpecError, match=message) as told:
        spec_of(objectives, tmp_path)
    assert "\n" not in str(told.value)


def test_a_changed_function_is_another_study(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    objectives = "[{name: 'own.py:level', direction: maximize, unit: phon}, memory_bytes]"
    first = spec_of(objectives, tmp_path)
    assert first.objectives[0].source == OWN
    assert "abs(heard" not in first.published()
    (tmp_path / "own.py").write_text(OWN + "\n# another\n")
    assert spec_of(objectives, tmp_path).fingerprint() != first.fingerprint()


def test_scores_need_a_network_that_estimates_them() -> None:
    spec = spec_of("[pearson_correlation, memory_bytes]")
    with pytest.raises(SpecError, match=r"pearson_correlation needs outputs that are a score, .* target 'irm'; there"):
        require_measurable(spec.objectives, "irm", 16_000)


def test_a_submitted_study_takes_its_objectives_along(tmp_path: Path) -> None:
    from wordlength.search.submit import _write_objectives

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "loud.py").write_text(OWN)
    objective = "{name: '%s:level', direction: maximize}"
    spec = spec_of(f"[{objective % 'own/loud.py'}, memory_bytes]", tmp_path)
    there = tmp_path / "there"
    _write_objectives(spec, there)
    assert (there / "own" / "loud.py").read_text() == OWN
    elsewhere = spec_of(f"[{objective % (tmp_path / 'own' / 'loud.py')}, memory_bytes]", tmp_path)
    with pytest.raises(SpecError, match="must lie beside its file or below, but got '/"):
        _write_objectives(elsewhere, there)


@pytest.mark.studies
@pytest.mark.usefixtures("ray_session", "tensorflow")
def test_a_study_of_four_objectives_from_launch_to_table(write_study, run_cli) -> None:
    """One of them the user's own; bits are still allocated by bytes."""
    from mlflow import MlflowClient

    from wordlength import Home, launch, load_study

    path = write_study(
        (
            "name: tiny\n",
            "name: four\nobjectives: [si_sdr_improvement_db, inference_memory_bytes, energy_pj_per_frame, "
            "{name: 'own.py:level', direction: maximize}]\n",
        ),
        ("first_front: 0", "first_front: 1"),
        ("trials: 6", "trials: 3"),
    )
    (path.parent / "own.py").write_text(OWN)
    spec, home = load_spec(path), Home(path.parent / "home")
    names = ("si_sdr_improvement_db", "inference_memory_bytes", "energy_pj_per_frame", "level")
    view = launch(spec, home)
    assert view.counts["complete"] == 3
    assert all(tuple(point.values) == names for point in view.points)
    assert view.baseline.values.keys() == set(names)
    assert load_study("four", home) == view
    status, out, _ = run_cli("front", "four", "--home", home.root)
    assert status == 0
    assert "SI-SDR improvement" in out
    assert "energy per frame" in " ".join(out.split())  # Lines may break anywhere.
    assert "4 objectives: marks and ≈ are of SI-SDR improvement and inference memory alone" in out
    assert launch(spec, home).finished == 3  # Goes on without another trial.
    client = MlflowClient(home.tracking_address(spec))
    (experiment,) = client.search_experiments(filter_string="name = 'four'")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    assert all(set(names) < run.data.metrics.keys() for run in runs)
    assert len(runs) == 3
    assert run_cli("check", "four", "--home", home.root)[0] == 0
