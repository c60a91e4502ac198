import keras
import numpy as np
import pytest
from keras import layers

from wordlength.errors import ModelError
from wordlength.objectives.folding import folded
from wordlength.objectives.quantized_model import quantize
from wordlength.space import find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def chain(shape: tuple[int, ...], *stack: keras.layers.Layer) -> keras.Model:
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x, name="net")


def norm(name: str = "norm", **options) -> layers.BatchNormalization:
    return layers.BatchNormalization(name=name, **options)


def seeded(model: keras.Model) -> keras.Model:
    """Random weights and moving statistics; variances above zero, factors of both signs."""
    rng = np.random.default_rng(5)
    for variable in model.weights:
        values = rng.normal(0.2, 0.7, variable.shape)
        variable.assign(np.abs(values) + 0.1 if variable.path.endswith("moving_variance") else values)
    return model


BACKWARD = {
    "Dense": lambda: chain((5,), layers.Dense(4, name="a"), norm(), layers.ReLU(), layers.Dense(2)),
    "no bias": lambda: chain((5,), layers.Dense(4, use_bias=False, name="a"), norm(), layers.Dense(2, "tanh")),
    "Conv1D": lambda: chain((8, 2), layers.Conv1D(3, 3, padding="causal", name="a"), norm(), layers.ReLU()),
    "Conv2D": lambda: chain((5, 5, 2), layers.Conv2D(3, 3, padding="same", name="a"), norm(), layers.ReLU()),
    "DepthwiseConv1D": lambda: chain((8, 2), layers.DepthwiseConv1D(3, depth_multiplier=2, name="a"), norm()),
    "DepthwiseConv2D": lambda: chain((5, 5, 2), layers.DepthwiseConv2D(3, depth_multiplier=2, name="a"), norm()),
    "SeparableConv1D": lambda: chain((8, 2), layers.SeparableConv1D(3, 3, name="a"), norm()),
    "SeparableConv2D": lambda: chain((5, 5, 2), layers.SeparableConv2D(3, 3, use_bias=False, name="a"), norm()),
    "Conv1DTranspose": lambda: chain((4, 2), layers.Conv1DTranspose(3, 3, strides=2, name="a"), norm()),
    "Conv2DTranspose": lambda: chain((4, 4, 2), layers.Conv2DTranspose(3, 3, strides=2, name="a"), norm()),
    "TimeDistributed": lambda: chain(
        (4, 3), layers.TimeDistributed(layers.Dense(2, use_bias=False), name="a"), norm(scale=False)
    ),
    "normalization of every step": lambda: chain(
        (4, 3), layers.Dense(2, name="a"), layers.TimeDistributed(norm(), name="each"), layers.ReLU()
    ),
    "twice": lambda: chain((5,), layers.Dense(4, name="a"), norm("one"), norm("two", center=False), layers.ReLU()),
    "through pooling": lambda: chain(
        (8, 2), layers.Conv1D(3, 2, name="a"), layers.AveragePooling1D(2, padding="same"), layers.Dropout(0.3), norm()
    ),
    "Sequential": lambda: keras.Sequential([keras.Input((5,)), layers.Dense(4, name="a"), norm(), layers.Dense(2)]),
}
FORWARD = {
    "Dense": lambda: chain((5,), layers.Dense(4, "relu"), norm(), layers.Dropout(0.2), layers.Dense(2, name="a")),
    "input": lambda: chain((6, 3), norm(), layers.Conv1D(2, 3, dilation_rate=2, use_bias=False, name="a")),
    "Conv2D": lambda: chain((5, 5, 2), norm(), layers.Conv2D(3, 3, strides=2, name="a")),
    "one place": lambda: chain((5, 5, 2), norm(), layers.Conv2D(3, 1, padding="same", name="a")),
    "DepthwiseConv2D": lambda: chain((5, 5, 2), norm(), layers.DepthwiseConv2D(3, depth_multiplier=2, name="a")),
    "SeparableConv1D": lambda: chain((8, 2), norm(), layers.SeparableConv1D(3, 3, depth_multiplier=2, name="a")),
    "flattened": lambda: chain(
        (4, 3), layers.Conv1D(2, 2, activation="relu"), norm(), layers.Flatten(), layers.Dense(2, name="a")
    ),
    "GRU": lambda: chain((6, 3), norm(), layers.GRU(4, name="a")),
    "LSTM": lambda: chain((6, 3), norm(), layers.LSTM(4, name="a")),
    "Bidirectional": lambda: chain((6, 3), norm(), layers.Bidirectional(layers.GRU(4, reset_after=False), name="a")),
}
EVERY = {f"backward {name}": made for name, made in BACKWARD.items()} | {
    f"forward {name}": made for name, made in FORWARD.items()
}


