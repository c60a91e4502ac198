"""The integer reference against the QKeras model, where float32 sums are exact, and against arithmetic by hand."""

import itertools
import math
from fractions import Fraction

import keras
import numpy as np
import pytest
from integer_networks import NETWORKS, network, random_candidate
from keras import layers

from wordlength.errors import IntegerError
from wordlength.objectives.integer import INTEGER_LAYERS, Pool, Round, Sum, integer_program
from wordlength.objectives.integer.curves import CURVES
from wordlength.objectives.integer.functions import Clip, Table
from wordlength.objectives.integer.grid import Grid, rescale
from wordlength.space import Binary, Candidate, Fixed, Float32, PowerOfTwo, Role, Rounding, Slot, find_slots
from wordlength.space.layer_types import LAYER_TYPES

pytestmark = pytest.mark.usefixtures("tensorflow")

INPUT = Fixed(6, 2)


def inputs(model: keras.Model, count: int = 40, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, (count, *model.input_shape[1:])).astype(np.float32)


@pytest.mark.parametrize(("name", "seed"), list(itertools.product(NETWORKS, range(3))))
def test_sums_equal_whole_number_arithmetic_by_hand(name: str, seed: int) -> None:
    """Against sums in Python's fractions, one product after another."""
    model = network(name, seed)
    program = integer_program(model, random_candidate(model, seed + 50), INPUT)
    held = {-1: program.encode(inputs(model, 2))}
    rng = np.random.default_rng(seed)
    for number, (step, codes) in enumerate(program.outputs(held[-1])):
        held[number] = codes
        if not isinstance(step, Sum):
            continue
        source = held[step.source].reshape(-1, *step.source_shape)
        kernel = step.kernel.format.decode(step.kernel.encoded)
        kernel = kernel.reshape(*step.geometry.kernel, *step.kernel.info.shape[-2:])
        kernel = kernel.swapaxes(-1, -2) if step.geometry.transposed else kernel
        bias = step.bias and step.bias.format.decode(step.bias.encoded).reshape(-1)
        for _ in range(12):
            place = tuple(int(rng.integers(size)) for size in codes.shape)
            total = Fraction(0) if bias is None else Fraction(float(bias[place[3]]))
            for (row, column), channel in itertools.product(step.geometry.taps(), range(step.source_shape[2])):
                at = [met(step, axis, tap, place[1 + axis]) for axis, tap in enumerate((row, column))]
                inside = all(0 <= one < size for one, size in zip(at, step.source_shape[:2], strict=True))
                if not inside or (step.depthwise and place[3] // kernel.shape[3] != channel):
                    continue
                output = place[3] % kernel.shape[3] if step.depthwise else place[3]
                value = int(source[place[0], at[0], at[1], channel]) * Fraction(2) ** step.source_grid.exponent
                total += value * Fraction(float(kernel[row, column, channel, output]))
            assert int(codes[place]) * Fraction(2) ** step.grid.exponent == total


def met(step: Sum, axis: int, tap: int, place: int) -> int:
    """Where a tap lies in the input; −1 for nowhere."""
    geometry = step.geometry
    offset = tap * geometry.dilation[axis] - geometry.before[axis]
    if not geometry.transposed:
        return place * geometry.strides[axis] + offset
    return (place - offset) // geometry.strides[axis] if (place - offset) % geometry.strides[axis] == 0 else -1


def test_no_input_leaves_the_grids() -> None:
    """Ends of every grid, reached by the inputs that push each sum furthest."""
    model = network("stack", 1)
    program = integer_program(model, random_candidate(model, 3), INPUT)
    first = program.steps[0]
    assert isinstance(first, Sum)
    weights = first.weights[0, 0]
    rising = np.where(weights.T > 0, program.input_grid.highest, program.input_grid.lowest)
    falling = np.where(weights.T > 0, program.input_grid.lowest, program.input_grid.highest)
    sums = first(np.concatenate([rising, falling]))
    assert sums.max() == first.grid.highest
    assert sums.min() == first.grid.lowest


@pytest.mark.parametrize("rounding", list(Rounding))
def test_rescaling_rounds_as_the_format_does(rounding: Rounding) -> None:
    codes = np.concatenate([np.arange(-70, 70), [2**40 + 1, -(2**40) - 1]])
    for places in (-3, 0, 1, 3, 5):
        exact = [Fraction(int(code)) / Fraction(2) ** places for code in codes]
        expected = [
            {
                Rounding.HALF_EVEN: round(value),
                Rounding.HALF_UP: math.floor(value + Fraction(1, 2)),
                Rounding.FLOOR: math.floor(value),
            }[rounding]
            for value in exact
        ]
        assert rescale(codes, places, rounding).tolist() == expected
    assert rescale(np.array([-5, 0, 5]), 64, rounding).tolist() == (
        [-1, 0, 0] if rounding is Rounding.FLOOR else [0] * 3
    )


@pytest.mark.parametrize(("name", "places"), list(itertools.product(CURVES, (1, 4, 8, 13, 16))))
def test_a_table_keeps_its_error_bound(name: str, places: int) -> None:
    table = Table(name, places)
    exponent = -20
    codes = np.random.default_rng(0).integers(-(2**25), 2**25, 20_000)
    exact = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}[name](np.ldexp(codes.astype(float), exponent))
    found = table.result.to_float(table(codes, exponent))
    assert np.abs(found - exact).max() <= table.error
    assert table.error <= 2.0**-places / 4
    assert table.result.lowest <= table(codes, exponent).min()
    assert table(codes, exponent).max() <= table.result.highest
    rising = table(np.sort(codes), exponent)
    assert (np.diff(rising) >= 0).all()
    # Arguments with fewer places than the table has, and far beyond its end.
    assert table.result.to_float(table(np.array([-(2**30), 0, 2**30]), 3)) == pytest.approx(
        [table.lowest, (1 + table.lowest) / 2, 1], abs=table.error
    )


