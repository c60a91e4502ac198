import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.objectives.analysis import Analyser, gate_constraints, gate_reason
from wordlength.objectives.quantized_model import quantize
from wordlength.objectives.report import LayerAnalysis, integer_bits_for
from wordlength.objectives.settings import AnalysisSettings, GateSettings
from wordlength.objectives.training import Windows
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Format,
    PowerOfTwo,
    Role,
    Slot,
    VirtualBitShift,
)

pytestmark = pytest.mark.usefixtures("tensorflow")

PRECISION_LIMIT = 0.05
W1, B1, A1 = (Slot("first", role) for role in Role)
W2, B2, A2 = (Slot("second", role) for role in Role)
SLOTS = (W1, B1, A1, W2, B2, A2)


GOLDEN = Path(__file__).parents[1] / "golden" / "analysis.json"
"""Inputs and every figure of a fixed small model; `python tests/golden/make_analysis.py` writes it anew."""


def inputs_at_random() -> dict[str, Any]:
    """A small model's windows, targets and weights that meet every figure: tiny, huge, dead and saturated values."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 3)).astype(np.float32)
    targets = rng.uniform(size=(60, 2)).astype(np.float32)
    kernel = rng.normal(0, 0.7, (48, 4)).astype(np.float32)
    kernel[:6, 0] = [0, 1e-13, -1e-13, 2.0**-32, -(2.0**-20), 3]
    bias = np.array([0.1, -3e12, 0, 2.0], np.float32)  # The second unit never fires, unless its bias saturates.
    kernel2 = rng.normal(0, 0.8, (4, 2)).astype(np.float32)
    kernel2[2] = 0.01
    weights = [kernel, bias, kernel2, np.array([0.3, 60], np.float32)]  # The second output saturates.
    return {
        "features": features.tolist(),
        "targets": targets.tolist(),
        "current": [15, 17, 20, 21, 30, 44, 59],
        "weights": [weight.tolist() for weight in weights],
    }


class Study:
    """16 × 3 windows → 4 relu → 2 sigmoid, with the analyser and the same arrays for NumPy."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        features, targets = (np.array(inputs[name], np.float32) for name in ("features", "targets"))
        self.current = np.array(inputs["current"], np.int32)
        self.x = np.stack([features[c - 15 : c + 1].reshape(-1) for c in self.current])
        self.targets = targets[self.current]
        shape = keras.Input((16, 3))
        hidden = layers.Dense(4, "relu", name="first")(layers.Flatten()(shape))
        model = keras.Model(shape, layers.Dense(2, "sigmoid", name="second")(hidden))
        model.set_weights([np.array(weight, np.float32) for weight in inputs["weights"]])
        self.weights = model.get_weights()
        self.quantized = quantize(model)
        windows = Windows(features, targets, self.current, 15, 0)
        self.analyser = Analyser(self.quantized, windows, self.current, AnalysisSettings(7, PRECISION_LIMIT))
        for candidate in CANDIDATES:  # Every kind is admitted before the first trace, so that there is one.
            self.quantized.assign(candidate)
            self.analyser.admit(candidate.items())

    def analyse(self, candidate: Candidate, step: int) -> dict[Slot, LayerAnalysis]:
        self.quantized.assign(candidate.parameters_only() if step == 1 else candidate)
        rows = self.analyser.analyse(candidate, step, epoch=3).layers
        assert [row.slot for row in rows] == list(SLOTS)
        assert all((row.format, row.step, row.epoch) == (candidate[row.slot], step, 3) for row in rows)
        return {row.slot: row for row in rows}

    def values_and_gradients(self, formats: Candidate) -> dict[Slot, tuple[np.ndarray, np.ndarray]]:
        """Every slot's values before rounding and the loss's gradient there, forward and backward by hand."""
        kernel, bias, kernel2, bias2 = self.weights
        q = {slot: formats[slot].round for slot in (W1, B1, W2, B2)}
        first = Activation(formats[A1], self.x @ q[W1](kernel) + q[B1](bias), "relu")
        second = Activation(formats[A2], first.output @ q[W2](kernel2) + q[B2](bias2), "sigmoid")
        to_output = 2 * (second.output - self.targets) / second.output.size
        to_sum2 = second.back(to_output)
        to_hidden = to_sum2 @ q[W2](kernel2).T
        to_sum = first.back(to_hidden)
        return {
            W1: (kernel, self.x.T @ to_sum),
            B1: (bias, to_sum.sum(axis=0) * learns(formats[A1])),
            A1: (first.values, to_hidden * first.passes),
            W2: (kernel2, first.output.T @ to_sum2),
            B2: (bias2, to_sum2.sum(axis=0) * learns(formats[A2])),
            A2: (second.values, to_output * second.passes),
        }


def learns(fmt: Format) -> bool:
    return not isinstance(fmt, Binary) or fmt.learn_threshold


class Activation:
    """Function and rounding of one layer's sums; binary takes the function's place."""

    def __init__(self, fmt: Format, sums: np.ndarray, function: str) -> None:
        relu = function == "relu"
        with np.errstate(over="ignore"):
            self.values = np.maximum(sums, 0) if relu else 1 / (1 + np.exp(-sums))
        self.slope = (sums > 0) if relu else self.values * (1 - self.values)
        if isinstance(fmt, Binary):
            self.values, self.slope = sums, 1.0
            self.passes = 1 / (1 + fmt.steepness * np.abs(sums)) ** 2
        elif isinstance(fmt, Float32) or (isinstance(fmt, Fixed) and fmt.overflow == "wrap"):
            self.passes = np.ones_like(sums)
        else:
            self.passes = (self.values >= fmt.lowest) & (self.values <= fmt.highest)
        self.output = fmt.round(self.values)

    def back(self, upstream: np.ndarray) -> np.ndarray:
        return upstream * self.passes * self.slope


