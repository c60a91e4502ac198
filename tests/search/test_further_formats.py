"""Virtual bit shift, integer bits per channel and binary activations, from the study file to the exported model."""

import pytest

from wordlength import Binary, Fixed, Home, VirtualBitShift, export, launch, load_spec
from wordlength.objectives.memory import memory_bytes, slot_bytes
from wordlength.objectives.report import TrialReport
from wordlength.search.session import model_slots
from wordlength.space import Role, Slot

pytestmark = [pytest.mark.studies, pytest.mark.usefixtures("ray_session", "tensorflow")]

SPACE = """
  weights: {vbs: {bits: [4, 6], group: channel}}
  biases: {vbs: {bits: [8, 9], group: 4}}
  activations: fixed<16,4>
  layers:
    conv_3: {activations: "binary<steepness=5>"}
    dense_1: {weights: "po2<5,0,zero>", activations: "fixed<12,5,wrap>"}
    dense_2: {weights: {fixed: {bits: [5, 6], per_channel: true, rounding: half_up}}, activations: {binary: {}}}
search: {trials: 1, first_front: 0, allocated: 0, uniform: []}
workers: {count: 1}
"""


@pytest.fixture(scope="module")
def study(write_study):
    path = write_study(name="further")
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("space:")] + "space:" + SPACE, encoding="utf-8")
    home = Home(path.parent / "home")
    return path, home, launch(load_spec(path), home)


def test_every_kind_is_tried_trained_and_measured(study) -> None:
    _, _, view = study
    assert view.counts["complete"] == view.finished == 1
    searched = {str(slot): fmt for slot, fmt in view.rows[0].candidate.items()}
    assert isinstance(searched["conv_1.weights"], VirtualBitShift)
    assert searched["dense_2.activations"] == Binary()
    per_channel = searched["dense_2.weights"]
    assert isinstance(per_channel, Fixed)
    assert per_channel.per_channel
    assert per_channel.rounding == "half_up"


def test_the_stored_shifts_count(study) -> None:
    path, _, view = study
    slots = model_slots(load_spec(path))
    for row in view.rows:
        assert row.memory_bytes == memory_bytes(slots, row.candidate)
    (vbs,) = {row.candidate[Slot("dense_1", Role.BIASES)] for row in view.rows}
    (biases,) = (info for info in slots if info.slot == Slot("dense_1", Role.BIASES))
    assert slot_bytes(biases, view.rows[0].candidate) == -(-(vbs.bits * 8 + 4 * 2) // 8)  # 8 biases, 2 groups of 4.


def test_the_report_analyses_them(study) -> None:
    _, home, view = study
    reports = [
        TrialReport.from_json(home.study("further").report(row.number).read_text(encoding="utf-8")) for row in view.rows
    ]
    binary = [row for report in reports for row in report.analyses if isinstance(row.format, Binary)]
    assert binary
    assert all(row.overflow == row.underflow == row.precision == 0 for row in binary)
    assert any(row.zero_gradient < 1 for row in binary if row.step == 2)
    assert all(report.accumulators for report in reports)
    for report, row in zip(reports, view.rows, strict=True):
        assert report.gains == pytest.approx(row.gains, abs=1e-7)
        assert report.baseline_difference == pytest.approx(report.quality - view.baseline.quality, abs=1e-9)


def test_the_exported_model_reaches_the_logged_improvement(study, tmp_path) -> None:
    _, home, view = study
    done = export("further", "best", tmp_path / "best", home, vectors=20)
    config = done.config
    assert config.quality_of_the_exported_model == pytest.approx(view.rows[0].quality, abs=1e-6)
    assert config.arithmetic is not None
    assert config.arithmetic.quality == pytest.approx(view.rows[0].quality, abs=1e-3)
