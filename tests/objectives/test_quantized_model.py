import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_models import all_float, inputs_for, seeded, stack

from wordlength.errors import FormatError, ModelError
from wordlength.objectives.quantized_model import QuantizedModel, frozen, quantize
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Role,
    Rounding,
    Slot,
    SlotInfo,
    VirtualBitShift,
    find_slots,
)
from wordlength.space.slots import KERNELS

pytestmark = pytest.mark.usefixtures("tensorflow")


def branches() -> keras.Model:
    inputs = keras.Input((5,), name="x")
    linear = layers.Dense(4, name="linear")(inputs)
    joined = layers.Add(name="sum")([linear, layers.ReLU(name="relu")(linear)])
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


def taking_turns(model: keras.Model, **by_role: list[Format | str]) -> Candidate:
    """Each role's formats in turn; "channels" is a fixed point with a position of its own for each channel."""
    turns = {role: itertools.cycle(formats) for role, formats in by_role.items()}
    chosen = ((info, next(turns[info.slot.role])) for info in find_slots(model))
    return Candidate.of((info.slot, per_channel(info) if fmt == "channels" else fmt) for info, fmt in chosen)


def per_channel(info: SlotInfo) -> Fixed:
    return Fixed(6, tuple(-k % 3 - 1 for k in range(sum(tensor.packed_shape[-1] for tensor in info.tensors))))


def mixed(model: keras.Model) -> Candidate:
    """All three roles; only the unsigned format is of a kind that is traced when it comes."""
    return taking_turns(
        model,
        weights=[PowerOfTwo(3, -1), Fixed(4, 0), Fixed(6, -1)],
        biases=[Fixed(5, 0), PowerOfTwo(4, 0)],
        activations=[Fixed(5, 1), Fixed(4, 0, signed=False), PowerOfTwo(4, 0)],
    )


def per_channel_first(model: keras.Model) -> Candidate:
    return taking_turns(
        model,
        weights=["channels", VirtualBitShift(3, "channel")],
        biases=[Fixed(4, -1, rounding=Rounding.HALF_UP), VirtualBitShift(4)],
        activations=[Binary(), Fixed(5, 0, overflow=Overflow.WRAP)],
    )


def shifted_first(model: keras.Model) -> Candidate:
    return taking_turns(
        model,
        weights=[VirtualBitShift(3, 5), PowerOfTwo(3, -1, zero=True)],
        biases=["channels", Fixed(4, -1, rounding=Rounding.FLOOR)],
        activations=[PowerOfTwo(4, 0, zero=True), Binary()],
    )


CANDIDATES = {"usual": mixed, "per channel": per_channel_first, "shifted": shifted_first}


def with_rounded_weights(model: keras.Model, candidate: Candidate) -> keras.Model:
    """A float copy whose variables hold what `Format.round` gives."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for info in find_slots(model):
        for tensor, fmt in zip(info.tensors, info.formats(candidate[info.slot]) if info.tensors else (), strict=True):
            variable = getattr(copy.get_layer(info.slot.layer), tensor.name)
            variable.assign(fmt.round(variable.numpy().reshape(tensor.packed_shape)).reshape(tensor.shape))
    return copy


def reference(model: keras.Model, candidate: Candidate, x: np.ndarray) -> np.ndarray:
    """Layer by layer through a float copy, rounded by `Format.round` after each layer with a slot."""
    for layer in with_rounded_weights(model, candidate).layers:
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if isinstance(candidate.get(slot), Binary):
            # The step takes the activation function's place.
            if type(layer).__name__ in KERNELS:
                layer.activation = keras.activations.linear
                x = layer(x).numpy()
            x = (x > 0).astype(np.float32)
        else:
            x = layer(x).numpy()
            x = candidate[slot].round(x) if slot in candidate else x
    return x


def test_float32_changes_nothing(model: keras.Model) -> None:
    x = inputs_for(model)
    quantized = quantize(model)
    quantized.assign(all_float(model))
    wanted = model(x).numpy()
    assert np.abs(wanted).max() > 0
    np.testing.assert_array_equal(quantized.model(x), wanted)


@pytest.mark.parametrize("choice", CANDIDATES)
@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_formats_round_weights_biases_and_activations(kind: str, choice: str) -> None:
    model = seeded(SEQUENTIAL[kind])
    x, candidate = inputs_for(model), CANDIDATES[choice](model)
    quantized = quantize(model)
    quantized.assign(candidate)
    given, wanted = quantized.model(x).numpy(), reference(model, candidate, x)
    assert (given != model(x).numpy()).mean() > 0.5
    np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("group", ["tensor", "channel", 1, 4, 1000])
@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"])
def test_virtual_shifts_follow_the_weights(kind: str, group: str | int) -> None:
    model = seeded(SEQUENTIAL[kind])
    fmt = VirtualBitShift(3, group)
    quantized = quantize(model)
    quantized.assign(taking_turns(model, weights=[fmt], biases=[Fixed(8, 2)], activations=[Float32()]))
    for scale in (1.0, 1 / 64):  # the weights shrink, the shift grows with them
        info = quantized.slots[0]
        for tensor, variable, given in zip(info.tensors, *rounded_parameters(quantized, info), strict=True):
            wanted = fmt.round(variable.reshape(tensor.packed_shape)).reshape(tensor.shape)
            np.testing.assert_array_equal(given, wanted)
            assert np.unique(np.abs(wanted[wanted != 0])).max() <= 4 * scale
            assert (wanted != 0).any()
        quantized.model.set_weights([weight / 64 for weight in quantized.model.get_weights()])


def rounded_parameters(quantized: QuantizedModel, info: SlotInfo) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The slot's variables, and what their quantizers make of them."""
    variables = quantized.parameters(info.slot)
    quantizers = quantized.quantizers[info.slot]
    pairs = zip(quantizers, variables, strict=True)
    return [variable.numpy() for variable in variables], [q(tf.convert_to_tensor(v)).numpy() for q, v in pairs]


