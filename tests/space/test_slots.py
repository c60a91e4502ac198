import pickle

import keras
import pytest
from keras import layers

from wordlength.errors import FormatError, ModelError
from wordlength.space import Fixed, PowerOfTwo, Role, Slot, SlotInfo, TensorInfo, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def sequential(shape: tuple[int, ...], *stack: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *stack], name="net")


def found(model: keras.Model) -> dict[str, tuple[TensorInfo, ...]]:
    infos = find_slots(model)
    assert len({info.slot for info in infos}) == len(infos) > 0
    return {str(info.slot): info.tensors for info in infos}


@pytest.mark.parametrize(
    ("build", "shape", "kernels", "bias"),
    [
        (lambda: layers.Dense(3, "relu", name="a"), (5,), [TensorInfo("kernel", (5, 3))], 3),
        (lambda: layers.Conv1D(3, 2, activation="relu", name="a"), (9, 5), [TensorInfo("kernel", (2, 5, 3))], 3),
        (
            lambda: layers.Conv2D(3, (2, 4), activation="relu", name="a"),
            (9, 9, 5),
            [TensorInfo("kernel", (2, 4, 5, 3))],
            3,
        ),
        (
            lambda: layers.DepthwiseConv2D((2, 4), depth_multiplier=3, activation="relu", name="a"),
            (9, 9, 5),
            [TensorInfo("kernel", (2, 4, 5, 3), channel_axes=2)],
            15,
        ),
        (
            lambda: layers.SeparableConv1D(3, 2, activation="relu", name="a"),
            (9, 5),
            [TensorInfo("depthwise_kernel", (2, 5, 1), 2), TensorInfo("pointwise_kernel", (1, 5, 3))],
            3,
        ),
        (
            lambda: layers.SeparableConv2D(3, (2, 4), depth_multiplier=2, activation="relu", name="a"),
            (9, 9, 5),
            [TensorInfo("depthwise_kernel", (2, 4, 5, 2), 2), TensorInfo("pointwise_kernel", (1, 1, 10, 3))],
            3,
        ),
    ],
    ids=["Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"],
)
def test_every_kernel_layer(build, shape, kernels, bias) -> None:
    slots = found(sequential(shape, build()))
    assert slots == {"a.weights": tuple(kernels), "a.biases": (TensorInfo("bias", (bias,)),), "a.activations": ()}
    assert list(slots) == ["a.weights", "a.biases", "a.activations"]


def test_counts_are_those_of_the_tensors() -> None:
    weights, biases, activations = find_slots(sequential((9, 5), layers.SeparableConv1D(3, 2, name="a")))
    assert (weights.count, biases.count, activations.count) == (2 * 5 + 5 * 3, 3, 0)


def test_formats_see_output_channels_along_the_last_axis() -> None:
    assert TensorInfo("kernel", (2, 4, 5, 3)).packed_shape == (2, 4, 5, 3)
    assert TensorInfo("depthwise_kernel", (2, 4, 5, 3), channel_axes=2).packed_shape == (2, 4, 15)
    assert TensorInfo("depthwise_kernel", (2, 5, 1), channel_axes=2).packed_shape == (2, 5)
    assert TensorInfo("bias", (3,)).packed_shape == (3,)


def test_a_slots_tensors_get_their_part_of_a_format() -> None:
    kernels = TensorInfo("depthwise_kernel", (3, 3, 2, 1), 2), TensorInfo("pointwise_kernel", (1, 1, 2, 3))
    info = SlotInfo(Slot("a", Role.WEIGHTS), kernels)
    assert info.formats(PowerOfTwo(4, -1)) == (PowerOfTwo(4, -1), PowerOfTwo(4, -1))
    assert info.formats(Fixed(8, (0, 1, 2, 3, 4))) == (Fixed(8, (0, 1)), Fixed(8, (2, 3, 4)))
    with pytest.raises(FormatError, match=r"as many as output channels, 2\+3, but got 4 \(a\.weights\)$"):
        info.formats(Fixed(8, (0, 1, 2, 3)))


