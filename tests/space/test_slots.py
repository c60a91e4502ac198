import pickle

import keras
import pytest
from keras import layers

from wordlength.errors import FormatError, ModelError
from wordlength.space import Binary, Fixed, PowerOfTwo, Role, Slot, SlotInfo, TensorInfo, find_slots
from wordlength.space.slots import variable_of

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


def test_a_users_function_called_linear_is_one() -> None:
    def linear(x):
        return 2 * x

    layer = layers.Dense(3, activation=linear, name="a")
    assert "a.activations" in found(sequential((4,), layer, layers.ReLU(name="b")))


def test_a_linear_layer_that_feeds_more_than_an_activation_layer_keeps_its_slot() -> None:
    inputs = keras.Input((5,))
    linear = layers.Dense(3, name="a")(inputs)
    model = keras.Model(inputs, layers.Add(name="c")([linear, layers.ReLU(name="b")(linear)]))
    assert list(found(model)) == ["a.weights", "a.biases", "a.activations", "b.activations", "c.activations"]


def test_a_linear_output_layer_keeps_its_slot() -> None:
    assert list(found(sequential((5,), layers.Dense(3, name="a")))) == ["a.weights", "a.biases", "a.activations"]


def test_layers_without_weights_have_no_slot() -> None:
    model = sequential((4, 4, 1), layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.1), layers.Dense(1))
    assert {slot.split(".")[0] for slot in found(model)} == {model.layers[-1].name}


