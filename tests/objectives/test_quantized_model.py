from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.errors import ModelError
from wordlength.objectives.quantized_model import frozen, quantize
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def stack(shape: tuple[int, ...], *layer: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layer, layers.Flatten(), layers.Dense(2, name="last")])


def branches() -> keras.Model:
    inputs = keras.Input((5,), name="x")
    linear = layers.Dense(4, name="linear")(inputs)
    joined = layers.Add()([linear, layers.ReLU(name="relu")(linear)])
    return keras.Model(inputs, layers.Dense(2, "sigmoid", name="last")(joined))


SEQUENTIAL = {
    "Dense": lambda: stack((5,), layers.Dense(4, "relu")),
    "no bias": lambda: stack((5,), layers.Dense(4, "relu", use_bias=False)),
    "Conv1D": lambda: stack((9, 5), layers.Conv1D(4, 3, dilation_rate=2, activation="tanh")),
    "Conv2D": lambda: stack((9, 9, 2), layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")),
    "DepthwiseConv2D": lambda: stack((9, 9, 2), layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")),
    "SeparableConv1D": lambda: stack((9, 2), layers.SeparableConv1D(3, 3, padding="same", activation="relu")),
    "SeparableConv2D": lambda: stack((9, 9, 2), layers.SeparableConv2D(3, 3, strides=2, activation="relu")),
    "Activation": lambda: stack((5,), layers.Dense(4), layers.Activation("tanh")),
    "ReLU": lambda: stack((5,), layers.Dense(4), layers.ReLU(max_value=1)),
    "LeakyReLU": lambda: stack((5,), layers.Dense(4), layers.LeakyReLU(0.2)),
    "ELU": lambda: stack((5,), layers.Dense(4), layers.ELU()),
    "Softmax": lambda: stack((5,), layers.Dense(4), layers.Softmax()),
    "activation object": lambda: stack((5,), layers.Dense(4, activation=layers.LeakyReLU(0.3))),
    "pooling": lambda: stack((8, 8, 2), layers.Conv2D(3, 3, activation="relu"), layers.AveragePooling2D(2)),
}
MODELS = SEQUENTIAL | {"branches": branches}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> keras.Model:
    return seeded(MODELS[request.param])


def seeded(build) -> keras.Model:
    """The model with random weights, biases included, large enough to saturate some formats."""
    model = build()
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.6, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


def inputs_for(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1.5, (7, *model.input_shape[1:])).astype(np.float32)


def mixed(model: keras.Model) -> Candidate:
    """Another format in every slot, all three roles, both kinds."""
    by_role = {
        Role.WEIGHTS: [PowerOfTwo(3, -1), Fixed(4, 0), Fixed(6, -1)],
        Role.BIASES: [Fixed(5, 0), PowerOfTwo(4, 0)],
        Role.ACTIVATIONS: [Fixed(5, 1), Fixed(4, 0, signed=False), PowerOfTwo(4, 0)],
    }
    return Candidate.of(
        (info.slot, by_role[info.slot.role][number % len(by_role[info.slot.role])])
        for number, info in enumerate(find_slots(model))
    )


def all_float(model: keras.Model) -> Candidate:
    return Candidate.of((info.slot, Float32()) for info in find_slots(model))


def with_rounded_weights(model: keras.Model, candidate: Candidate) -> keras.Model:
    """A float copy whose variables hold what `Format.round` gives."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for info in find_slots(model):
        for name, _ in info.tensors:
            variable = getattr(copy.get_layer(info.slot.layer), name)
            variable.assign(candidate[info.slot].round(variable.numpy()))
    return copy


def reference(model: keras.Model, candidate: Candidate, x: np.ndarray) -> np.ndarray:
    """Layer by layer through a float copy, rounded by `Format.round` after each layer with a slot."""
    for layer in with_rounded_weights(model, candidate).layers:
        x = layer(x).numpy()
        slot = Slot(layer.name, Role.ACTIVATIONS)
        x = candidate[slot].round(x) if slot in candidate else x
    return x


def test_float32_changes_nothing(model: keras.Model) -> None:
    x = inputs_for(model)
    quantized = quantize(model)
    quantized.assign(all_float(model))
    wanted = model(x).numpy()
    assert np.abs(wanted).max() > 0
    np.testing.assert_array_equal(quantized.model(x), wanted)


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_formats_round_weights_biases_and_activations(kind: str) -> None:
    model = seeded(SEQUENTIAL[kind])
    x, candidate = inputs_for(model), mixed(model)
    quantized = quantize(model)
    quantized.assign(candidate)
    given, wanted = quantized.model(x).numpy(), reference(model, candidate, x)
    assert (given != model(x).numpy()).mean() > 0.5
    np.testing.assert_array_equal(given, wanted)


def test_branches_are_quantized_where_they_part() -> None:
    model = seeded(branches)
    x, candidate = inputs_for(model), mixed(model)
    quantized = quantize(model)
    quantized.assign(candidate)
    copy = with_rounded_weights(model, candidate)

    def rounded(layer: str, values: np.ndarray) -> np.ndarray:
        return candidate[Slot(layer, Role.ACTIVATIONS)].round(values)

    linear = rounded("linear", copy.get_layer("linear")(x).numpy())
    relu = rounded("relu", np.maximum(linear, 0))
    wanted = rounded("last", copy.get_layer("last")(linear + relu).numpy())
    np.testing.assert_array_equal(quantized.model(x), wanted)


def test_taps_are_the_values_before_they_are_quantized(model: keras.Model) -> None:
    x, candidate = inputs_for(model), mixed(model)
    quantized = quantize(model)
    quantized.assign(candidate)
    *taps, outputs = (tensor.numpy() for tensor in quantized.taps(x))
    assert len(taps) == len(quantized.activation_slots) > 0
    np.testing.assert_array_equal(outputs, quantized.model(x))
    assert quantized.activation_slots[-1] == Slot("last", Role.ACTIVATIONS)
    np.testing.assert_array_equal(candidate[quantized.activation_slots[-1]].round(taps[-1]), outputs)
    pairs = zip(quantized.activation_slots, taps, strict=True)
    assert any((candidate[slot].round(tap) != tap).any() for slot, tap in pairs)


def test_saving_and_loading_gives_identical_outputs(model: keras.Model, tmp_path: Path) -> None:
    x, candidate = inputs_for(model), mixed(model)
    saved = frozen(tuple(model.get_weights()), model, candidate)
    saved.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), saved.model(x))
    assert (loaded(x).numpy() != model(x).numpy()).any()


def test_assigning_formats_leaves_the_float_weights_alone(model: keras.Model) -> None:
    quantized = quantize(model)
    quantized.assign(mixed(model))
    quantized.model(inputs_for(model))
    weights = quantized.model.get_weights()
    assert len(weights) == len(model.get_weights()) > 0
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_formats_can_be_taken_back(model: keras.Model) -> None:
    x = inputs_for(model)
    quantized = quantize(model)
    quantized.assign(mixed(model))
    quantized.assign(all_float(model))
    np.testing.assert_array_equal(quantized.model(x), model(x))


def test_parameters_are_the_slots_variables(model: keras.Model) -> None:
    quantized = quantize(model)
    for info in quantized.slots:
        found = [tuple(variable.shape) for variable in quantized.parameters(info.slot)]
        assert found == [shape for _, shape in info.tensors]
        assert bool(found) == (info.slot.role is not Role.ACTIVATIONS)


def test_qkeras_clipping_constraints_are_gone(model: keras.Model) -> None:
    variables = quantize(model).model.trainable_variables
    assert variables
    assert all(variable.constraint is None for variable in variables)


def test_the_layers_own_constraint_and_initializer_stay() -> None:
    model = stack((5,), layers.Dense(4, "relu", kernel_constraint="non_neg", bias_initializer="ones", name="first"))
    layer = quantize(model).model.get_layer("first")
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    assert isinstance(layer.bias_initializer, keras.initializers.Ones)
    assert layer.bias_constraint is None


def test_a_frozen_model_shares_nothing_with_the_one_it_came_from() -> None:
    model = seeded(SEQUENTIAL["Dense"])
    x, candidate = inputs_for(model), mixed(model)
    one, other = frozen(tuple(model.get_weights()), model, candidate), quantize(model)
    before = one.model(x).numpy()
    other.assign(all_float(model))
    other.model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    np.testing.assert_array_equal(one.model(x), before)


def test_subclassed_models_are_refused_by_name() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.inner = layers.Dense(2)

        def call(self, x):
            return self.inner(x)

    model = Own()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(ModelError, match="a model must be functional or sequential, but 'own' is a Own"):
        quantize(model)


def test_an_activation_layer_used_twice_is_refused_by_name() -> None:
    inputs = keras.Input((5,))
    shared = layers.ReLU(name="shared")
    model = keras.Model(inputs, shared(layers.Dense(4)(shared(layers.Dense(4)(inputs)))))
    with pytest.raises(ModelError, match="'shared' is used 2 times"):
        quantize(model)


def test_causal_padding_is_refused_by_name() -> None:
    """QKeras' convolution takes it and fails when the model is called."""
    model = stack((9, 2), layers.Conv1D(3, 3, padding="causal", activation="relu", name="late"))
    with pytest.raises(ModelError, match="'late'"):
        quantize(model)
