"""hls4ml/ of a bundle: types that hold every value, what hls4ml cannot express, its C simulation to the last bit."""

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml
from integer_networks import NETWORKS, random_candidate
from keras import layers

from wordlength import export
from wordlength.errors import BundleError, IntegerError
from wordlength.objectives.integer import IntegerProgram, Sum, integer_program
from wordlength.search.export.hls import check_hls4ml, simulation, write_project
from wordlength.search.export.hls.nodes import Names
from wordlength.search.export.hls.project import expected, keras_model
from wordlength.search.export.hls.simulation import simulate
from wordlength.search.export.hls.translate import translate
from wordlength.space import Candidate, Fixed, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")
INPUT = Fixed(12, 3)
PLAIN = {"weights": "fixed<5,0>", "biases": "fixed<8,1>", "activations": "fixed<7,2>"}
needs_compiler = pytest.mark.skipif(bool(simulation.missing()), reason="hls4ml or g++ is not here")


def plane() -> keras.Model:
    """Two-dimensional, of everything that hls4ml has."""
    inputs = keras.Input((8, 9), name="frames")
    x = layers.Reshape((8, 9, 1))(inputs)
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.MaxPooling2D((1, 2), name="largest")(x)
    x = layers.SeparableConv2D(4, 3, strides=2, padding="same", activation="relu6", name="sep")(x)
    x = layers.DepthwiseConv2D(2, padding="same", use_bias=False, name="depth")(x)
    x = layers.ReLU(max_value=8, name="limited")(x)
    x = layers.Conv2D(4, (1, 2), activation="relu", name="wide")(x)
    x = layers.AveragePooling2D((3, 1), name="thirds")(x)
    x = layers.Dense(3, name="each")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(6, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(5, activation="sigmoid", name="mask")(x))


def line() -> keras.Model:
    """One-dimensional, with names that C++ does not allow and a curve before the last layer."""
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="first-conv")(inputs)
    x = layers.SeparableConv1D(5, 3, name="sep.1")(x)
    x = layers.Activation("relu", name="int")(x)
    x = layers.AveragePooling1D(2, name="pool")(x)
    x = layers.Dense(3, activation="relu", use_bias=False, name="each")(x)
    x = layers.GlobalAveragePooling1D(name="all")(x)
    x = layers.Dense(6, activation="tanh", name="c")(x)
    return keras.Model(inputs, layers.Dense(4, name="out")(x))


def program_of(model: keras.Model, **formats: str) -> IntegerProgram:
    """Random weights; formats by role, or by slot with `__` for the dot."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(0.05, 0.5, variable.shape) * (rng.random(variable.shape) > 0.1)
        variable.assign(values.astype(np.float32))
    by_slot = {name.replace("__", "."): text for name, text in formats.items()}
    chosen = {
        str(info.slot): by_slot.get(str(info.slot), (PLAIN | formats)[info.slot.role]) for info in find_slots(model)
    }
    return integer_program(model, Candidate.from_dict(chosen), INPUT)


def frames(program: IntegerProgram) -> np.ndarray:
    """Small numbers, and those at the ends of the input's range."""
    rng, shape = np.random.default_rng(1), program.input_shape
    low, high = program.input_grid.lowest, program.input_grid.highest
    ends = [np.full(shape, low), np.full(shape, high), *rng.choice([low, high], (4, *shape))]
    return np.concatenate([rng.integers(low // 4, high // 4, (14, *shape)), ends]).astype(np.int64)


def written(folder: Path, model: keras.Model, **formats: str) -> tuple[IntegerProgram, Path]:
    program = program_of(model, **formats)
    assert write_project(folder / "hls4ml", program, model, frames(program), "a test") == {}
    return program, folder / "hls4ml"


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


def chain(shape: tuple[int, ...], *parts: layers.Layer) -> keras.Model:
    inputs = values = keras.Input(shape, name="frames")
    for part in parts:
        values = part(values)
    return keras.Model(inputs, values)


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


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


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


@needs_compiler
def test_the_simulation_of_a_plane_equals_the_integers(tmp_path: Path) -> None:
    _, folder = written(
        tmp_path,
        plane(),
        conv__weights="po2<4,0>",
        conv__activations="binary",
        sep__weights="vbs<4>",
        depth__weights="po2<3,0,zero>",
        limited__activations="ufixed<8,2,half_up>",
        wide__weights="vbs<5,group=channel>",
        wide__activations="fixed<10,0,floor,wrap>",
        each__activations="fixed<9,3>",
        dense__activations="fixed<10,2>",
        mask__weights="po2<4,1>",
        mask__activations="fixed<16,2>",
    )
    held = np.load(folder / "expected.npz")
    assert min(len(np.unique(held[name])) for name in held) > 1
    assert len(np.unique(held["mask_sigmoid"])) > 15
    assert "mask_layer:" in (folder / "hls4ml_config.yml").read_text().partition("Exponents:")[2]
    found = simulate(folder)
    assert re.fullmatch(r"10 layers of 20 frames equal to the last bit; mask_sigmoid: .*(every|up to [12] of).*", found)


@needs_compiler
def test_the_simulation_of_a_line_equals_the_integers_up_to_its_curve(tmp_path: Path) -> None:
    channels = "/".join(str(n % 3 - 1) for n in range(9))
    _, folder = written(
        tmp_path,
        line(),
        **{"first-conv__activations": "binary", "sep.1__weights": f"fixed<5,{channels}>"},
        each__weights="po2<4,0>",
        each__activations="fixed<9,3>",
        c__activations="fixed<10,1>",
    )
    held = np.load(folder / "expected.npz")
    assert len(np.unique(held["c_tanh"])) > 15
    found = simulate(folder)
    assert re.match(r"7 layers of 20 frames equal to the last bit; c_tanh: (every |\d+ .*, by up to 1 of )", found)
    assert "; out_layer, behind c_tanh: " in found


@needs_compiler
def test_check_py_runs_alone_and_keeps_the_project(tmp_path: Path) -> None:
    model = chain((4,), layers.Dense(3, activation="relu", name="first"), layers.Dense(2))
    _, folder = written(tmp_path, model, weights="po2<4,0>")
    code = (
        "import runpy, sys; sys.modules['wordlength'] = None; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    options = [str(folder / "check.py"), "--fixed", "--to", str(tmp_path / "project")]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 layers of 20 frames equal to the last bit")
    types = (tmp_path / "project" / "firmware" / "defines.h").read_text()
    assert re.search(r"typedef ap_fixed<\d+,-?\d+> first_layer_weight_t;", types)


@needs_compiler
def test_what_hls4ml_passes_over_is_found(tmp_path: Path) -> None:
    _, folder = written(tmp_path, chain((4,), layers.Dense(3, name="dense")))
    path = folder / "hls4ml_config.yml"
    path.write_text(path.read_text().replace("weight:", "weights:"))
    with pytest.raises(BundleError, match=r"must give the test frames, but: dense_layer must have weights .* has None"):
        simulate(folder)


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
    told = [], []
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