def test_no_bias_no_slot() -> None:
    assert list(found(sequential((5,), layers.Dense(3, "relu", use_bias=False, name="a")))) == [
        "a.weights",
        "a.activations",
    ]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(layers.Activation, ("tanh",)), (layers.ReLU, ()), (layers.LeakyReLU, ()), (layers.ELU, ()), (layers.Softmax, ())],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_linear_layer_leaves_its_activations_to_the_activation_layer(kind, arguments) -> None:
    activation = kind(*arguments)
    slots = found(sequential((5,), layers.Dense(3, name="a"), activation))
    assert list(slots) == ["a.weights", "a.biases", f"{activation.name}.activations"]


def test_a_layer_with_an_activation_of_its_own_keeps_its_slot() -> None:
    slots = found(sequential((5,), layers.Dense(3, "tanh", name="a"), layers.ReLU(name="b")))
    assert list(slots) == ["a.weights", "a.biases", "a.activations", "b.activations"]


def test_a_linear_layer_that_feeds_more_than_an_activation_layer_keeps_its_slot() -> None:
    inputs = keras.Input((5,))
    linear = layers.Dense(3, name="a")(inputs)
    model = keras.Model(inputs, layers.Add()([linear, layers.ReLU(name="b")(linear)]))
    assert list(found(model)) == ["a.weights", "a.biases", "a.activations", "b.activations"]


def test_a_linear_output_layer_keeps_its_slot() -> None:
    assert list(found(sequential((5,), layers.Dense(3, name="a")))) == ["a.weights", "a.biases", "a.activations"]


def test_layers_without_weights_have_no_slot() -> None:
    model = sequential((4, 4, 1), layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.1), layers.Dense(1))
    assert {slot.split(".")[0] for slot in found(model)} == {model.layers[-1].name}


@pytest.mark.parametrize(
    ("build", "shape", "kind"),
    [
        (lambda: layers.BatchNormalization(name="odd"), (5,), "BatchNormalization"),
        (lambda: layers.LSTM(3, name="odd"), (9, 5), "LSTM"),
        (lambda: layers.Embedding(10, 3, name="odd"), (5,), "Embedding"),
        (lambda: layers.Conv2DTranspose(3, 2, name="odd"), (9, 9, 5), "Conv2DTranspose"),
        (lambda: layers.PReLU(name="odd"), (5,), "PReLU"),
        (lambda: keras.Sequential([keras.Input((5,)), layers.Dense(3)], name="odd"), (5,), "Sequential"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unknown_layers_with_weights_are_named(build, shape, kind) -> None:
    with pytest.raises(ModelError, match=f"must be one of Conv1D, Conv2D, .*, but layer 'odd' is a {kind}"):
        find_slots(sequential(shape, build(), layers.Dense(2)))


def test_grouped_convolutions_are_named() -> None:
    model = sequential((9, 9, 4), layers.Conv2D(4, 3, groups=2, name="grouped"))
    with pytest.raises(ModelError, match=r"groups=1 \(QKeras has no others\), but 'grouped' has 2"):
        find_slots(model)


def test_a_layer_used_twice_is_named() -> None:
    inputs = keras.Input((5,))
    shared = layers.Dense(5, "relu", name="shared")
    with pytest.raises(ModelError, match="must be used once, but 'shared' is used 2 times"):
        find_slots(keras.Model(inputs, shared(shared(inputs))))


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ModelError, match="needs a layer with weights, but 'net' has none"):
        find_slots(sequential((5,), layers.ReLU()))


@pytest.mark.parametrize("role", Role)
def test_slot_text_round_trip(role: Role) -> None:
    slot = Slot("block.1/dense", role)
    assert str(slot) == f"block.1/dense.{role}"
    assert Slot.parse(str(slot)) == slot
    assert pickle.loads(pickle.dumps(slot)) == slot


@pytest.mark.parametrize("text", ["", "dense", "dense.kernel", ".weights", "dense.weights ", "weights"])
def test_bad_slot_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"written LAYER\.weights, \.biases or \.activations, but got '{text}'"):
        Slot.parse(text)