@pytest.mark.parametrize(
    ("build", "shape", "kind"),
    [
        (lambda: layers.Embedding(10, 3, name="odd"), (5,), "Embedding"),
        (lambda: layers.Conv3D(3, 2, name="odd"), (9, 9, 9, 5), "Conv3D"),
        (lambda: layers.Lambda(lambda x: x * x, name="odd"), (5,), "Lambda"),
        (lambda: layers.PReLU(name="odd"), (5,), "PReLU"),
        (lambda: keras.Sequential([keras.Input((5,)), layers.Dense(3)], name="odd"), (5,), "Sequential"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unknown_layers_are_named(build, shape, kind) -> None:
    with pytest.raises(ModelError, match=f"layers must be one of Activation, .*, but layer 'odd' is a {kind}"):
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


PARTS = {
    "GRU": (
        lambda: layers.GRU(3, name="a"),
        (9, 5),
        [("cell.kernel", (5, 9)), ("cell.recurrent_kernel", (3, 9))],
        [("cell.bias", (2, 9))],
    ),
    "LSTM without bias": (
        lambda: layers.LSTM(3, use_bias=False, name="a"),
        (9, 5),
        [("cell.kernel", (5, 12)), ("cell.recurrent_kernel", (3, 12))],
        [],
    ),
    "Bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(3), name="a"),
        (9, 5),
        [
            *(("forward_layer.cell.kernel", (5, 3)), ("forward_layer.cell.recurrent_kernel", (3, 3))),
            *(("backward_layer.cell.kernel", (5, 3)), ("backward_layer.cell.recurrent_kernel", (3, 3))),
        ],
        [("forward_layer.cell.bias", (3,)), ("backward_layer.cell.bias", (3,))],
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(4), name="a"),
        (9, 5),
        [("layer.kernel", (5, 4))],
        [("layer.bias", (4,))],
    ),
    "LayerNormalization": (lambda: layers.LayerNormalization(name="a"), (9, 5), [("gamma", (5,))], [("beta", (5,))]),
    "LayerNormalization without centre": (
        lambda: layers.LayerNormalization(center=False, name="a"),
        (9, 5),
        [("gamma", (5,))],
        [],
    ),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, name="a"),
        (9, 5),
        [("kernel", (3, 5, 2))],
        [("bias", (10,))],
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_tensors_of_a_layer_are_found_where_they_lie(name: str) -> None:
    build, shape, weights, biases = PARTS[name]
    model = sequential(shape, build())
    infos = find_slots(model)
    by_role = {info.slot.role: [(tensor.name, tensor.shape) for tensor in info.tensors] for info in infos}
    assert {str(info.slot).split(".")[0] for info in infos} == {"a"}
    assert by_role[Role.WEIGHTS] == weights
    assert by_role.get(Role.BIASES, []) == biases
    assert by_role[Role.ACTIVATIONS] == []
    for info in infos:
        for tensor in info.tensors:
            assert model.weights[tensor.place] is variable_of(model.layers[0], tensor.name)
            depthwise = name == "DepthwiseConv1D" and info.slot.role is Role.WEIGHTS
            assert tensor.packed_shape == ((3, 10) if depthwise else tensor.shape)


REFUSED = {
    "batch normalization must be folded .*, but 'odd' is not": lambda: layers.BatchNormalization(name="odd"),
    "start every window anew, but 'odd' is stateful": lambda: layers.GRU(3, stateful=True, name="odd"),
    "both directions must be merged, but 'odd'": lambda: layers.Bidirectional(
        layers.GRU(3), merge_mode=None, name="odd"
    ),
    "a TimeDistributed cannot be of a GRU, but layer 'odd' is": lambda: layers.TimeDistributed(
        layers.GRU(3), name="odd"
    ),
    "a TimeDistributed cannot be of a LayerNormalization, but layer 'odd' is": lambda: layers.TimeDistributed(
        layers.LayerNormalization(), name="odd"
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_quantized_is_told_in_one_line(told: str) -> None:
    inputs = keras.Input((2, 9, 5) if "of a GRU" in told else (9, 5), 7)
    outputs = REFUSED[told]()(inputs)
    with pytest.raises(ModelError, match=told) as refused:
        find_slots(keras.Model(inputs, outputs))
    assert "\n" not in str(refused.value)


def test_a_recurrent_layers_state_beside_its_output_is_refused() -> None:
    inputs = keras.Input((9, 5))
    _, state = layers.GRU(3, return_state=True, name="odd")(inputs)
    with pytest.raises(ModelError, match=r"must give its output alone, but 'odd' gives its state too"):
        find_slots(keras.Model(inputs, state))


def test_operations_that_are_no_layers_are_refused() -> None:
    inputs = keras.Input((5,))
    with pytest.raises(ModelError, match=r"'add(_\d+)?' is the operation Add of keras\.ops; write it as a layer"):
        find_slots(keras.Model(inputs, layers.Dense(5)(inputs) + inputs))


def test_a_layer_of_ones_own_with_a_known_name_is_unknown() -> None:
    class ReLU(layers.Layer):
        def call(self, x):
            return -x

    with pytest.raises(ModelError, match="but layer 'own' is a ReLU"):
        find_slots(sequential((5,), layers.Dense(3), ReLU(name="own")))


def test_a_merge_has_a_slot_and_what_moves_values_has_none() -> None:
    inputs = keras.Input((4, 5))
    left, right = layers.Dense(5, "relu", name="left")(inputs), layers.Dense(5, "relu", name="right")(inputs)
    x = layers.Add(name="sum")([left, right])
    x = layers.Concatenate(name="both")([x, layers.Permute((1, 2))(left)])
    x = layers.ReLU(name="rectified")(layers.Multiply(name="product")([x, x]))
    slots = found(keras.Model(inputs, layers.GlobalMaxPooling1D()(x)))
    named = [slot.removesuffix(".activations") for slot in slots if slot.endswith("activations")]
    assert named == ["left", "right", "sum", "rectified"]


def test_a_recurrent_state_cannot_be_binary() -> None:
    *_, state = find_slots(sequential((9, 5), layers.GRU(3, name="a")))
    with pytest.raises(FormatError, match=r"a\.activations cannot be binary: the state of a recurrent layer"):
        state.require(Binary())
    state.require(Fixed(8, 0))
    *_, plain = find_slots(sequential((9, 5), layers.Dense(3, name="a")))
    plain.require(Binary())
