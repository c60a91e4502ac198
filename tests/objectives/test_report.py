import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.objectives.report import FIGURES, LayerAnalysis, TrialReport, TrialState
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot

SLOTS = [Slot(layer, role) for layer in ("conv_1", "dense.2") for role in Role]
FORMATS = [Float32(), Fixed(8, -1), Fixed(16, 2, signed=False), PowerOfTwo(4, -1)]

shares = st.floats(0, 1)
numbers = st.floats(allow_nan=False)  # NaN equals nothing, and no figure is NaN
slots = st.sampled_from(SLOTS)
formats = st.sampled_from(FORMATS)
analyses = st.builds(
    LayerAnalysis,
    slot=slots,
    format=formats,
    step=st.integers(1, 2),
    epoch=st.integers(1, 99),
    count=st.integers(1, 10**9),
    **dict.fromkeys(("overflow", "underflow", "precision", "zero_gradient"), shares),
    integer_bits_needed=st.integers(-150, 128),
    **dict.fromkeys(("max_magnitude", "minimum", "maximum", "mean", "std", "sqnr_db"), numbers),
    histogram=st.lists(st.tuples(st.integers(-32, 31), st.integers(1, 10**9)), max_size=5).map(tuple),
)
names = st.sampled_from(["overflow", "underflow", "precision"])
reports = st.builds(
    TrialReport,
    number=st.integers(0, 10**6),
    candidate=st.dictionaries(slots, formats).map(Candidate.of),
    state=st.sampled_from(TrialState),
    memory_bytes=st.integers(0, 10**9),
    values=st.dictionaries(st.sampled_from(["stoi_improvement", "rmse"]), st.floats(-1, 1)),
    quality=st.none() | st.floats(-1, 1),
    standard_error=st.none() | shares,
    reason=st.text(max_size=20),
    constraints=st.dictionaries(names, st.floats(-1, 1)),
    losses=st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=2).map(tuple),
    analyses=st.lists(analyses, max_size=4).map(tuple),
    seconds=st.dictionaries(st.sampled_from(["stoi", "step1_training"]), st.floats(0, 1e6)),
)


def row(slot: Slot = SLOTS[0], **changes: object) -> LayerAnalysis:
    plain = {field.name: 0.0 for field in dataclasses.fields(LayerAnalysis)}
    plain |= {"slot": slot, "format": Fixed(8, 2), "step": 1, "epoch": 1, "count": 10, "integer_bits_needed": 0}
    return LayerAnalysis(**plain | {"histogram": ()} | changes)


def report_of(*analyses: LayerAnalysis) -> TrialReport:
    candidate = Candidate.of(dict.fromkeys(SLOTS, Fixed(8, 2)))
    return TrialReport(0, candidate, TrialState.COMPLETE, 1, analyses=analyses)


@given(analyses)
def test_an_analysis_survives_json(analysis: LayerAnalysis) -> None:
    copy = LayerAnalysis.from_dict(json.loads(json.dumps(analysis.to_dict())))
    assert copy == analysis
    assert type(copy.slot.role) is Role
    assert hash(copy) == hash(analysis)


@given(reports)
def test_a_report_survives_json(report: TrialReport) -> None:
    copy = TrialReport.from_json(report.to_json())
    assert copy == report
    assert type(copy.state) is TrialState
    assert list(copy.candidate) == list(report.candidate)
    assert copy.to_json() == report.to_json()


@pytest.mark.parametrize("sqnr_db", [math.inf, -math.inf])
def test_infinite_ratios_survive_json(sqnr_db: float) -> None:
    copy = TrialReport.from_json(report_of(row(sqnr_db=sqnr_db)).to_json())
    assert copy.analyses[0].sqnr_db == sqnr_db


def test_figures_are_the_numeric_columns_in_order() -> None:
    assert tuple(row(overflow=0.5).figures) == FIGURES
    assert row(overflow=0.5).figures["overflow"] == 0.5
    skipped = {"slot", "format", "step", "epoch", "count", "histogram"}
    assert {field.name for field in dataclasses.fields(LayerAnalysis)} - skipped == set(FIGURES)


def test_last_analyses_are_the_newest_in_the_candidates_order() -> None:
    first = [row(slot, step=1, epoch=1) for slot in SLOTS]
    newest = [row(slot, step=2, epoch=1) for slot in SLOTS[:-1]]
    report = report_of(*first, *reversed(newest))
    assert report.last_analyses() == (*newest, first[-1])
    assert report_of().last_analyses() == ()


def test_worst_looks_at_the_newest_of_one_role_or_of_all() -> None:
    conv_weights, conv_biases, conv_activations, dense_weights, *_ = SLOTS
    report = report_of(
        row(conv_weights, overflow=0.9),
        row(conv_weights, step=2, overflow=0.1),
        row(conv_biases, step=2, overflow=0.2),
        row(dense_weights, step=2, overflow=0.3),
        row(conv_activations, step=2, overflow=0.8),
    )
    assert report.worst("overflow").slot == conv_activations
    assert report.worst("overflow", Role.WEIGHTS).slot == dense_weights
    assert report.worst("overflow", Role.BIASES).overflow == 0.2
    assert report_of().worst("overflow") is None
    assert report_of(row(conv_weights)).worst("overflow", Role.BIASES) is None