def test_every_output_channel_has_its_position_in_tensor_order() -> None:
    """Depthwise channels are (input channel, multiplier), and come before the pointwise ones."""
    model = seeded(lambda: stack((9, 9, 2), layers.SeparableConv2D(3, 3, depth_multiplier=2, name="first")))
    positions = (-3, -2, -1, 0, 1, 2, 3)
    candidate = dict(all_float(model)) | {Slot("first", Role.WEIGHTS): Fixed(5, positions)}
    quantized = quantize(model)
    quantized.assign(candidate)
    (depthwise, pointwise), (rounded_depthwise, rounded_pointwise) = rounded_parameters(quantized, quantized.slots[0])
    assert (depthwise.shape, pointwise.shape) == ((3, 3, 2, 2), (1, 1, 4, 3))
    for k, position in enumerate(positions[:4]):
        channel = (..., k // 2, k % 2)
        np.testing.assert_array_equal(rounded_depthwise[channel], Fixed(5, position).round(depthwise[channel]))
    for k, position in enumerate(positions[4:]):
        np.testing.assert_array_equal(rounded_pointwise[..., k], Fixed(5, position).round(pointwise[..., k]))


@pytest.mark.parametrize("kind", ["Dense", "DepthwiseConv2D", "SeparableConv2D"])
def test_another_number_of_channels_is_refused_with_the_slot(kind: str) -> None:
    model = seeded(SEQUENTIAL[kind])
    slot = find_slots(model)[0].slot
    quantized = quantize(model)
    with pytest.raises(FormatError, match=rf"as many as output channels, [\d+]+, but got 7 \({slot}\)"):
        quantized.assign(dict(all_float(model)) | {slot: Fixed(8, (1,) * 7)})


def test_only_kinds_beyond_the_usual_make_graphs_trace_again() -> None:
    model = seeded(SEQUENTIAL["SeparableConv1D"])
    quantized = quantize(model)
    first = quantized.version
    usual = [PowerOfTwo(3, -1), Fixed(4, 0), Fixed(24, -1)]
    quantized.assign(taking_turns(model, weights=usual, biases=usual, activations=usual))
    assert quantized.version == first
    quantized.assign(mixed(model))
    unsigned = quantized.version
    assert unsigned > first
    quantized.assign(shifted_first(model))
    assert quantized.version > unsigned
    last = quantized.version
    quantized.assign(mixed(model))
    quantized.assign(shifted_first(model))
    assert quantized.version == last


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
    wanted = rounded("last", copy.get_layer("last")(rounded("sum", linear + relu)).numpy())
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


@pytest.mark.parametrize("choice", CANDIDATES)
def test_saving_and_loading_gives_identical_outputs(model: keras.Model, choice: str, tmp_path: Path) -> None:
    x, candidate = inputs_for(model), CANDIDATES[choice](model)
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
        assert found == [tensor.shape for tensor in info.tensors]
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


def test_a_kind_that_traced_graphs_lack_is_refused_until_it_is_admitted() -> None:
    """Else they would go on with another format."""
    model = seeded(SEQUENTIAL["Dense"])
    quantized, x = quantize(model), inputs_for(model)
    quantized.assign(shifted_first(model))  # Nothing is traced yet.
    quantized = quantize(model)
    traced = tf.function(lambda values, version: quantized.model(values))
    traced(x, quantized.version)
    with pytest.raises(FormatError, match=r"a traced quantizer keeps its kinds .* but got vbs"):
        quantized.assign(shifted_first(model))
    quantized.admit(shifted_first(model).items())
    quantized.assign(shifted_first(model))
    np.testing.assert_array_equal(traced(x, quantized.version), quantized.model(x))