@pytest.mark.parametrize("zero", [False, True])
def test_powers_of_two_are_the_formats_own(zero: bool) -> None:
    fmt = PowerOfTwo(4, 1, zero=zero)
    step = Round("r", Clip(), fmt, -1, Grid(-9, -(2**14), 2**14), (1, 1, 1))
    codes = np.arange(-(2**12), 2**12)
    assert (step.grid.to_float(step(codes)) == fmt.round(step.source_grid.to_float(codes))).all()


def test_averages_are_exact_or_rounded_half_even() -> None:
    model = network("plane")
    program = integer_program(model, random_candidate(model, 2), INPUT)
    pools = {step.layer: step for step in program.steps if isinstance(step, Pool)}
    assert {name: pool.exact for name, pool in pools.items()} == {"ragged": False, "largest": True, "sixths": False}
    sixths = pools["sixths"]
    codes = np.random.default_rng(1).integers(0, 9, (50, *sixths.source_shape))
    sums = codes.reshape(50, 1, 2, 1, 3, -1).sum((2, 4)) if sixths.source_shape[:2] == (2, 3) else None
    assert sums is not None
    expected = [round(Fraction(int(total) * 2**8, 6)) for total in sums.reshape(-1)]
    assert sixths(codes).reshape(-1).tolist() == expected


def tiny(**options: object) -> keras.Model:
    entry = keras.Input((4,))
    return keras.Model(entry, layers.Dense(2, name="last", **options)(entry), name="tiny")


def uniform(model: keras.Model, weights: str = "fixed<4,0>", activations: str = "fixed<8,2>") -> Candidate:
    formats = {Role.WEIGHTS: weights, Role.BIASES: "fixed<8,2>", Role.ACTIVATIONS: activations}
    return Candidate.from_dict({str(info.slot): formats[info.slot.role] for info in find_slots(model)})


@pytest.mark.parametrize(
    ("formats", "options", "reason"),
    [
        ({"weights": "float32"}, {}, "last.weights must have a format"),
        ({"activations": "float32"}, {}, "outputs of last must be fixed of at most 24 bits, po2 or binary"),
        ({"activations": "fixed<25,2>"}, {}, "at most 24 bits"),
        ({"activations": "po2<8,0>"}, {}, "must be at most 31 powers of two, but po2<8,0> has 127"),
        ({"weights": "po2<7,0>"}, {}, "must span at most 63 bits"),
        ({"weights": "po2<6,0>"}, {}, "sums of last must fit 63 bits, but need"),
        ({}, {"activation": "softmax"}, "layer 'last' has the function softmax, but integer arithmetic knows linear"),
        (
            {"activations": "fixed<8,2,wrap>"},
            {"activation": "relu6"},
            "their function is cut above, but fixed<8,2,wrap> wraps",
        ),
    ],
)
def test_what_integers_cannot_compute_is_refused_by_layer(formats: dict, options: dict, reason: str) -> None:
    model = tiny(**options)
    model.get_layer("last").kernel.assign(np.ldexp(1.0, -9 * np.arange(8).reshape(4, 2)))
    with pytest.raises(IntegerError) as caught:
        integer_program(model, uniform(model, **formats), Fixed(32, 3) if "po2<6" in str(formats) else INPUT)
    assert reason in str(caught.value)


