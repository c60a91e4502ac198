"""The plain QKeras model of whole networks: to the last bit the trial's outputs, and a file that QKeras alone loads."""

import itertools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import qkeras
from keras import layers

from wordlength.objectives.quantized_model import frozen
from wordlength.search.export.qkeras_model import PlainModel, plain_model
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Overflow,
    PowerOfTwo,
    Role,
    Rounding,
    Slot,
    SlotInfo,
    VirtualBitShift,
    find_slots,
)

pytestmark = pytest.mark.usefixtures("tensorflow")


def stack(shape: tuple[int, ...], *layer: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layer, layers.Flatten(), layers.Dense(2, name="last")])


def branches() -> keras.Model:
    inputs = keras.Input((5,))
    linear = layers.Dense(4, name="linear")(inputs)
    joined = layers.Add()([linear, layers.ReLU(name="relu")(linear)])
    return keras.Model(inputs, layers.Dense(2, "sigmoid", name="last")(joined))


MODELS = {
    "Dense": lambda: stack((5,), layers.Dense(4, "relu"), layers.Dense(3, layers.LeakyReLU(0.3), use_bias=False)),
    "Conv1D": lambda: stack((9, 5), layers.Conv1D(4, 3, dilation_rate=2, activation="tanh")),
    "Conv2D": lambda: stack((9, 9, 2), layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPool2D()),
    "DepthwiseConv2D": lambda: stack((9, 9, 2), layers.DepthwiseConv2D(3, depth_multiplier=2, activation="elu")),
    "SeparableConv1D": lambda: stack((9, 2), layers.SeparableConv1D(3, 3, depth_multiplier=2, activation="relu")),
    "SeparableConv2D": lambda: stack((9, 9, 2), layers.SeparableConv2D(3, 3, strides=2, activation="relu")),
    "activation layers": lambda: stack(
        (5,), layers.Dense(4), layers.Activation("sigmoid"), layers.Dense(4), layers.Softmax()
    ),
    "branches": branches,
}


def seeded(kind: str) -> tuple[keras.Model, np.ndarray]:
    """The model with random weights, biases included; inputs for it."""
    model, rng = MODELS[kind](), np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.6, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model, rng.normal(0, 1.5, (7, *model.input_shape[1:])).astype(np.float32)


def drawn(model: keras.Model, seed: int, parameters: tuple, activations: tuple) -> Candidate:
    """A format for every slot; "channels" is a fixed point with a position of its own for each channel."""
    rng = np.random.default_rng(seed)
    pools = {Role.WEIGHTS: parameters, Role.BIASES: parameters, Role.ACTIVATIONS: activations}
    turns = {role: itertools.cycle(rng.permutation(len(pool))) for role, pool in pools.items()}
    infos = find_slots(model)
    chosen = {info: pools[info.slot.role][next(turns[info.slot.role])] for info in infos}
    return Candidate.of((info.slot, per_channel(info) if fmt == "channels" else fmt) for info, fmt in chosen.items())


def per_channel(info: SlotInfo) -> Fixed:
    return Fixed(6, tuple(-k % 3 - 1 for k in range(sum(tensor.packed_shape[-1] for tensor in info.tensors))))


PLAIN_PARAMETERS = (
    "channels",
    Fixed(4, 0),
    Fixed(5, 1, rounding=Rounding.FLOOR),
    PowerOfTwo(4, 0),
    PowerOfTwo(3, -2),
    PowerOfTwo(2, -1, zero=True),
    VirtualBitShift(3),
    VirtualBitShift(4, "channel"),
    Float32(),
)
PLAIN_ACTIVATIONS = (Fixed(16, 2), Fixed(4, 0), Fixed(5, 1, signed=False), Binary(), PowerOfTwo(1, 0), Float32())
PARAMETERS = (*PLAIN_PARAMETERS, Fixed(1, -1), PowerOfTwo(4, 0, zero=True), VirtualBitShift(3, 5))
ACTIVATIONS = (*PLAIN_ACTIVATIONS, PowerOfTwo(4, 0), PowerOfTwo(3, 0, zero=True), Fixed(5, 0, overflow=Overflow.WRAP))


def compared(candidate: Candidate, model: keras.Model, x: np.ndarray) -> PlainModel:
    """The plain model, whose outputs are those of the frozen one."""
    weights = tuple(model.get_weights())
    plain = plain_model(weights, model, candidate)
    wanted = frozen(weights, model, candidate).model(x).numpy()
    assert (wanted != model(x).numpy()).any()
    np.testing.assert_array_equal(plain.model(x), wanted)
    return plain


