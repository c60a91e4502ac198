"""A study of spectra in which virtual bit shift competes: from the study file to a bundle whose C code is run."""

import shutil
from pathlib import Path

import pytest

from wordlength import VirtualBitShift, export, load_spec
from wordlength.objectives.memory import slot_bytes
from wordlength.search.export.verify import verify
from wordlength.search.front import pick
from wordlength.search.session import model_slots
from wordlength.search.study_file.space import build_space
from wordlength.space import Role, Slot

pytestmark = [pytest.mark.studies, pytest.mark.usefixtures("ray_session", "tensorflow")]

EXAMPLES = Path(__file__).parents[2] / "examples"
FIRST, SECOND = (Slot(f"dense_{number}", Role.WEIGHTS) for number in (1, 2))

STUDY = """
name: spectra
data_root: {root}
data:
  speech: [{kind: folder, path: speech}]
  noise: [{kind: folder, path: noise}]
  subset_fraction: 0.5
  features: {kind: log_spectrum, sample_rate_hz: 8000, frame_samples: 128, hop_samples: 64, look_back: 2}
  target: {kind: spectrum}
model: {name: spectrum_dnn, hidden: [6, 6]}
training: {baseline_epochs: 1, batch_size: 64, learning_rate: 0.01, distillation: 1}
objectives: [stoi, memory_bytes]
analysis: {windows: 32}
gate: {overflow: 1, underflow: 1, precision: 1}
space:
  weights: {fixed: {bits: [4, 4]}, po2: {bits: [4, 4]}, vbs: {bits: [4, 5], group: channel}}
  biases: fixed<12,3>
  activations: fixed<16,4>
  layers:
    dense_2: {weights: {vbs: {bits: [4, 5], group: 7}}}
search: {trials: 5, first_front: 1, allocated: 1, uniform: [], sweep: true}
"""


@pytest.fixture(scope="module")
def study(launch_text):
    return launch_text(STUDY)


def test_every_kind_and_width_is_tried_in_all_layers_that_allow_it(study) -> None:
    _, _, view = study
    assert view.counts["complete"] == view.finished == 5
    tried = {(point.candidate[FIRST].kind, point.candidate[FIRST].width_bits) for point in view.points}
    assert tried == {("fixed", 4), ("po2", 4), ("vbs", 4), ("vbs", 5)}
    assert all(isinstance(point.candidate[SECOND], VirtualBitShift) for point in view.points)
    assert all(point.candidate[SECOND].group == 7 for point in view.points)


def test_shares_of_stoi_and_a_hypervolume_are_told_where_nothing_is_improved(study, run_cli) -> None:
    _, home, view = study
    assert 0 < view.baseline.quality < 1
    assert all(0 < point.quality < 1 for point in view.points)
    assert view.hypervolume > 0.1
    status, out, err = run_cli("front", "spectra", "-q", "--home", home.root)
    assert (status, err) == (0, "")
    best = pick(view.front, "best")
    assert f" {best.quality / view.baseline.quality:.0%} " in out
    assert "STOI improvement" not in out


def test_equal_widths_differ_by_the_shifts_alone(study) -> None:
    """36 kernel values of the second layer make six blocks of 7: 24 bits of shifts."""
    path, _, view = study
    first, second = (next(info for info in model_slots(load_spec(path)) if info.slot == at) for at in (FIRST, SECOND))
    by_kind = {point.candidate[FIRST].brief: point.candidate for point in view.points}
    assert slot_bytes(second, by_kind["vbs<4,group=channel>"]) == (36 * 4 + 6 * 4) // 8
    shifts = slot_bytes(first, by_kind["vbs<4,group=channel>"]) - 3 * 65 * 6 * 4 // 8
    assert shifts == 6 * 4 // 8


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not here")
def test_its_bundle_is_exact_down_to_c(study, tmp_path: Path) -> None:
    _, home, view = study
    point = next(p for p in view.points if p.candidate[FIRST] == VirtualBitShift(5, "channel"))
    done = export("spectra", f"trial={point.number}", tmp_path / "bundle", home, vectors=20, verify=False)
    verified = verify(done.folder, home, fpga=False)
    assert "the C code gives every layer of 20 test frames to the last bit" in verified.checked
    assert done.config.arithmetic is not None
    assert [line for line in verified.checked if line.startswith("the C code reaches the STOI ")]
    assert verified.left_out == ["hls4ml's C simulation (--no-fpga)"]


@pytest.mark.parametrize("name", ["nicodemo", "nicodemo_builtin"])
def test_the_shipped_studies_let_three_kinds_compete(name: str) -> None:
    """In every layer, for the allocation as for the sweep; widths 2 to 8, po2 to 5."""
    spec = load_spec(EXAMPLES / f"{name}.yaml")
    space = build_space(spec.space, model_slots(spec))
    widths = {kind: tuple(limits.widths) for kind, limits in spec.space.weights.kinds.items()}
    assert widths == {"fixed": (2, 3, 4, 5, 6, 7, 8), "po2": (2, 3, 4, 5), "vbs": (2, 3, 4, 5, 6, 7, 8)}
    weights = [group for group in space.groups if group.slots[0].role is Role.WEIGHTS]
    assert len(weights) == 4
    assert all(set(group.choice.kinds) == {"fixed", "po2", "vbs"} for group in weights)
