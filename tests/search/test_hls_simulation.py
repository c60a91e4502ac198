"""hls4ml's C simulation equals the integers; a project that is not the bundle's is found out."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hls_networks import frames, line, quiet, written

from wordlength import export
from wordlength.errors import BundleError
from wordlength.objectives.integer import IntegerProgram
from wordlength.search.export.hls import check_hls4ml, simulation

pytestmark = pytest.mark.usefixtures("tensorflow")
needs_compiler = pytest.mark.skipif(bool(simulation.missing()), reason="hls4ml or g++ is not here")


def damaged_array(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        held = dict(np.load(folder / "expected.npz"))
        held[name].flat[3] += 0.5
        np.savez_compressed(folder / "expected.npz", **held)

    return change


def other_model(folder: Path) -> None:
    model = keras.models.load_model(folder / "model.keras")
    model.get_layer("out_layer").kernel.assign_add(np.ones((6, 4)))
    model.save(folder / "model.keras")


def other_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


DAMAGE = {
    "another type": (other_text("hls4ml_config.yml", "AP_RND_CONV", "AP_TRN"), r"hls4ml/hls4ml_config\.yml must be"),
    "another output": (damaged_array("c_tanh"), r"hls4ml/expected\.npz must be"),
    "another input": (
        lambda folder: np.save(folder / "inputs.npy", np.zeros((20, 12, 3))),
        r"hls4ml/inputs\.npy must be",
    ),
    "another weight": (other_model, r"hls4ml/model\.keras must be"),
    "another judge": (other_text("check.py", "return 1", "return 0"), r"hls4ml/check\.py must be"),
    "another text": (other_text("README.md", "exact", "about right"), r"hls4ml/README\.md must be"),
    "no array": (lambda folder: (folder / "expected.npz").write_text("none"), r"hls4ml/ must be readable, but is not"),
    "no YAML": (lambda folder: (folder / "hls4ml_config.yml").write_text("a: ["), r"hls4ml/ must be readable"),
    "nothing": (shutil.rmtree, r"hls4ml/ must be there, but is not"),
}


@pytest.fixture(scope="module")
def project(tensorflow, tmp_path_factory) -> tuple[keras.Model, IntegerProgram, Path]:
    model = line()
    return model, *written(tmp_path_factory.mktemp("project"), model)


@pytest.mark.parametrize("case", DAMAGE)
def test_a_project_that_is_not_the_bundles_is_found_out(case: str, project, tmp_path: Path) -> None:
    model, program, folder = project
    change, why = DAMAGE[case]
    change(shutil.copytree(folder, tmp_path / "hls4ml"))
    with pytest.raises(BundleError, match=why) as refused:
        check_hls4ml(tmp_path / "hls4ml", frames(program), program, model, {}, "a test", False, quiet)
    assert "\n" not in str(refused.value)


def test_the_simulation_is_left_out_where_hls4ml_is_not(project, monkeypatch: pytest.MonkeyPatch) -> None:
    model, program, folder = project
    for run in (False, True):
        monkeypatch.setattr(simulation.importlib.util, "find_spec", lambda name: None)
        told = check_hls4ml(folder, frames(program), program, model, {}, "a test", run, quiet)
        assert told[0] == ["hls4ml/ holds the network, its types and 20 of the test frames"]
        why = r"pip install 'wordlength\[fpga\]'" if run else "--no-fpga"
        assert re.fullmatch(rf"hls4ml's C simulation \({why}\)", told[1][0])


def test_the_text_of_another_version_is_not_judged(project, tmp_path: Path) -> None:
    model, program, folder = project
    DAMAGE["another text"][0](shutil.copytree(folder, tmp_path / "hls4ml"))
    check_hls4ml(tmp_path / "hls4ml", frames(program), program, model, {}, "", False, quiet)


@needs_compiler
def test_a_difference_of_one_step_is_told_with_its_layer() -> None:
    from wordlength.search.export.hls.check import Comparison, allowed

    def node(name: str, function: str | None) -> SimpleNamespace:
        precision = SimpleNamespace(type=SimpleNamespace(precision=SimpleNamespace(fractional=4)))
        return SimpleNamespace(name=name, get_attr=lambda _: function, get_output_variable=lambda: precision)

    found = Comparison()
    wanted = np.array([0.25, 0.5, 0.9375])
    found.add(node("a", "relu"), wanted, wanted)
    second, third = np.eye(3)[1:] / 16
    found.add(node("b", "relu"), wanted + third, wanted)
    found.add(node("c", "tanh"), wanted + second, wanted)
    assert found.equal == ["a"]
    assert found.wrong == ["b must equal the integers, but 1 of 3 outputs differ, by up to 1 of its steps"]
    found.add(node("d", None), wanted + 8 * second, wanted)
    assert found.told[-1] == "d, behind c: 1 of 3 outputs differ, by up to 8 of its steps"
    fresh = Comparison()
    fresh.add(node("e", "sigmoid"), wanted + 2 * second, wanted)
    assert fresh.wrong[0].startswith("e must lie as near as its table allows, but 1 of 3")
    near = allowed("tanh", np.array([-0.9999, -0.5, 0.0, 1.0]), 2.0**-13)
    np.testing.assert_allclose(near, 2.0**-13 + np.array([6.71e-4, 0, 0, 6.71e-4]))
    assert allowed("sigmoid", np.array([0.5]), 2.0**-20)[0] == 2.0**-20 + 2.0**-16


@pytest.mark.studies
@needs_compiler
@pytest.mark.usefixtures("ray_session")
def test_the_tiny_study_is_verified_through_hls4ml(tiny_study, tmp_path: Path, run_cli: Callable) -> None:
    _, home, _ = tiny_study
    exported = export("tiny", "best", tmp_path / "best", home, vectors=30, verify=False)
    assert exported.config.arithmetic.no_hls4ml == {}
    status, said, refused = run_cli("verify", tmp_path / "best", "--no-stoi", "--no-c", "--home", home.root)
    assert (status, refused) == (0, "")
    assert "ok: hls4ml/ holds the network, its types and 20 of the test frames" in said.splitlines()
    assert re.search(
        r"^ok: hls4ml's C simulation: 17 layers of 20 frames equal to the last bit; dense_3_sigmoid: "
        r"(every output equal|[\d,]+ of 2,580 outputs differ, by up to 1 of its steps)$",
        said,
        re.MULTILINE,
    )