@pytest.mark.parametrize("kind", MODELS)
def test_any_candidate_gives_the_outputs_of_the_frozen_model(kind: str, tmp_path: Path) -> None:
    model, x = seeded(kind)
    for seed in range(3):
        plain = compared(drawn(model, seed, PARAMETERS, ACTIVATIONS), model, x)
        plain.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x), plain.model(x))


LOADING = """
import sys, numpy, keras, qkeras
for folder in sys.argv[1:]:
    model = keras.models.load_model(f"{folder}/model.keras", safe_mode=True)
    numpy.save(f"{folder}/outputs.npy", model(numpy.load(f"{folder}/inputs.npy")))
assert "wordlength" not in sys.modules
"""


def test_plain_files_load_without_this_package(tmp_path: Path) -> None:
    given = {}
    for seed, kind in enumerate(MODELS):
        model, x = seeded(kind)
        plain = compared(drawn(model, seed, PLAIN_PARAMETERS, PLAIN_ACTIVATIONS), model, x)
        assert plain.plain, plain.custom
        folder = tmp_path / kind
        folder.mkdir()
        plain.model.save(folder / "model.keras")
        np.save(folder / "inputs.npy", x)
        given[folder] = plain.model(x).numpy()
    subprocess.run([sys.executable, "-c", LOADING, *map(str, given)], check=True, capture_output=True)
    for folder, wanted in given.items():
        np.testing.assert_array_equal(np.load(folder / "outputs.npy"), wanted)


def test_relu_networks_of_fixed_point_are_layers_that_qkeras_statistics_know() -> None:
    first, last = layers.Dense(4, "relu", name="first"), layers.Dense(2, "sigmoid", name="last")
    model = keras.Sequential([keras.Input((5,), name="x"), first, last])
    slots = [info.slot for info in find_slots(model)]
    candidate = Candidate.uniform(slots, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(16, 2))
    plain = plain_model(tuple(model.get_weights()), model, candidate).model
    names = [f"{layer}{after}" for layer in ("first", "last") for after in ("", "_activation", "_quantized")]
    assert [operation.name for operation in plain.operations] == ["x", *names]
    assert str(plain.get_layer("first_quantized").activation) == "quantized_relu(15,2)"
    assert str(plain.get_layer("last_quantized").activation) == "quantized_bits(16,2,0,alpha=1.0)"
    qkeras.print_qstats(plain)


def test_float32_slots_have_no_quantizer() -> None:
    model, x = seeded("Dense")
    plain = plain_model(tuple(model.get_weights()), model, Candidate.of((i.slot, Float32()) for i in find_slots(model)))
    assert not any(isinstance(layer, qkeras.QActivation) for layer in plain.model.layers)
    dense = [layer for layer in plain.model.layers if isinstance(layer, qkeras.QDense)]
    assert len(dense) == 3
    assert all(layer.get_quantizers() == [None, None] for layer in dense)
    np.testing.assert_array_equal(plain.model(x), model(x))


def test_the_model_given_stays_as_it_is() -> None:
    model, x = seeded("Conv2D")
    before, weights = model(x).numpy(), model.get_weights()
    plain_model(tuple(np.zeros_like(part) for part in weights), model, drawn(model, 0, PARAMETERS, ACTIVATIONS))
    np.testing.assert_array_equal(model(x), before)


def test_a_layers_own_constraint_stays_beside_scales_per_channel() -> None:
    model = stack((5,), layers.Dense(4, "relu", kernel_constraint="non_neg", name="first"))
    formats = {info.slot: per_channel(info) if info.tensors else Float32() for info in find_slots(model)}
    layer = plain_model(tuple(model.get_weights()), model, Candidate.of(formats)).model.get_layer("first")
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(layer.bias_constraint(kernel), kernel)


@pytest.mark.parametrize("named", [{"recurrent_activation": "hard_sigmoid"}, {"activation": "hard_tanh"}], ids=str)
def test_functions_of_which_qkeras_has_others_keep_the_keras_layer(named: dict[str, str]) -> None:
    """QKeras' hard_sigmoid is (x + 1) / 2, Keras' x / 6 + 1/2."""
    (name,) = named.values()
    assert qkeras.get_quantizer(name) is not keras.activations.get(name)
    model, state = stack((3, 2), layers.GRU(2, name="odd", **named)), Slot("odd", Role.ACTIVATIONS)
    formats = {info.slot: Fixed(5, 0) if info.tensors else Float32() for info in find_slots(model)}
    plain = plain_model(tuple(model.get_weights()), model, Candidate.of(formats))
    assert plain.plain
    assert isinstance(plain.model.get_layer("odd"), layers.GRU)
    rounded = plain_model(tuple(model.get_weights()), model, Candidate.of(formats | {state: Fixed(8, 0)}))
    assert rounded.custom == {state: f"QKeras' recurrent layers take {name} for another"}
