"""References of a study file: formats by role and by layer, proposals among them, and what they are called."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from wordlength.errors import SpecError
from wordlength.objectives.proposals import proposed
from wordlength.search.study_file.references import references, require_references
from wordlength.search.study_file.spec import json_schema, parse_spec
from wordlength.space import Binary, Fixed, FixedRange, Float32, Role, Slot, SlotInfo, TensorInfo

MINIMAL = "name: s\ndata: {speech: [{kind: builtin}], noise: [{kind: builtin}]}\n"
FOUR = """
search:
  uniform:
    - {label: BAM, weights: float32, biases: float32, activations: float32, layers: {'conv_*': {activations: binary}}}
    - label: BAM + 8 bit
      weights: fixed:8
      biases: fixed:16,channel
      activations: fixed:8
      layers:
        'conv_*': {activations: 'binary<steepness=3>'}
        conv_6: {weights: fixed:6, activations: fixed:8}
    - {weights: fixed:8}
    - {weights: 'fixed<8,0>'}
"""


def uniform_of(text: str):
    return parse_spec(MINIMAL + text, Path("study.yaml")).search.uniform


def test_layers_have_formats_of_their_own_and_the_last_wins(tiny_baseline) -> None:
    (bam, bam_name), (mixed, mixed_name), *_ = references(uniform_of(FOUR), tiny_baseline)
    assert (bam_name, mixed_name) == ("BAM", "BAM + 8 bit")
    assert bam[Slot("conv_2", Role.ACTIVATIONS)] == Binary()
    assert bam[Slot("dense_1", Role.ACTIVATIONS)] == bam[Slot("conv_2", Role.WEIGHTS)] == Float32()
    assert mixed[Slot("conv_2", Role.ACTIVATIONS)] == Binary(steepness=3)
    assert isinstance(mixed[Slot("conv_6", Role.ACTIVATIONS)], Fixed)
    widths = {slot.layer: fmt.width_bits for slot, fmt in mixed.items() if slot.role is Role.WEIGHTS}
    assert set(widths.values()) == {6, 8}
    assert [layer for layer, bits in widths.items() if bits == 6] == ["conv_6"]


def test_widths_stand_at_the_float_models_proposals(tiny_baseline) -> None:
    candidate, _ = references(uniform_of(FOUR), tiny_baseline)[1]
    asked = {Role.WEIGHTS: FixedRange((8, 8)), Role.BIASES: FixedRange((16, 16), per_channel=True)}
    for slot in (Slot("dense_1", Role.WEIGHTS), Slot("dense_1", Role.BIASES), Slot("conv_2", Role.BIASES)):
        limits = asked[slot.role]
        assert candidate[slot] == proposed(tiny_baseline, slot, limits, limits.widths[0])
    assert candidate[Slot("conv_2", Role.BIASES)].per_channel
    positions = {
        fmt.integer_bits for slot, fmt in candidate.items() if slot.role is Role.ACTIVATIONS and fmt != Binary(3)
    }
    assert len(positions) > 1  # Tensor by tensor, not one for all.


def test_without_a_label_the_weights_name_it(tiny_baseline) -> None:
    *_, proposal, whole = references(uniform_of(FOUR), tiny_baseline)
    assert (proposal[1], whole[1]) == ("uniform fixed:8", "uniform fixed<8,0>")


def test_references_survive_yaml_and_fit_the_schema() -> None:
    spec = parse_spec(MINIMAL + FOUR, Path("study.yaml"))
    plain = spec.model_dump(mode="json")
    assert plain["search"]["uniform"][1]["biases"] == "fixed:16,channel"
    assert parse_spec(yaml.safe_dump(plain, sort_keys=False), Path("study.yaml")) == spec
    jsonschema.validate(yaml.safe_load(MINIMAL + FOUR), json_schema())


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{weights: binary}", r"weights cannot be binary: .*\(search\.uniform\.0\.weights in"),
        (
            "{weights: fixed:8, activations: 'fixed:8,channel'}",
            r"activations cannot be .*uniform\.0\.activations",
        ),
        ("{weights: fixed:99}", r"number between 1 and 32, but got 99; .*\(search\.uniform\.0\.weights"),
        ("{weights: fixed:8, layer: {}}", r"keys must be known, but got 'layer'; did you mean 'layers'"),
        ("{weights: fixed:8, layers: {a: {bias: float32}}}", r"got 'bias'; did you mean 'biases'\? .*layers\.a\.bias"),
        ("{weights: fixed:8, label: ' BAM'}", r"must match pattern|should match pattern"),
        ("{weights: fixed:8, label: ''}", r"must match pattern|should match pattern"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_one_line(reference: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as told:
        uniform_of(f"search: {{uniform: [{reference}]}}")
    assert "\n" not in str(told.value)


STATE = "a state is a memory"
INFOS = (
    SlotInfo(Slot("conv_1", Role.WEIGHTS), (TensorInfo("kernel", (3, 3)),)),
    SlotInfo(Slot("conv_1", Role.ACTIVATIONS), ()),
    SlotInfo(Slot("gru", Role.ACTIVATIONS), (), STATE),
)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("{conv_9: {}}", r"got 'conv_9'; did you mean 'conv_1'\? \(search\.uniform\.layers\.conv_9\)"),
        ("{gru: {activations: binary}}", r"gru\.activations cannot be binary: a state is a memory \(search\.uniform\)"),
        ("{conv_1: {weights: 'fixed<8,1/2>'}}", r"as many as output channels, .*got 2 .*\(search\.uniform\)"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_without_a_float_model(layers: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        require_references(uniform_of(f"search: {{uniform: [{{weights: fixed:8, layers: {layers}}}]}}"), INFOS)


def test_what_fits_is_not_refused() -> None:
    channels = "search: {uniform: [{weights: 'fixed:8,channel', layers: {conv_1: {activations: binary}}}]}"
    require_references(uniform_of(channels), INFOS)