def test_layers_without_integer_arithmetic_are_refused() -> None:
    entry = keras.Input((4,))
    for layer, kind in (
        (layers.LayerNormalization(name="odd"), "LayerNormalization"),
        (layers.Softmax(name="odd"), "Softmax"),
    ):
        model = keras.Model(entry, layers.Dense(2)(layer(entry)))
        with pytest.raises(IntegerError, match=f"layer 'odd' is a {kind}, which has no integer arithmetic"):
            integer_program(model, uniform(model), INPUT)
        assert kind not in INTEGER_LAYERS
    two = keras.Model(entry, [layers.Dense(2)(entry), layers.Dense(2)(entry)], name="two")
    with pytest.raises(IntegerError, match=r"one input and one output .* 'two' has 1 and 2"):
        integer_program(two, uniform(two), INPUT)


def test_the_table_of_layer_types_says_which_have_integer_arithmetic() -> None:
    assert {name for name, kind in LAYER_TYPES.items() if kind.integers} == INTEGER_LAYERS


REFUSED = {
    "GRU": (lambda: layers.GRU(2, reset_after=False, name="odd"), "a GRU must have reset_after=True"),
    "sum": (lambda: layers.Bidirectional(layers.GRU(2), merge_mode="sum", name="odd"), "merge_mode='sum'"),
    "relu gate": (lambda: layers.LSTM(2, recurrent_activation="relu", name="odd"), "gates of odd must lie in 0 … 1"),
    "softmax": (lambda: layers.SimpleRNN(2, activation="softmax", name="odd"), "has the function softmax"),
    "three": (lambda: layers.Average(name="odd"), "averages must be of a power of two many"),
    "elu": (lambda: layers.ELU(0.5, name="odd"), "an elu must have alpha=1 .* 'odd'"),
    "threshold": (lambda: layers.ReLU(threshold=1.0, name="odd"), "a ReLU must have no threshold .* 'odd'"),
    "wide": (lambda: layers.TimeDistributed(layers.Conv2D(1, 1), name="odd"), "'odd' must have at most 3 axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_without_integer_arithmetic_are_refused_by_layer(case: str) -> None:
    made, reason = REFUSED[case]
    layer, entry = made(), keras.Input((4, 3, 2, 1) if case == "wide" else (4, 3))
    x = layer([entry, entry, entry]) if case == "three" else layer(entry)
    model = keras.Model(entry, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(IntegerError, match=reason):
        integer_program(model, uniform(model), INPUT)


def test_states_begin_as_zero_rounded() -> None:
    entry = keras.Input((2, 3))
    model = keras.Model(entry, layers.GRU(2, name="gru")(entry))
    for fmt, start in (("po2<3,0>", 1), ("po2<3,0,zero>", 0), ("fixed<6,1>", 0)):
        (step,) = integer_program(model, uniform(model, activations=fmt), INPUT).steps
        begun, _ = next(step.directions[0].steps(np.zeros((1, 1, 2, 3), np.int64)))
        assert begun[0].tolist() == [[start, start]]


def test_a_binary_output_passes_over_its_function() -> None:
    model = tiny(activation="sigmoid")
    program = integer_program(model, uniform(model, activations="binary"), INPUT)
    sums, fires = (codes for _, codes in program.outputs(program.encode(inputs(model))))
    assert (fires == (sums > 0)).all()
    assert isinstance(program.steps[-1], Round)
    assert program.steps[-1].format == Binary()


def test_float32_biases_are_refused() -> None:
    model = tiny()
    candidate = Candidate.of({**uniform(model), Slot("last", Role.BIASES): Float32()})
    with pytest.raises(IntegerError, match=r"last\.biases must have a format"):
        integer_program(model, candidate, INPUT)
