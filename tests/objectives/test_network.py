"""Counts of a network by hand, and that every layer's products are those of its own kernel."""

import pytest

from wordlength.errors import ModelError
from wordlength.objectives.network import NetworkFacts
from wordlength.space.layer_types import LAYER_TYPES

pytestmark = pytest.mark.usefixtures("tensorflow")


def facts_of(inputs, outputs) -> NetworkFacts:
    import keras

    from wordlength.objectives.network import network_facts

    return network_facts(keras.Model(inputs, outputs))


def test_the_case_study_by_hand() -> None:
    """Klein et al. 2021: its first convolution and its dense layers."""
    from wordlength.objectives.models import IrmCnn, build_model
    from wordlength.objectives.network import network_facts
    from wordlength.objectives.shape import NetworkShape

    facts = network_facts(build_model(IrmCnn(), NetworkShape(16, 64, 129), seed=0))
    first, second, last = facts.layer("conv_1"), facts.layer("conv_2"), facts.layer("dense_3")
    assert (first.elements, first.products, first.additions) == (16 * 64 * 8, 16 * 64 * 8 * 9, 16 * 64 * 8 * 9)
    assert second.products == 16 * 64 * (8 * 9 + 8 * 16)
    assert (last.products, last.elements, last.terms) == (512 * 129, 129, 512)
    assert facts.buffer_owner("flatten") != "flatten"
    assert NetworkFacts.from_json(facts.to_json()) == facts


def test_layers_of_every_kind_are_counted() -> None:
    from keras import Input, layers

    inputs = Input((8, 6), name="frames")
    x = layers.Conv1D(4, 3, padding="causal", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    y = layers.DepthwiseConv1D(3, padding="same", name="depth")(x)
    x = layers.Multiply(name="gate")([x, y])
    x = layers.Concatenate(name="both")([x, y])
    x = layers.LayerNormalization(name="level")(x)
    x = layers.TimeDistributed(layers.Dense(5), name="each")(x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="ways")(x)
    x = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    x = layers.SimpleRNN(2, name="rnn")(x)
    facts = facts_of(inputs, layers.Dense(7, use_bias=False, name="last")(x))
    products = {layer.name: layer.products for layer in facts.layers if layer.products}
    assert products == {
        "conv": 8 * 4 * 18,
        "depth": 8 * 4 * 3,
        "each": 8 * 8 * 5,
        "ways": 2 * 8 * 3 * 3 * (5 + 3),
        "lstm": 8 * 4 * 4 * (6 + 4),
        "rnn": 8 * 2 * (4 + 2),
        "last": 2 * 7,
    }
    assert facts.layer("gate").elementwise == 8 * 4
    assert facts.layer("both").sources == ("gate", "depth")
    assert (facts.layer("lstm").state, facts.layer("ways").state) == (8, 6)
    assert (facts.layer("last").additions, facts.layer("conv").additions) == (7, 8 * 4 * 18)
    assert facts.buffer_owner("norm") == "conv"


def test_a_map_that_is_still_needed_is_held() -> None:
    """A skip connection: while the second layer of the branch runs, three maps are held."""
    from keras import Input, layers

    from wordlength.objectives.goals.cost import Costed
    from wordlength.objectives.goals.inference import peak_bytes
    from wordlength.space import Candidate

    inputs = Input((10,), name="in")
    x = layers.Dense(8, name="a")(inputs)
    y = layers.Dense(20, name="b")(x)
    y = layers.Dense(8, name="c")(y)
    facts = facts_of(inputs, layers.Add(name="sum")([x, y]))
    assert peak_bytes(Costed((), facts, Candidate.of({}))) == 4 * (8 + 20 + 8)


ARGUMENTS = {
    "Dense": (2,),
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose"), (3, 2)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), (3, 2)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), (2,)),
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM"), (3,)),
    "Activation": ("tanh",),
    "Permute": ((2, 1),),
    "Reshape": ((2, 12),),
    "RepeatVector": (3,),
    **dict.fromkeys(("Dropout", "GaussianDropout", "GaussianNoise"), (0.5,)),
    **{f"SpatialDropout{rank}D": (0.5,) for rank in (1, 2, 3)},
    **{f"AveragePooling{rank}D": (2,) for rank in (1, 2)},
}
"""What a layer type must be told."""
SHAPES = {"1D": (6, 4), "2D": (6, 6, 4), "3D": (3, 3, 3, 4), "RepeatVector": (24,)}
JOINED = ("Add", "Subtract", "Multiply", "Average", "Concatenate", "Maximum", "Minimum")


@pytest.mark.parametrize("kind", [kind for kind in LAYER_TYPES if kind != "InputLayer"])
def test_every_layer_that_has_slots_has_facts(kind: str) -> None:
    """Whatever can be quantized can be counted, in a wrapper too."""
    from keras import Input, Model, layers

    from wordlength.objectives.folding import folded
    from wordlength.objectives.network import network_facts
    from wordlength.space import find_slots

    wrapped = {"Bidirectional": layers.GRU(3), "TimeDistributed": layers.Dense(3)}
    arguments = (wrapped[kind],) if kind in wrapped else ARGUMENTS.get(kind, ())
    shape = next((shape for end, shape in SHAPES.items() if end in kind), (6, 4))
    x = inputs = Input(shape)
    given = [layers.Dense(4)(x), layers.Dense(4)(x)] if kind in JOINED else layers.Dense(shape[-1])(x)
    x = getattr(layers, kind)(*arguments, name="odd")(given)
    model = folded(Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    assert find_slots(model)
    names = {layer.name for layer in model.layers}
    facts = network_facts(model)
    assert {layer.name for layer in facts.layers} == names
    assert all(layer.elements for layer in facts.layers)


def test_a_layer_that_is_called_twice_is_counted_twice() -> None:
    from keras import Input, layers

    pool, inputs = layers.MaxPooling1D(2, name="pool"), Input((8, 3))
    other = layers.Dense(3, name="dense")(inputs)
    pooled = facts_of(inputs, layers.Add()([pool(inputs), pool(other)])).layer("pool")
    assert (pooled.elements, pooled.additions, pooled.in_place) == (2 * 4 * 3, 2 * 4 * 3, False)
    assert pooled.sources[1:] == ("dense",)


def test_an_unknown_layer_is_an_error_that_names_it() -> None:
    from keras import Input, layers

    inputs = Input((8, 6))
    with pytest.raises(ModelError, match=r"layers must be one of .*, but layer 'odd' is a GroupNormalization"):
        facts_of(inputs, layers.GroupNormalization(2, name="odd")(inputs))


def test_a_layer_of_open_shape_is_an_error() -> None:
    from keras import Input, layers

    inputs = Input((None, 6))
    with pytest.raises(ModelError, match=r"layers must have fixed shapes, but 'input_layer_?[0-9]*' has"):
        facts_of(inputs, layers.Conv1D(2, 3, padding="same", name="open")(inputs))
