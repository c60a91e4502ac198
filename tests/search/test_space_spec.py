"""The `space:` part of a study file as a search space over a model's slots."""

import pytest
from pydantic import ValidationError

from wordlength.errors import FormatError, SpecError
from wordlength.search.study_file.space import LayerSpace, SpaceSpec, build_space
from wordlength.space import Fixed, FixedRange, PowerOfTwo, Role, Slot, SlotInfo, SlotRange, TensorInfo

LAYERS = ("conv_1", "conv_2", "dense_1")
TENSORS = {
    Role.WEIGHTS: (TensorInfo("kernel", (3, 3)),),
    Role.BIASES: (TensorInfo("bias", (3,)),),
    Role.ACTIVATIONS: (),
}
INFOS = tuple(SlotInfo(Slot(layer, role), TENSORS[role]) for layer in LAYERS for role in Role)
SLOTS = tuple(info.slot for info in INFOS)
NARROW = SlotRange(fixed=FixedRange((2, 3)))


def choices(spec: SpaceSpec) -> dict[str, object]:
    return {group.prefix: group.choice for group in build_space(spec, INFOS).groups}


def test_every_slot_gets_its_roles_choice() -> None:
    found = choices(SpaceSpec(weights=NARROW, biases=Fixed(16, 2), activations=Fixed(8, 3)))
    assert len(found) == len(SLOTS) == 9
    assert found["conv_1.weights"] == NARROW
    assert found["dense_1.activations"] == Fixed(8, 3)


def test_layers_override_by_name_and_pattern_and_the_last_wins() -> None:
    layers = {"conv_*": LayerSpace(weights=PowerOfTwo(4, -1)), "conv_2": LayerSpace(weights=Fixed(4, 0))}
    found = choices(SpaceSpec(weights=NARROW, layers=layers))
    assert found["conv_1.weights"] == PowerOfTwo(4, -1)
    assert found["conv_2.weights"] == Fixed(4, 0)
    assert found["dense_1.weights"] == NARROW
    assert found["conv_2.biases"] == Fixed(16, 2)


def test_ties_make_one_group_per_role() -> None:
    space = build_space(SpaceSpec(weights=NARROW, tie={"convs": ("conv_*",)}), INFOS)
    tied = next(group for group in space.groups if group.prefix == "convs.weights")
    assert tied.slots == (Slot("conv_1", Role.WEIGHTS), Slot("conv_2", Role.WEIGHTS))
    assert space.order == SLOTS


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            SpaceSpec(layers={"conv_9": LayerSpace()}),
            r"got 'conv_9'; did you mean 'conv_\d'\? \(space\.layers\.conv_9\)",
        ),
        (SpaceSpec(tie={"t": ("zzz",)}), r"got 'zzz'; layers are conv_1, conv_2, dense_1 \(space\.tie\.t\)"),
        (SpaceSpec(tie={"a": ("conv_1",), "b": ("conv_*",)}), r"must be in one tie, but 'conv_1' is in 'a' and 'b'"),
        (SpaceSpec(tie={"conv_1": ("conv_2",)}), r"must not have a layer's name, but got 'conv_1'"),
        (
            SpaceSpec(tie={"t": ("conv_*",)}, layers={"conv_1": LayerSpace(weights=NARROW)}),
            r"must have the same ranges, but conv_1\.weights, conv_2\.weights differ \(space\.tie\.t\)",
        ),
    ],
)
def test_patterns_and_ties_that_do_not_fit_are_refused(spec: SpaceSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build_space(spec, INFOS)


@pytest.mark.parametrize(
    ("role", "choice", "message"),
    [
        ("weights", "binary", r"weights cannot be binary: it is 0 or 1, for activations; 1-bit weights are po2<1,-1>"),
        ("biases", {"binary": {}}, "biases cannot be binary: "),
        ("activations", "vbs<4,group=channel>", "activations cannot be vbs<4,group=channel>: .*; use fixed"),
        ("activations", {"vbs": {"bits": [2, 4]}}, "activations cannot be vbs<2>: "),
        (
            "activations",
            "fixed<4,1/0/1>",
            r"activations cannot be fixed<4,0…1>: integer bits per channel are for weights",
        ),
        ("activations", {"fixed": {"bits": [2, 4], "per_channel": True}}, "integer bits per channel are for weights"),
    ],
)
def test_formats_that_a_role_cannot_have_are_refused_where_they_stand(role: str, choice, message: str) -> None:
    for given, place in (
        ({role: choice}, (role,)),
        ({"layers": {"conv_1": {role: choice}}}, ("layers", "conv_1", role)),
    ):
        with pytest.raises(ValidationError, match=message) as caught:
            SpaceSpec.model_validate(given)
        assert caught.value.errors()[0]["loc"] == place


def test_positions_for_other_channels_are_refused() -> None:
    with pytest.raises(FormatError, match=r"must be as many as output channels, 3, but got 2 \(conv_1.weights\)"):
        build_space(SpaceSpec(weights=Fixed(4, (0, 1)), biases=Fixed(4, (0, 1, 2))), INFOS)
    assert build_space(SpaceSpec(weights=Fixed(4, (0, 1, -3))), INFOS)
