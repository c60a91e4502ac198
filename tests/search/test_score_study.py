"""A study that estimates a score (Nilsson et al. 2024), from its file through every command to the export."""

import json
from pathlib import Path

import pytest

from wordlength import load_spec, load_study
from wordlength.space import Binary, Float32, Role, Slot

STUDY = """
name: score
data_root: {root}
data:
  speech: [{kind: folder, path: speech}]
  noise: [{kind: folder, path: noise}]
  snr_db: [-5, 5, 15]
  mixtures_per_utterance: 3
  subset_fraction: 0.5
  features: {sample_rate_hz: 8000, frame_samples: 256, hop_samples: 128, mel_bins: 8}
  target: {kind: score, measure: stoi, segment_seconds: 0.25}
model: {name: quality_cnn, width: 0.03}
objectives: [pearson_correlation, rmse, inference_memory_bytes]
training: {baseline_epochs: 2, batch_size: 16, learning_rate: 0.01}
analysis: {windows: 16}
gate: {overflow: 1, underflow: 1, precision: 1}
space:
  weights: {fixed: {bits: [4, 8]}}
  biases: fixed<16,2>
  activations: {fixed: {bits: [6, 8]}}
  layers:
    'conv_[1-6]': {activations: {fixed: {bits: [6, 8]}, binary: {steepness: 3}}}
search:
  trials: 5
  first_front: 0
  allocated: 0
  startup_trials: 1
  uniform:
    - {label: float32, weights: float32, biases: float32, activations: float32}
    - label: BAM
      weights: float32
      biases: float32
      activations: float32
      layers: {'conv_[1-6]': {activations: 'binary<steepness=3>'}}
    - {label: 8 bit, weights: 'fixed:8', biases: 'fixed:16', activations: 'fixed:8'}
    - label: BAM + 8 bit
      weights: fixed:8
      biases: fixed:16
      activations: fixed:8
      layers: {'conv_[1-6]': {activations: 'binary<steepness=3>'}}
"""
NAMES = ("pearson_correlation", "rmse", "inference_memory_bytes")

pytestmark = [pytest.mark.studies, pytest.mark.usefixtures("ray_session", "tensorflow")]


@pytest.fixture(scope="module")
def study(launch_text):
    return launch_text(STUDY)


def test_all_objectives_are_measured_and_references_named(study) -> None:
    _, home, view = study
    assert view.counts["complete"] == 5
    assert all(tuple(point.values) == NAMES for point in view.points)
    assert load_study("score", home) == view
    by_label = {point.label: point for point in view.points if point.label}
    assert set(by_label) == {"float32", "BAM", "8 bit", "BAM + 8 bit"}
    sizes = {label: point.values["inference_memory_bytes"] for label, point in by_label.items()}
    assert sizes["BAM + 8 bit"] < min(sizes["BAM"], sizes["8 bit"]) < sizes["float32"]
    assert sizes["float32"] == view.baseline.values["inference_memory_bytes"]
    formats = by_label["BAM"].candidate
    assert formats[Slot("conv_6", Role.ACTIVATIONS)] == Binary(steepness=3)
    assert formats[Slot("conv_7", Role.ACTIVATIONS)] == Float32()


def test_every_table_and_page_speaks_of_the_studys_objectives(study, run_cli, tmp_path: Path) -> None:
    _, home, _ = study
    told = {}
    for command in ("status", "front", "check"):
        status, told[command], err = run_cli(command, "score", "-q", "--home", home.root)
        assert (status, err) == (0, ""), told[command]
    for name in ("front.png", "front.html"):
        assert run_cli("front", "score", "--plot", tmp_path / name, "--home", home.root)[0] == 0
    told["page"] = (tmp_path / "front.html").read_text(encoding="utf-8")
    assert "Pearson correlation" in told["front"]
    status_text = " ".join(told["status"].replace("│", " ").split())
    assert "(Pearson correlation x RMSE below 1 x share of inference memory saved)" in status_text
    assert "inference memory" in told["page"]
    for text in told.values():
        assert "STOI improvement" not in text


def test_mlflow_has_every_objective_and_no_improvement(study) -> None:
    from mlflow import MlflowClient

    path, home, _ = study
    client = MlflowClient(home.tracking_address(load_spec(path)))
    (experiment,) = client.search_experiments(filter_string="name = 'score'")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 6
    for run in runs:
        assert not [name for name in run.data.metrics if "stoi_improvement" in name or name == "noisy_stoi"]
        assert not [name for name, value in run.data.params.items() if "noisy_stoi" in value]
        assert set(NAMES) <= {name.removeprefix("baseline_") for name in run.data.metrics}
    (study_run,) = (run for run in runs if "lowest_stoi" in run.data.metrics)
    assert 0 < study_run.data.metrics["lowest_stoi"] < study_run.data.metrics["highest_stoi"] <= 1
    notes = [run.data.tags.get("mlflow.note.content", "") for run in runs]
    assert any("Pearson correlation" in note for note in notes)
    assert not any("STOI improvement" in note for note in notes)


@pytest.mark.parametrize(
    "command",
    [
        ("analyze", "--weights", "fixed:8,0", "--activations", "binary"),
        ("sensitivity", "--role", "weights"),
        ("propose", "--bits", "8"),
        ("retrain", "--pick", "knee", "--epochs", "1"),
    ],
)
def test_every_measure_has_the_first_quality(study, run_cli, command: tuple[str, ...]) -> None:
    _, home, _ = study
    name, *options = command
    status, out, err = run_cli(name, "score", *options, "-q", "--home", home.root)
    assert (status, err) == (0, ""), out
    assert "STOI improvement" not in out
    if name != "propose":
        assert "Pearson correlation" in out


@pytest.mark.parametrize("label", ["BAM + 8 bit", "BAM"])
def test_a_variant_is_exported_and_verified(study, run_cli, tmp_path: Path, label: str) -> None:
    """The one whose arithmetic is integers throughout has C code, too."""
    _, home, view = study
    number = next(point.number for point in view.points if point.label == label)
    to = tmp_path / "bundle"
    status, out, err = run_cli(
        "export", "score", "--pick", f"trial={number}", "--to", to, "--vectors", 4, "-q", "--home", home.root
    )
    assert (status, err) == (0, ""), out
    status, out, err = run_cli("verify", to, "--home", home.root)
    assert (status, err) == (0, ""), out
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (quality,) = (point.quality for point in view.points if point.number == number)
    assert config["objectives"]["values"]["pearson_correlation"] == config["objectives"]["quality"] == quality
    assert (to / "c").is_dir() == (label == "BAM + 8 bit")
    texts = [file for file in to.rglob("*") if file.suffix in (".md", ".html", ".json", ".c", ".h")]
    assert len(texts) >= 4
    for file in texts:
        assert "STOI improvement" not in file.read_text(encoding="utf-8"), file


def test_nothing_is_heard_of_a_score(study, run_cli, tmp_path: Path) -> None:
    _, home, _ = study
    status, out, err = run_cli("listen", "score", "--to", tmp_path / "heard", "--home", home.root)
    assert (status, out) == (2, "")
    assert "only a network that enhances speech can be listened to, but this one learns the target 'score'" in err
    assert list(tmp_path.iterdir()) == []