def ranges_by_definition(fmt: Format, x: np.ndarray) -> list[tuple[float, float]]:
    """Lowest and highest of every element's own range, written out from the formats' docstrings."""
    elements = x.ravel().tolist()
    channels = x.shape[-1]
    match fmt:
        case Binary():
            return [(-math.inf, math.inf)] * len(elements)
        case Fixed(bits, tuple(positions)):
            return [(-(2.0**p), 2.0**p - 2.0 ** (p - bits + 1)) for p in positions * (len(elements) // channels)]
        case VirtualBitShift(bits, group):
            length = {"tensor": len(elements), "channel": channels}.get(group, group)
            names = [n % channels if group == "channel" else n // length for n in range(len(elements))]
            found = []
            for name in names:
                inside = [value for value, other in zip(elements, names, strict=True) if other == name]
                p = next((p for p in range(-11, 5) if all(-(2.0**p) <= v < 2.0**p for v in inside)), 4)
                found.append((-(2.0**p), 2.0**p - 2.0 ** (p - bits + 1)))
            return found
    return [(fmt.lowest, fmt.highest)] * len(elements)


def figures_by_definition(fmt: Format, x: np.ndarray, gradient: np.ndarray) -> dict[str, float]:
    """The numerics page's table, element by element, in float64."""
    values, rounded = x.ravel().astype(np.float64).tolist(), fmt.round(x).ravel().astype(np.float64).tolist()
    triples = list(zip(values, rounded, ranges_by_definition(fmt, x), strict=True))
    nonzero = [] if isinstance(fmt, Binary) else [triple for triple in triples if triple[0] != 0]
    in_range = [(v, q) for v, q, (lowest, highest) in nonzero if lowest <= v <= highest]
    no_zero = isinstance(fmt, PowerOfTwo) and not fmt.zero
    lost = [v for v, q, _ in nonzero if (abs(v) < fmt.smallest_magnitude if no_zero else q == 0)]
    imprecise = [v for v, q in in_range if abs(q - v) > PRECISION_LIMIT * abs(v)]
    noise = sum((q - v) ** 2 for v, q in zip(values, rounded, strict=True))
    largest = max(abs(v) for v in values)
    return {
        "overflow": sum(not lowest <= v <= highest for v, _, (lowest, highest) in triples) / len(values),
        "underflow": len(lost) / sum(v != 0 for v in values),
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
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def study(tensorflow, golden) -> Study:
    return Study(golden["inputs"])


def mixed(weights: Format, biases: Format, activations: Format) -> Candidate:
    return Candidate.uniform(SLOTS, weights, biases, activations)


CANDIDATES = [
    mixed(Float32(), Float32(), Float32()),
    mixed(Fixed(4, 0), Fixed(8, 3), Fixed(6, 2)),
    mixed(Fixed(3, -2), Fixed(16, 2), Fixed(4, 0, signed=False)),
    mixed(PowerOfTwo(3, -1), PowerOfTwo(4, 2), PowerOfTwo(4, 0)),
    mixed(PowerOfTwo(5, 9), Fixed(4, 7), Fixed(8, 9)),
    Candidate.of(
        {
            W1: Fixed(5, (1, -1, 0, 2)),
            B1: VirtualBitShift(5),
            A1: Fixed(6, 1, overflow="wrap"),
            W2: VirtualBitShift(4, 3),
            B2: Fixed(8, (0, 3), rounding="floor"),
            A2: PowerOfTwo(4, 0, zero=True),
        }
    ),
    Candidate.of(
        {
            W1: VirtualBitShift(4, "channel"),
            B1: PowerOfTwo(4, 1, zero=True),
            A1: Binary(),
            W2: Fixed(4, 0, rounding="half_up"),
            B2: Fixed(9, 6, signed=False, overflow="wrap"),
            A2: Binary(25, learn_threshold=False),
        }
    ),
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


def golden_rows(candidate: Candidate, step: int, golden: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (found,) = (
        each for each in golden["analyses"] if each["candidate"] == candidate.to_dict() and each["step"] == step
    )
    return found["figures"]


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: " ".join(dict.fromkeys(map(str, c.values()))))
def test_the_golden_figures_are_reproduced_twice(study: Study, golden, candidate: Candidate, step: int) -> None:
    """By the traced graph, and without it by the definitions in NumPy; to 1e-6 both."""
    rows, present = study.analyse(candidate, step), candidate.parameters_only() if step == 1 else candidate
    values = study.values_and_gradients(present)
    wanted = golden_rows(candidate, step, golden)
    assert set(wanted) == {str(slot) for slot in SLOTS}
    for slot in SLOTS:
        figures, histogram = wanted[str(slot)]["figures"], wanted[str(slot)]["histogram"]
        assert rows[slot].figures == pytest.approx(figures, rel=1e-6, abs=1e-6), slot
        assert figures_by_definition(candidate[slot], *values[slot]) == pytest.approx(figures, rel=1e-6, abs=1e-6), slot
        assert [list(pair) for pair in rows[slot].histogram] == histogram
        assert [list(pair) for pair in histogram_by_definition(values[slot][0]).items()] == histogram


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
