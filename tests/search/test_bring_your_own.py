"""The example of a network of one's own, from its study file to a front, at a small scale."""

import dataclasses
from pathlib import Path

import pytest

from wordlength import Home, launch, load_spec
from wordlength.objectives.models.float_network import float_network
from wordlength.search.proposal import layers_of, table
from wordlength.search.space_spec import build_space
from wordlength.space import Role, Slot, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")

EXAMPLE = Path(__file__).parents[2] / "examples" / "bring_your_own"


def test_the_study_file_fits_the_network_and_its_comments_are_true() -> None:
    text = (EXAMPLE / "study.yaml").read_text(encoding="utf-8")
    spec = load_spec(EXAMPLE / "study.yaml")
    slots = find_slots(model := float_network(spec.model, spec.data.shape))
    assert model.count_params() == sum(info.count for info in slots) == 95_297
    for line in table(layers_of(model, slots)):
        assert f"#     {line}\n" in text
    space = build_space(spec.space, slots)
    remembered = next(group for group in space.groups if group.slots == (Slot("memory", Role.ACTIVATIONS),))
    assert remembered.choice.fixed.bits == (12, 16)


def test_a_small_one_is_searched(write_study, ray_session: None, tmp_path: Path) -> None:
    """The example's own file, with fewer units, on tiny data."""
    spec = load_spec(EXAMPLE / "study.yaml")
    model = dataclasses.replace(spec.model, arguments={"features": 4, "units": 6})
    tiny = load_spec(write_study(name="gru"))
    search = tiny.search.model_copy(update={"trials": 1, "uniform": (), "first_front": 0})
    small = tiny.model_copy(update={"model": model, "space": spec.space, "search": search})
    view = launch(small, Home(tmp_path))
    assert view.finished == 1
    assert {slot.layer for slot in view.points[0].candidate} == {"features", "memory", "mask"}
