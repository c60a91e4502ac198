import dataclasses
import math

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.objectives.analysis import Analyser, gate_constraints, gate_reason
from wordlength.objectives.quantized_model import quantize
from wordlength.objectives.report import LayerAnalysis, integer_bits_for
from wordlength.objectives.settings import AnalysisSettings, GateSettings
from wordlength.objectives.training import Windows
from wordlength.space import Candidate, Fixed, Float32, Format, PowerOfTwo, Role, Slot

pytestmark = pytest.mark.usefixtures("tensorflow")

PRECISION_LIMIT = 0.05
W1, B1, A1 = (Slot("first", role) for role in Role)
W2, B2, A2 = (Slot("second", role) for role in Role)
SLOTS = (W1, B1, A1, W2, B2, A2)


class Study:
    """16 × 3 windows → 4 relu → 2 sigmoid, with the analyser and the same arrays for NumPy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        features = rng.standard_normal((60, 3)).astype(np.float32)
        targets = rng.uniform(size=(60, 2)).astype(np.float32)
        self.current = np.array([15, 17, 20, 21, 30, 44, 59], np.int32)
        self.x = np.stack([features[c - 15 : c + 1].reshape(-1) for c in self.current])
        self.targets = targets[self.current]
        inputs = keras.Input((16, 3))
        hidden = layers.Dense(4, "relu", name="first")(layers.Flatten()(inputs))
        model = keras.Model(inputs, layers.Dense(2, "sigmoid", name="second")(hidden))
        kernel = rng.normal(0, 0.7, (48, 4)).astype(np.float32)
        kernel[:6, 0] = [0, 1e-13, -1e-13, 2.0**-32, -(2.0**-20), 3]
        bias = np.array([0.1, -3e12, 0, 2.0], np.float32)  # the second unit never fires, unless its bias saturates
        kernel2 = rng.normal(0, 0.8, (4, 2)).astype(np.float32)
        kernel2[2] = 0.01
        model.set_weights([kernel, bias, kernel2, np.array([0.3, 60], np.float32)])  # the second output saturates
        self.weights = model.get_weights()
        self.quantized = quantize(model)
        windows = Windows(keras.ops.convert_to_tensor(features), keras.ops.convert_to_tensor(targets), self.current)
        self.analyser = Analyser(self.quantized, windows, self.current, AnalysisSettings(7, PRECISION_LIMIT))

    def analyse(self, candidate: Candidate, step: int) -> dict[Slot, LayerAnalysis]:
        self.quantized.assign(candidate.parameters_only() if step == 1 else candidate)
        rows = self.analyser.analyse(candidate, step, epoch=3).layers
        assert [row.slot for row in rows] == list(SLOTS)
        assert all((row.format, row.step, row.epoch) == (candidate[row.slot], step, 3) for row in rows)
        return {row.slot: row for row in rows}

    def values_and_gradients(self, formats: Candidate) -> dict[Slot, tuple[np.ndarray, np.ndarray]]:
        """Every slot's values before rounding and the loss's gradient there, forward and backward by hand."""
        kernel, bias, kernel2, bias2 = self.weights
        q = {slot: fmt.round for slot, fmt in formats.items()}
        before = self.x @ q[W1](kernel) + q[B1](bias)
        hidden = np.maximum(before, 0)
        after = q[A1](hidden)
        output = 1 / (1 + np.exp(-(after @ q[W2](kernel2) + q[B2](bias2))))
        error = q[A2](output) - self.targets
        to_output = 2 * error / error.size * inside(formats[A2], output)
        to_sum = to_output * output * (1 - output)
        to_hidden = to_sum @ q[W2](kernel2).T * inside(formats[A1], hidden)
        to_before = to_hidden * (before > 0)
        return {
            W1: (kernel, self.x.T @ to_before),
            B1: (bias, to_before.sum(axis=0)),
            A1: (hidden, to_hidden),
            W2: (kernel2, after.T @ to_sum),
            B2: (bias2, to_sum.sum(axis=0)),
            A2: (output, to_output),
        }


def inside(fmt: Format, values: np.ndarray) -> np.ndarray:
    return (values >= fmt.lowest) & (values <= fmt.highest)


def figures_by_definition(fmt: Format, x: np.ndarray, gradient: np.ndarray) -> dict[str, float]:
    """The numerics page's table, element by element, in float64."""
    values, rounded = x.ravel().astype(np.float64).tolist(), fmt.round(x).ravel().astype(np.float64).tolist()
    nonzero = [(v, q) for v, q in zip(values, rounded, strict=True) if v != 0]
    in_range = [(v, q) for v, q in nonzero if fmt.lowest <= v <= fmt.highest]
    lost = [v for v, q in nonzero if (abs(v) < fmt.smallest_magnitude if isinstance(fmt, PowerOfTwo) else q == 0)]
    imprecise = [v for v, q in in_range if abs(q - v) > PRECISION_LIMIT * abs(v)]
    noise = sum((q - v) ** 2 for v, q in zip(values, rounded, strict=True))
    largest = max(abs(v) for v in values)
    return {
        "overflow": sum(not fmt.lowest <= v <= fmt.highest for v in values) / len(values),
        "underflow": len(lost) / len(nonzero),
        "precision": len(imprecise) / len(in_range) if in_range else 0.0,
        "zero_gradient": float(np.mean(gradient == 0)),
        "max_magnitude": largest,
        "integer_bits_needed": math.floor(math.log2(largest)) + 1,
        "minimum": min(values),
        "maximum": max(values),
        "mean": sum(values) / len(values),
        "std": float(np.std(values)),
        "sqnr_db": 10 * math.log10(sum(v * v for v in values) / noise) if noise else math.inf,
    }


