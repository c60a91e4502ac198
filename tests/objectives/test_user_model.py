"""Networks of the user's own: what the function is called with, and every way in which it can be wrong, in one line."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.errors import ModelError
from wordlength.objectives.models import IrmCnn, KerasFile, UserModel, build_model
from wordlength.objectives.models.float_network import pretrained_network
from wordlength.objectives.shape import NetworkShape

pytestmark = pytest.mark.usefixtures("tensorflow")

SHAPE = NetworkShape(4, 5, 3)
HEAD = "import keras\nfrom keras import layers\n"
STACK = "keras.Sequential([keras.Input((4, 5)), layers.Flatten(), layers.Dense(3, name='only')])"


def model(body: str, **arguments: object) -> UserModel:
    return UserModel("net.py:build", arguments, HEAD + body)


@pytest.mark.parametrize(
    "signature",
    ["", "inputs", "inputs, outputs", "outputs=9", "**others", "*, outputs", "seed=3", "inputs, /, outputs"],
)
def test_the_function_is_called_with_what_it_takes(signature: str) -> None:
    if "/" in signature:
        with pytest.raises(ModelError, match=r"missing 1 required positional argument: 'inputs' \(net\.py:build\)"):
            build_model(model(f"def build({signature}): return {STACK}"), SHAPE, 0)
        return
    body = f"def build({signature}):\n    assert locals().get('outputs', 3) == 3\n    return {STACK}"
    assert build_model(model(body), SHAPE, 0).output_shape == (None, 3)


def test_arguments_reach_the_function() -> None:
    body = f"def build(depth, **others):\n    assert (depth, others['name']) == (2, 'x'), others\n    return {STACK}"
    build_model(model(body, depth=2, name="x"), SHAPE, 0)


BROKEN = {
    "no such function": (
        "def other(): pass",
        "must define the function, but 'build' is not there; its functions are other",
    ),
    "nothing in it": ("x = 1", "must define the function, but 'build' is not there; it has none"),
    "syntax": ("def build(:\n", r"must be Python, but invalid syntax \(net\.py, line 3\)"),
    "raises": ("def build():\n    raise KeyError('a')", r"but it raised KeyError: 'a' \(net\.py:build, line 4\)"),
    "raises at once": (
        "import no_such\ndef build(): ...",
        r"NotFoundError: No module .* \(net\.py:build, line 3\)",
    ),
    "no function": ("build = 5", r"must define the function, but it has no such \(net\.py:build\)"),
    "no model": ("def build(): return 5", r"must be a Keras model, but got a value of type int \(net\.py:build\)"),
    "subclass": (
        "class Own(keras.Model):\n    pass\ndef build(): return Own()",
        r"must be a functional or sequential Keras model, but got a Own",
    ),
    "unbuilt": ("def build(): return keras.Sequential([layers.Dense(3)])", "must begin with an Input"),
    "two outputs": (
        "def build(inputs):\n    x = keras.Input(inputs)\n    y = layers.Flatten()(x)\n"
        "    return keras.Model(x, [layers.Dense(3)(y), layers.Dense(3)(y)])",
        "must have one input and one output, but got 1 and 2",
    ),
    "output": (
        f"def build(): return {STACK.replace('Dense(3', 'Dense(4')}",
        r"must take \(4, 5\) and give \(3,\) for each window, but it takes \(4, 5\) and gives \(4,\)",
    ),
    "input": (
        f"def build(): return {STACK.replace('(4, 5)', '(5, 4)')}",
        r"must take \(4, 5\) and give \(3,\) for each window, but it takes \(5, 4\) and gives \(3,\)",
    ),
    "missing argument": (
        "def build(width): ...",
        r"the model's arguments, but it needs 'width' as well \(net\.py:build\)",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_in_one_line(case: str) -> None:
    body, message = BROKEN[case]
    with pytest.raises(ModelError, match=message) as refused:
        build_model(model(body), SHAPE, 0)
    assert len(str(refused.value).splitlines()) == 1
    assert "net.py" in str(refused.value)


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    with pytest.raises(ModelError, match=r"must be the function's, but got 'widht'; it takes outputs, width \(net"):
        build_model(model(f"def build(width, outputs): return {STACK}", widht=3), SHAPE, 0)
    with pytest.raises(ValueError, match=r"arguments must be numbers, text, lists and maps"):
        model(f"def build(width): return {STACK}", width={1, 2})


def test_nothing_of_the_file_runs_before_the_network_is_built(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    settings = model(f"open({str(trace)!r}, 'w').close()\ndef build(): return {STACK}")
    assert not trace.exists()
    build_model(settings, SHAPE, 0)
    assert trace.exists()


def test_files_beside_the_function_s_can_be_imported_and_the_path_is_left_as_it_was(tmp_path: Path) -> None:
    import sys

    (tmp_path / "wordlength_test_blocks.py").write_text(HEAD + f"def stack(): return {STACK}", encoding="utf-8")
    before = list(sys.path)
    source = "from wordlength_test_blocks import *\ndef build(): return stack()"
    settings = UserModel(f"{tmp_path / 'net.py'}:build", {}, source)
    assert build_model(settings, SHAPE, 0).output_shape == (None, 3)
    assert sys.path == before


def test_a_name_that_only_running_would_tell_is_left_to_running() -> None:
    settings = UserModel("net.py:build", {}, "from math import *\n")
    with pytest.raises(ModelError, match="it has no such"):
        build_model(settings, SHAPE, 0)


def trained(path: Path, units: int = 3) -> KerasFile:
    keras.utils.set_random_seed(5)
    keras.Sequential([keras.Input((4, 5)), layers.Flatten(), layers.Dense(units, name="only")]).save(path)
    return KerasFile.holding(str(path), path.read_bytes())


def test_a_keras_file_gives_its_network_and_its_weights(tmp_path: Path) -> None:
    file = trained(tmp_path / "net.keras")
    (tmp_path / "net.keras").unlink()  # The content is what counts.
    fresh, whole = build_model(file, SHAPE, 1), pretrained_network(file, file, SHAPE, 1)
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    assert (fresh(x).numpy() != whole(x).numpy()).any()
    own = pretrained_network(file, model(f"def build(): return {STACK}"), SHAPE, 1)
    np.testing.assert_array_equal(own(x), whole(x))


def test_a_keras_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must take \(4, 5\) and give \(3,\) .* gives \(2,\); .* \(.*net\.keras\)"):
        build_model(trained(tmp_path / "net.keras", units=2), SHAPE, 0)
    deeper = model(f"def build(): return {STACK.replace('layers.Dense', 'layers.Dense(7), layers.Dense')}")
    wanted = re.escape("but its tensor 1 is of shape (20, 7) and the file's of (20, 3); leave out model")
    file = trained(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=wanted):
        pretrained_network(file, deeper, SHAPE, 0)


def test_a_file_that_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match=r"but net\.keras is no such archive \(net\.keras\)") as refused:
        build_model(KerasFile.holding("net.keras", b"no zip"), SHAPE, 0)
    assert len(str(refused.value).splitlines()) == 1


def test_code_in_a_keras_file_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    x = keras.Input((4, 5))
    keras.Model(x, layers.Lambda(lambda t: t[:, 0, :3])(x)).save(path)
    with pytest.raises(ModelError, match=r"safe mode reads, but .*\(.*net\.keras\)"):
        build_model(KerasFile.holding(str(path), path.read_bytes()), SHAPE, 0)


def test_features_that_pooling_leaves_nothing_of_are_refused() -> None:
    with pytest.raises(ModelError, match=r"irm_cnn must be given at least 7 frames of 28 bins, but got 4 of 5"):
        build_model(IrmCnn(), SHAPE, 0)
    assert build_model(IrmCnn(), NetworkShape(7, 28, 3), 0).output_shape == (None, 3)
