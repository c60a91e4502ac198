"""hls4ml/ of a bundle: types that hold every value, and what hls4ml cannot express, by layer."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from hls_networks import INPUT, chain, frames, line, plane, program_of, quiet, written
from integer_networks import NETWORKS, random_candidate
from keras import layers

from wordlength.errors import BundleError, IntegerError
from wordlength.objectives.integer import Sum, integer_program
from wordlength.search.export.hls import check_hls4ml, write_project
from wordlength.search.export.hls.nodes import Names
from wordlength.search.export.hls.project import expected, keras_model
from wordlength.search.export.hls.translate import translate

pytestmark = pytest.mark.usefixtures("tensorflow")


def entries(folder: Path) -> dict[str, dict]:
    text = (folder / "hls4ml_config.yml").read_text().replace("!keras_model ", "")
    return yaml.safe_load(text)["HLSConfig"]["LayerName"]


def holds(text: str, values: np.ndarray) -> bool:
    """Whether a type has all values, before its rounding."""
    unsigned, width, whole = re.fullmatch(r"ap_(u?)fixed<(\d+),(-?\d+)(?:,\w+,\w+)?>", text).groups()
    codes = np.ldexp(values, int(width) - int(whole))
    lowest, end = (0, 2 ** int(width)) if unsigned else (-(2 ** (int(width) - 1)), 2 ** (int(width) - 1))
    return bool((codes == np.rint(codes)).all() and (codes >= lowest).all() and (codes < end).all())


@pytest.mark.parametrize(("make", "seed"), list(itertools.product([plane, line, *NETWORKS.values()], range(6))))
def test_every_type_holds_every_value(make: Callable[[], keras.Model], seed: int) -> None:
    """Outputs, weights, sums and all that lies on the way to them, as far as interval arithmetic reaches."""
    model = make()
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign((rng.normal(0, 0.5, variable.shape) * (rng.random(variable.shape) > 0.1)).astype(np.float32))
    for attempt in itertools.count():
        assert attempt < 100
        try:
            program = integer_program(model, random_candidate(model, 100 * seed + attempt), INPUT)
        except IntegerError:
            continue
        break
    found = translate(program, model)
    by_name = {node.name: node for node in found.nodes}
    assert len(by_name) == len(found.nodes)
    for name, values in expected(program, found.nodes, frames(program)).items():
        assert holds(by_name[name].types["result"], values.astype(np.float64)), name
    sums = {step.kernel.name: step for step in program.steps if isinstance(step, Sum)}
    for node in found.nodes:
        assert node.types.keys() <= {"weight", "bias", "accum", "result", "table"}
        for what, values in zip(("weight", "bias"), node.weights, strict=False):
            assert holds(node.types[what], values.astype(np.float64)), node.name
        for step in sums.values():
            if step.layer == node.layer and node.weights and node.kind.startswith("Depth") == step.depthwise:
                ends = step.accumulator.to_float(np.array([step.accumulator.lowest, step.accumulator.highest]))
                assert holds(node.types["accum"], ends)
    assert found.refused or len(keras_model(found.nodes).layers) == len(found.nodes)


def test_types_are_those_of_the_formats(tmp_path: Path) -> None:
    _, folder = written(
        tmp_path,
        plane(),
        conv__weights="po2<4,0>",
        conv__activations="fixed<6,1,floor,wrap>",
        sep__weights="fixed<4,-1>",
        depth__weights="po2<3,-1,zero>",
        limited__activations="ufixed<8,2,half_up>",
        dense__weights="vbs<5>",
        dense__activations="binary",
        mask__activations="fixed<16,2>",
    )
    found = entries(folder)
    assert found["conv_layer"]["Precision"]["bias"] == "ap_fixed<8,2>"
    assert found["conv_layer"]["Strategy"] == "Resource"
    assert found["conv_layer"]["ReuseFactor"] == 9
    assert found["conv_relu"] == {"Precision": {"result": "ap_fixed<6,2,AP_TRN,AP_WRAP>"}}
    for half in ("sep_depthwise", "sep_layer"):
        assert found[half]["Precision"]["weight"] == "ap_fixed<4,0>"
    assert found["depth_layer"]["Precision"]["weight"] == "ap_fixed<4,1>"
    assert found["limited_layer"]["Precision"]["result"] == "ap_ufixed<8,2,AP_RND,AP_SAT>"
    assert found["largest_layer"]["Precision"] == {"accum": "ap_fixed<6,2>", "result": "ap_fixed<6,2>"}
    assert re.fullmatch(r"ap_ufixed<1,-\d+,AP_TRN,AP_SAT>", found["dense_layer"]["Precision"]["result"])
    assert found["mask_layer"]["Precision"]["result"] == "ap_fixed<15,4,AP_RND_CONV,AP_SAT>"
    assert found["mask_sigmoid"] == {
        "Precision": {"result": "ap_fixed<16,3,AP_RND_CONV,AP_SAT>"},
        "TableSize": 2**15,
        "table_t": "ap_fixed<16,3,AP_RND_CONV,AP_SAT>",
    }
    text = (folder / "README.md").read_text()
    assert "32,768 (`mask_sigmoid`)" in text
    assert "`conv_layer` (4 bits)" in text


def image(*parts: layers.Layer) -> keras.Model:
    """Some layers between an image and a dense layer."""
    return chain((6, 6, 2), *parts, layers.Flatten(name="flat"), layers.Dense(3, name="out"))


REFUSED = {
    "a multiplier": (
        lambda: image(layers.SeparableConv2D(3, 3, depth_multiplier=2, name="bad")),
        {},
        "depth_multiplier other than 1",
    ),
    "dilation": (lambda: image(layers.Conv2D(3, 2, dilation_rate=2, name="bad")), {}, "no dilated convolutions"),
    "a padded pool": (lambda: image(layers.AveragePooling2D(4, padding="same", name="bad")), {}, "has no padding"),
    "a sliding pool": (lambda: image(layers.MaxPooling2D(3, strides=1, name="bad")), {}, "strides of the pool's size"),
    "kept axes": (lambda: image(layers.GlobalMaxPooling2D(keepdims=True, name="bad")), {}, "keeps no axes"),
    "an average over 1,536": (
        lambda: chain((48, 32, 1), layers.AveragePooling2D((48, 32), name="bad"), layers.Flatten(), layers.Dense(2)),
        {},
        "over 1536 values cannot be rounded half even",
    ),
    "relu6": (
        lambda: image(layers.Conv2D(3, 2, activation="relu6", name="bad")),
        {"activations": "fixed<8,3>"},
        "no function that ends at 6",
    ),
    "powers of two": (
        lambda: image(layers.Conv2D(3, 2, activation="relu", name="bad")),
        {"bad__activations": "po2<4,0>"},
        r"no outputs in powers of two, but they are po2<4,0>",
    ),
    "a sigmoid that wraps": (
        lambda: image(layers.Conv2D(3, 2, activation="sigmoid", name="bad")),
        {"bad__activations": "fixed<8,0,wrap>"},
        r"lies a step away at places, where fixed<8,0,wrap> may wrap",
    ),
    "a binary output": (
        lambda: chain((4,), layers.Dense(3, name="bad")),
        {"activations": "binary"},
        "must go into a layer with a kernel",
    ),
    "binary before an activation layer": (
        lambda: image(layers.Conv2D(3, 2, activation="relu", name="one"), layers.ReLU(name="bad")),
        {"one__activations": "binary"},
        "reads the binary output of one",
    ),
    "flattened before an activation layer": (
        lambda: chain((4, 3), layers.Flatten(name="flat"), layers.ReLU(name="bad"), layers.Dense(2)),
        {},
        "reads what flat has flattened",
    ),
    "a flattened output": (
        lambda: chain((4, 3), layers.Dense(2), layers.Flatten(name="bad")),
        {},
        "must go into a dense layer",
    ),
    "streams regrouped": (
        lambda: chain((4, 6), layers.Reshape((6, 4), name="bad"), layers.Dense(2)),
        {},
        "streams of 6 channels cannot be regrouped by 4",
    ),
    "three axes": (lambda: chain((2, 2, 2, 3), layers.Dense(2, name="bad")), {}, "no layers along 3 axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_hls4ml_cannot_express_is_said_by_layer(case: str, tmp_path: Path) -> None:
    make, formats, why = REFUSED[case]
    model = make()
    program = program_of(model, **formats)
    refused = write_project(tmp_path / "hls4ml", program, model, frames(program), "a test")
    assert list(refused) == ["bad"]
    assert re.search(why, refused["bad"])
    assert list(tmp_path.iterdir()) == []
    assert check_hls4ml(tmp_path / "hls4ml", frames(program), program, model, refused, "", True, quiet) == (
        [],
        [f"hls4ml, which cannot express bad: {refused['bad']}"],
    )
    with pytest.raises(BundleError, match="the bundle must say what hls4ml cannot express"):
        check_hls4ml(tmp_path / "hls4ml", frames(program), program, model, {}, "", True, quiet)


def test_every_layer_is_named() -> None:
    model = NETWORKS["plane"]()
    assert set(translate(program_of(model), model).refused) == {"ragged", "sep", "limited", "wide"}


def test_names_are_those_of_no_language() -> None:
    names = Names()
    given = [names.new(name) for name in ("conv_1", "int", "i", "input", "2nd", "a.b", "a_b", "A_b", "layer2_t", "_x")]
    assert given == [
        *("conv_1", "int_layer", "i_layer", "input_layer", "layer_2nd_layer", "a_b", "a_b_2", "A_b_3"),
        *("layer2_t_layer", "layer__x"),
    ]