def histogram_by_definition(x: np.ndarray) -> dict[int, int]:
    bins = [max(-32, min(31, math.floor(math.log2(abs(v))))) for v in x.ravel().tolist() if v]
    return {exponent: bins.count(exponent) for exponent in sorted(set(bins))}


@pytest.fixture(scope="module")
def study(tensorflow) -> Study:
    return Study()


def mixed(weights: Format, biases: Format, activations: Format) -> Candidate:
    return Candidate.uniform(SLOTS, weights, biases, activations)


CANDIDATES = [
    mixed(Float32(), Float32(), Float32()),
    mixed(Fixed(4, 0), Fixed(8, 3), Fixed(6, 2)),
    mixed(Fixed(3, -2), Fixed(16, 2), Fixed(4, 0, signed=False)),
    mixed(PowerOfTwo(3, -1), PowerOfTwo(4, 2), PowerOfTwo(4, 0)),
    mixed(PowerOfTwo(5, 9), Fixed(4, 7), Fixed(8, 9)),
]


def assert_figures(row: LayerAnalysis, x: np.ndarray, gradient: np.ndarray) -> None:
    """All figures to 1e-6, relative or absolute: float32 sums in another order are that near."""
    assert row.count == x.size
    wanted = figures_by_definition(row.format, x, gradient)
    assert set(row.figures) == set(wanted)
    assert row.figures == pytest.approx(wanted, rel=1e-6, abs=1e-6), row.slot
    assert dict(row.histogram) == histogram_by_definition(x)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: " ".join(dict.fromkeys(map(str, c.values()))))
def test_all_figures_are_those_of_the_definition(study: Study, candidate: Candidate, step: int) -> None:
    """In step one the model's activations are float, and analysed against the format they will get."""
    rows = study.analyse(candidate, step)
    present = candidate.parameters_only() if step == 1 else candidate
    for slot, (x, gradient) in study.values_and_gradients(present).items():
        assert_figures(rows[slot], x, gradient)


def test_the_case_meets_every_figure(study: Study) -> None:
    """Else the comparison above would compare zeros."""
    rows = [row for candidate in CANDIDATES for row in study.analyse(candidate, 2).values()]
    for figure in ("overflow", "underflow", "precision", "zero_gradient"):
        assert any(0 < row.figures[figure] < 1 for row in rows)
    assert any(row.integer_bits_needed < 0 or row.minimum < 0 for row in rows)
    assert any(math.isinf(row.sqnr_db) for row in rows)
    assert {exponent for row in rows for exponent, _ in row.histogram} >= {-32, 31}


def test_step_one_differs_from_step_two_where_activations_are_rounded(study: Study) -> None:
    candidate = CANDIDATES[1]
    one, two = study.analyse(candidate, 1), study.analyse(candidate, 2)
    assert one[A1].format == two[A1].format == candidate[A1]
    assert one[A1].overflow == two[A1].overflow > 0
    assert one[A2].mean != two[A2].mean
    assert one[A1].zero_gradient < two[A1].zero_gradient  # saturated activations pass no gradient


def test_one_trace_serves_every_candidate(study: Study) -> None:
    for candidate in CANDIDATES:
        study.analyse(candidate, 1)
        study.analyse(candidate, 2)
    assert study.analyser.traces == 1


def test_analysing_changes_no_weight(study: Study) -> None:
    study.analyse(CANDIDATES[1], 2)
    for one, other in zip(study.quantized.model.get_weights(), study.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("magnitude", "bits"), [(0.0, 0), (1.0, 1), (0.99, 0), (0.5, 0), (0.49, -1), (300.0, 9), (256.0, 9), (255.9, 8)]
)
def test_integer_bits_for(magnitude: float, bits: int) -> None:
    assert integer_bits_for(magnitude) == bits
    assert magnitude < 2.0**bits
    assert magnitude >= 2.0 ** (bits - 1) or magnitude == 0


def row(slot: Slot, **changes: float) -> LayerAnalysis:
    plain = {field.name: 0.0 for field in dataclasses.fields(LayerAnalysis)}
    plain |= {"slot": slot, "format": PowerOfTwo(4, -1), "step": 1, "epoch": 1, "count": 10}
    return LayerAnalysis(**plain | {"histogram": ()} | changes)


def test_constraints_are_the_worst_of_all_rows() -> None:
    rows = [row(W1, overflow=0.1, precision=0.9), row(A1, overflow=0.4), row(W2, underflow=0.2)]
    constraints = gate_constraints(iter(rows), GateSettings(overflow=0.25, underflow=0.5, precision=0.9))
    assert set(constraints) == {"overflow", "underflow", "precision"}
    assert constraints["overflow"] == (pytest.approx(0.15), rows[1])
    assert constraints["underflow"] == (pytest.approx(-0.3), rows[2])
    assert constraints["precision"] == (0, rows[0])


def test_the_reason_names_layer_tensor_format_figure_and_limit() -> None:
    rows = [row(W1, overflow=0.312), row(A1, underflow=0.96, precision=0.5)]
    reason = gate_reason(gate_constraints(rows, GateSettings(overflow=0.25, underflow=0.95, precision=0.5)))
    assert reason == (
        "overflow of first.weights as po2<4,-1> is 31.2%, limit 25.0%; "
        "underflow of first.activations as po2<4,-1> is 96.0%, limit 95.0%"
    )


def test_a_figure_at_its_limit_is_no_reason() -> None:
    rows = [row(W1, overflow=0.25, underflow=0.95, precision=1.0)]
    assert gate_reason(gate_constraints(rows, GateSettings(overflow=0.25, underflow=0.95, precision=1.0))) == ""
