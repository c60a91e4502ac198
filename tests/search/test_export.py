"""The export: what is written loads, says the truth and gives the logged figures."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from wordlength import Candidate, SpecError, WordlengthError, export, load_study, prepare
from wordlength.search.export.config import json_schema
from wordlength.search.weights import load_weights

FILES = {
    *("config.json", "weights.bin", "weights.json", "network.json", "qkeras_model.keras", "c", "vectors", "hls4ml"),
    *("report.md", "report.html", "SHA256SUMS"),
}

pytestmark = [
    pytest.mark.usefixtures("ray_session", "tensorflow"),
]


@pytest.fixture(scope="module")
def exported(tiny_study, tmp_path_factory):
    _, home, _ = tiny_study
    return export("tiny", "knee", tmp_path_factory.mktemp("exported") / "knee", home, vectors=60)


def test_the_written_model_reaches_the_logged_improvement(exported) -> None:
    config = exported.config
    logged = exported.point.quality
    assert config.quality_of_the_exported_model == pytest.approx(logged, abs=1e-6)
    assert config.arithmetic.quality == pytest.approx(logged, abs=1e-3)
    assert {path.name for path in exported.folder.iterdir()} == FILES
    assert list(exported.folder.parent.iterdir()) == [exported.folder]


def test_the_model_loads_elsewhere_with_the_outputs_of_the_evaluated_one(
    exported, tiny_study, tiny_evaluator, tmp_path: Path
) -> None:
    _, home, _ = tiny_study
    windows = np.random.default_rng(0).standard_normal((5, 16, 64)).astype(np.float32)
    np.save(tmp_path / "windows.npy", windows)
    code = (
        "import sys, numpy, keras, qkeras\n"
        "assert 'wordlength' not in sys.modules\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "numpy.save(sys.argv[3], model(numpy.load(sys.argv[2])))"
    )
    files = [str(exported.folder / "qkeras_model.keras"), str(tmp_path / "windows.npy"), str(tmp_path / "masks.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True, capture_output=True)
    quantized = tiny_evaluator.quantized
    quantized.model.set_weights(list(load_weights(home.study("tiny").weights(exported.point.number))))
    quantized.assign(exported.point.candidate)
    wanted = quantized.model(windows).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "masks.npy"), wanted)
    assert np.ptp(wanted) > 0


def test_config_says_what_was_exported(exported, tiny_study) -> None:
    _, home, view = tiny_study
    config = json.loads((exported.folder / "config.json").read_text(encoding="utf-8"))
    assert Candidate.from_dict(config["candidate"]) == exported.point.candidate
    assert config["candidate_digest"] == exported.point.candidate.digest
    assert config["objectives"]["memory_bytes"] == exported.point.memory_bytes
    assert config["objectives"]["quality"] == exported.point.quality
    assert config["float_baseline"]["memory_bytes"] == view.baseline.memory_bytes
    assert config["data_digest"] == prepare(home.find("tiny").data, home.cache).digest
    assert set(config["versions"]) >= {"wordlength", "tensorflow", "keras", "qkeras-v3"}
    assert (exported.folder / "weights.bin").stat().st_size == exported.point.memory_bytes
    schema = json_schema()
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"trial": "3"}, schema)


def test_report_has_a_row_per_layer_that_adds_up(exported) -> None:
    text = (exported.folder / "report.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith(("| conv_", "| dense_"))]
    sizes = [int(row[6].replace(",", "")) for row in rows if len(row) == 9 and "." not in row[1]]
    assert len(sizes) == 9
    assert sum(sizes) == exported.point.memory_bytes
    assert "conv_1.activations" in text
    assert f"**{exported.point.number}**" in text


def test_a_trial_off_the_front_is_trained_again_to_the_same_figures(tiny_study, tmp_path: Path) -> None:
    _, home, view = tiny_study
    members = {point.number for point in view.front}
    off = next(point for point in view.points if point.number not in members)
    said: list[str] = []
    done = export("tiny", f"trial={off.number}", tmp_path / "off", home, tell=said.append, vectors=5)
    assert done.config.quality_of_the_exported_model == pytest.approx(off.quality, abs=1e-6)
    assert any("training it again" in line for line in said)


def test_only_an_earlier_export_is_ever_replaced(tiny_study, tmp_path: Path) -> None:
    _, home, _ = tiny_study
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me", encoding="utf-8")
    for force in (False, True):
        with pytest.raises(SpecError, match=r"must be new or empty, but .*mine holds other files: notes\.txt \(--to\)"):
            export("tiny", "best", tmp_path / "mine", home, force=force)
    with pytest.raises(SpecError, match=r"goes into a folder, but .*notes\.txt is a file \(--to\)"):
        export("tiny", "best", tmp_path / "mine" / "notes.txt", home, force=True)
    assert (tmp_path / "mine" / "notes.txt").read_text(encoding="utf-8") == "keep me"
    (tmp_path / "mine" / "SHA256SUMS").write_text("of something else", encoding="utf-8")
    (tmp_path / "mine" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SpecError, match=r"holds other files: SHA256SUMS \(--to\)"):
        export("tiny", "best", tmp_path / "mine", home, force=True)
    export("tiny", "best", tmp_path / "best", home, verify=False, vectors=3)
    (tmp_path / "best" / "c" / "notes.txt").write_text("keep me too", encoding="utf-8")
    with pytest.raises(SpecError, match=r"holds other files: c/notes\.txt \(--to\)"):
        export("tiny", "best", tmp_path / "best", home, force=True)
    (tmp_path / "best" / "c" / "notes.txt").unlink()
    with pytest.raises(SpecError, match=r"best holds an export \(--force replaces it\)"):
        export("tiny", "best", tmp_path / "best", home)
    (tmp_path / "best" / "report.md").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("best")
    export("tiny", "best", tmp_path / "link", home, force=True, verify=False, vectors=3)
    assert (tmp_path / "best" / "report.md").read_text(encoding="utf-8") != "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "link", "mine"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("kneee", r"picked by one of knee, .*max-bytes=SIZE, but got 'kneee'; did you mean knee\? \(--pick\)"),
        ("trial=999", r"number of a complete trial .*, but got 999 \(--pick\)"),
        ("max-bytes=1B", r"at least the smallest front member's [\d,]+ bytes .*, but got 1 \(--pick\)"),
        ("max-bytes=12 parsec", r"such as 120kB, but got '12 parsec' \(--pick\)"),
    ],
)
def test_rules_that_pick_nothing_leave_nothing_behind(tiny_study, tmp_path: Path, rule: str, message: str) -> None:
    _, home, _ = tiny_study
    with pytest.raises(SpecError, match=message):
        export("tiny", rule, tmp_path / "out", home)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_give_the_logged_figures_are_refused(copied_study, tmp_path: Path) -> None:
    _, home = copied_study
    point = load_study("tiny", home).front[0]
    path = home.study("tiny").weights(point.number)
    weights = load_weights(path)
    assert weights is not None
    np.savez(path, *(weight + 0.3 for weight in weights))
    with pytest.raises(WordlengthError, match="must reach the logged STOI improvement"):
        export("tiny", f"trial={point.number}", tmp_path / "out", home)
    assert not (tmp_path / "out").exists()
