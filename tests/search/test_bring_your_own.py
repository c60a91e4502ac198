"""The example of a network of one's own, from its study file to a front, at a small scale."""

import dataclasses
from pathlib import Path

import pytest

from wordlength import Home, export, launch, load_spec
from wordlength.objectives.models.float_network import float_network
from wordlength.search.export.proof import find_compiler
from wordlength.search.export.verify import verify
from wordlength.search.study_file.layers import layers_of, table
from wordlength.search.study_file.space import build_space
from wordlength.space import Role, Slot, find_slots

pytestmark = [pytest.mark.studies, pytest.mark.usefixtures("tensorflow")]

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


def test_a_small_one_is_searched_and_its_c_code_verified(write_study, ray_session: None, tmp_path: Path) -> None:
    """The example's own file, with fewer units, on tiny data and four frames a window."""
    spec, tiny, home = load_spec(EXAMPLE / "study.yaml"), load_spec(write_study(name="gru")), Home(tmp_path / "home")
    model = dataclasses.replace(spec.model, arguments={"features": 4, "units": 6})
    data = dataclasses.replace(tiny.data, features=dataclasses.replace(tiny.data.features, look_back=3))
    search = tiny.search.model_copy(update={"trials": 1, "uniform": (), "first_front": 0})
    small = {"model": model, "data": data, "space": spec.space, "search": search}
    (point,) = launch(tiny.model_copy(update=small), home).points
    assert {slot.layer for slot in point.candidate} == {"features", "memory", "mask"}
    bundle = tmp_path / "best"
    proven = export("gru", "best", bundle, home, verify=False, vectors=9).config.arithmetic
    assert proven is not None
    assert [row.layer for row in proven.layers] == ["features", "memory", "mask"]
    if not find_compiler():
        pytest.skip("no C compiler is here")
    checked = verify(bundle, home, fpga=False).checked
    assert "the C code gives every layer of 9 test frames to the last bit" in checked
    assert any(line.startswith("the C code reaches the STOI improvement") for line in checked)
