"""Ways of a bundle: into MLflow, from retrained weights, and back into a study."""

import dataclasses
import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from wordlength import Candidate, Fixed, export, launch, load_spec, load_study
from wordlength.errors import SpecError
from wordlength.search.export.bundle import log_to_mlflow
from wordlength.search.export.contents import Asked, Subject, write_bundle
from wordlength.search.export.verify import verify
from wordlength.search.retrain import retrained_result
from wordlength.search.session import open_evaluator
from wordlength.space import Float32, Role, Slot

pytestmark = pytest.mark.usefixtures("ray_session", "tensorflow")


def artifacts(client: MlflowClient, query: str) -> set[str]:
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment], query)
    return {item.path for item in client.list_artifacts(run.info.run_id, "bundle")}


def test_a_bundle_is_logged_to_its_trials_run(copied_study, tmp_path: Path, run_cli) -> None:
    _, home = copied_study
    status, said, told = run_cli(
        *("export", "tiny", "--pick", "best", "--to", tmp_path / "best", "--home", home.root),
        *("--vectors", 3, "--no-verify", "--mlflow"),
    )
    assert status == 0
    assert "the C code was not run" in said
    number = json.loads((tmp_path / "best" / "config.json").read_text())["trial"]
    found = artifacts(MlflowClient(home.tracking_address()), f"tags.kind = 'trial' and tags.trial.number = '{number}'")
    assert found == {f"bundle/{path.name}" for path in (tmp_path / "best").iterdir()}
    assert f"logged: trial {number}" in told


def test_a_bundle_without_a_run_is_told(copied_study, tmp_path: Path) -> None:
    _, home = copied_study
    done = export("tiny", "best", tmp_path / "best", home, verify=False, vectors=2)
    client = MlflowClient(home.tracking_address())
    experiment = client.get_experiment_by_name("tiny").experiment_id
    for run in client.search_runs([experiment], f"tags.trial.number = '{done.point.number}'"):
        client.delete_run(run.info.run_id)
    with pytest.raises(SpecError, match="mend with: wordlength check tiny --repair"):
        log_to_mlflow(done, home)


def test_retrained_weights_are_exported_with_their_figures(copied_study, run_retrain, tmp_path: Path) -> None:
    _, home = copied_study
    point = load_study("tiny", home).front[-1]
    with pytest.raises(SpecError, match=rf"trial {point.number} has not; run: wordlength retrain tiny .*--retrained"):
        export("tiny", "best", tmp_path / "best", home, retrained=True)
    assert not (tmp_path / "best").exists()
    run_retrain("--pick", f"trial={point.number}")
    trial, _ = retrained_result(home.study("tiny"), point)
    done = export("tiny", "best", tmp_path / "best", home, retrained=True, vectors=3)
    config = done.config
    assert config.objectives.quality == trial.validation.quality
    assert config.quality_of_the_exported_model == pytest.approx(trial.validation.quality, abs=1e-6)
    assert config.retraining.settings["epochs"] == 1
    assert config.retraining.test.quality == trial.test.quality
    assert config.retraining.test.float_quality == trial.test.float_quality
    told = (tmp_path / "best" / "report.md").read_text()
    assert f"STOI improvement on the test mixtures: {trial.test.quality:+.4f}" in told
    assert len(verify(tmp_path / "best", home, fpga=False).left_out) == 1
    log_to_mlflow(done, home)
    assert "bundle/weights.bin" in artifacts(MlflowClient(home.tracking_address()), "tags.kind = 'retrained'")


def test_an_imported_candidate_is_tried_next(copied_study, tmp_path: Path, run_cli) -> None:
    path, home = copied_study
    view = load_study("tiny", home)
    known = view.points[0]
    changed = {**known.candidate, next(iter(known.candidate)): Fixed(7, 0)}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"candidate": Candidate.of(changed).to_dict(), "study": "another"}))
    status, said, _ = run_cli("import", file, "tiny", "--home", home.root)
    assert status == 0
    assert "queued in 'tiny': 1 waiting" in said
    status, _, refused = run_cli("import", file, "tiny", "--home", home.root)
    assert (status, "must be new to the study, but 'tiny' has it: trial queued" in refused) == (2, True)
    spec = load_spec(path)
    more = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": view.finished + 1})})
    row = launch(more, home).rows[-1]
    assert row.candidate == Candidate.of(changed)
    file.write_text(known.candidate.to_json())
    _, _, refused = run_cli("import", file, "tiny", "--home", home.root)
    assert f"'tiny' has it: trial {known.number}" in refused
    file.write_text("{}")
    status, _, refused = run_cli("import", file, "tiny", "--home", home.root)
    assert (status, "a candidate must give every slot a format" in refused) == (2, True)


def test_without_integer_arithmetic_there_is_no_c_and_the_reason(tiny_study, tmp_path: Path) -> None:
    """A layer in float32: the bundle is whole but for c/, vectors/ and hls4ml/, and verify says why."""
    _, home, view = tiny_study
    member = view.front[-1]
    evaluator, _ = open_evaluator(home.find("tiny"), home)
    candidate = Candidate.of({**member.candidate, Slot("conv_3", Role.ACTIVATIONS): Float32()})
    weights = evaluator.baseline.weights
    point = dataclasses.replace(member, candidate=candidate)
    subject = Subject(home.find("tiny"), view, point, weights, None, None, evaluator)
    config = write_bundle(tmp_path / "float", subject, Asked(verify=False), lambda *_: None)
    assert config.arithmetic is None
    assert config.no_arithmetic.startswith("outputs of conv_3 must be fixed of at most 24 bits, po2 or binary")
    assert not {"c", "vectors", "hls4ml"} & {path.name for path in (tmp_path / "float").iterdir()}
    assert config.no_arithmetic in (tmp_path / "float" / "report.md").read_text()
    done = verify(tmp_path / "float", home, stoi=False)
    assert done.left_out[-1] == f"integers and C: {config.no_arithmetic}"