@pytest.mark.parametrize("name", EVERY)
def test_folding_changes_nothing(name: str) -> None:
    model = seeded(EVERY[name]())
    x = np.random.default_rng(6).normal(0, 1, (9, *model.input_shape[1:])).astype(np.float32)
    made, wanted = folded(model), model(x).numpy()
    assert np.abs(made(x).numpy() - wanted).max() < 1e-5 * np.abs(wanted).max()
    kept = [layer.name for layer in model.layers if not layer.name.startswith(("norm", "one", "two", "each", "input"))]
    assert [layer.name for layer in made.layers if not isinstance(layer, layers.InputLayer)] == kept
    assert (quantize(made).model(x).numpy() == made(x).numpy()).mean() > 0.95
    find_slots(made)


def test_it_goes_into_all_that_read_it() -> None:
    inputs = keras.Input((6, 3))
    x = norm()(layers.Conv1D(3, 2, activation="relu")(inputs))
    joined = layers.Concatenate()([layers.Dense(2, name="one")(x), layers.Conv1D(4, 1, name="two")(x)])
    model = seeded(keras.Model(inputs, layers.Dense(2)(joined)))
    x = np.random.default_rng(6).normal(0, 1, (9, 6, 3)).astype(np.float32)
    assert np.abs(folded(model)(x).numpy() - model(x).numpy()).max() < 1e-5 * np.abs(model(x).numpy()).max()


def test_a_model_without_it_is_left_alone() -> None:
    model = chain((5,), layers.Dense(2))
    assert folded(model) is model


REFUSED = {
    r"'relu' before it is a ReLU, and 'conv' after it pads with zeros": lambda: chain(
        (6, 3), layers.Dense(3), layers.ReLU(name="relu"), norm(), layers.Conv1D(2, 3, padding="same", name="conv")
    ),
    r"'d' before it has the function tanh, and it gives the output": lambda: chain(
        (6, 3), layers.Dense(3, "tanh", name="d"), norm()
    ),
    r"'d' before it has the function relu, and 'up' after it is a Conv1DTranspose": lambda: chain(
        (6, 3), layers.Dense(3, "relu", name="d"), norm(), layers.Conv1DTranspose(3, 3, name="up")
    ),
    r"'top' before it is a MaxPooling1D, and 'gru' after it has no bias": lambda: chain(
        (6, 3), layers.MaxPooling1D(name="top"), norm(), layers.GRU(3, use_bias=False, name="gru")
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_no_kernel_can_take_is_named(told: str) -> None:
    with pytest.raises(ModelError, match=f"but 'norm' does not: {told}"):
        folded(seeded(REFUSED[told]()))


def test_others_that_read_the_values_before_it_are_named() -> None:
    inputs = keras.Input((5,))
    x = layers.Dense(4, name="shared")(inputs)
    joined = layers.Add(name="sum")([layers.ReLU()(norm()(x)), x])
    with pytest.raises(ModelError, match=r"others too read 'shared' before it, and 're_lu.*' after it is a ReLU"):
        folded(keras.Model(inputs, layers.Dense(2)(joined)))


def test_another_axis_is_refused() -> None:
    model = chain((4, 3), layers.Dense(3), norm(axis=1), layers.Dense(2))
    with pytest.raises(ModelError, match="along the last axis to be folded, but 'norm' is not"):
        folded(model)
