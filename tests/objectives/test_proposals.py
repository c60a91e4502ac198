import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.objectives.proposals import (
    SAMPLE_VALUES,
    Rule,
    anchors,
    extent,
    overflow_of,
    proposals,
    propose,
    propose_per_channel,
    propose_within,
    proposed,
    proposed_candidate,
    sample,
)
from wordlength.space import Binary, Fixed, FixedRange, Float32, KindRange, PowerOfTwo, PowerOfTwoRange, Role
from wordlength.space.ranges import VirtualBitShiftRange

KINDS = {"fixed": FixedRange, "po2": PowerOfTwoRange}
NEAR_AND_FAR = range(-32, 33)


def limits_of(kind: str, bits: int, **options: object) -> KindRange:
    return KINDS[kind](bits=(bits, bits), **options)


def errors(values: np.ndarray, limits: KindRange, bits: int) -> dict[int, float]:
    """Mean squared error of every position a format can have."""
    exact = values.astype(np.float64)
    return {
        position: float(np.mean((limits.format(bits, position).round(values).astype(np.float64) - exact) ** 2))
        for position in NEAR_AND_FAR
    }


def outside(values: np.ndarray, fmt: Fixed | PowerOfTwo) -> float:
    return float(np.mean([not fmt.lowest <= float(value) <= fmt.highest for value in values]))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("fixed", {}),
        ("fixed", {"rounding": "floor"}),
        ("fixed", {"overflow": "wrap"}),
        ("po2", {}),
        ("po2", {"zero": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("scale", [2.0**-12, 1.0, 300.0])
def test_the_proposal_is_the_best_of_all_positions(kind: str, bits: int, scale: float, options: dict) -> None:
    rng, limits = np.random.default_rng(bits), limits_of(kind, bits, **options)
    for values in (rng.standard_normal(300), rng.laplace(size=300), rng.uniform(0, 1, 300), rng.exponential(size=300)):
        scaled = (values * scale).astype(np.float32)
        every, found = errors(scaled, limits, bits), propose(scaled, limits, bits)
        # Sums of squares in another order of float64: equal to 1e-9 of the error.
        assert every[found] == pytest.approx(min(every.values()), rel=1e-9)


@given(
    st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=30),
    st.sampled_from(sorted(KINDS)),
    st.integers(2, 8),
)
def test_no_position_within_reach_is_better(numbers: list[float], kind: str, bits: int) -> None:
    values, limits = np.array(numbers, np.float32), limits_of(kind, bits)
    every, found = errors(values, limits, bits), propose(values, limits, bits)
    assert -32 <= found <= 32
    largest = np.abs(values).max()
    if largest >= 2.0**-20:  # further down the positions end, and all errors are equally tiny
        top = int(np.frexp(largest)[1]) + 1
        reach = [position for position in NEAR_AND_FAR if top - 12 <= position <= top]
        assert every[found] <= min(every[position] for position in reach) * (1 + 1e-9)


def test_ties_go_to_the_larger_position() -> None:
    """Exact in many positions; the largest within reach wins, one above the largest value's own."""
    values = np.array([0.5, -0.5, 0.25], np.float32)
    wide, narrow = limits_of("fixed", 8), limits_of("fixed", 3)
    every = errors(values, wide, 8)
    assert every[0] == every[1] == 0
    assert propose(values, wide, 8) == 1
    assert errors(values, narrow, 3)[1] > errors(values, narrow, 3)[0]
    assert propose(values, narrow, 3) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 5])
def test_zeros_only_give_position_0(kind: str, size: int) -> None:
    zeros = np.zeros(size, np.float32)
    assert propose(zeros, limits_of(kind, 4), 4) == 0
    assert propose_within(zeros, limits_of(kind, 4), 4, 0.0) == 0


@pytest.mark.parametrize(("value", "end"), [(1e30, 32), (1e-30, -32)])
@pytest.mark.parametrize("kind", KINDS)
def test_positions_end_at_32(kind: str, value: float, end: int) -> None:
    """Beyond the positions a format can have, the nearest end is all there is to propose."""
    assert propose(np.array([value], np.float32), limits_of(kind, 8), 8) == end
    assert propose_within(np.array([value], np.float32), limits_of(kind, 8), 8, 0.0) == end


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("scale", [2.0**-9, 1.0, 100.0])
def test_least_overflow_is_the_smallest_position_that_keeps_to_the_share(
    kind: str, bits: int, scale: float, share: float
) -> None:
    rng, limits = np.random.default_rng(bits), limits_of(kind, bits)
    for values in (rng.standard_normal(500), rng.exponential(size=500)):
        scaled = (values * scale).astype(np.float32)
        found = propose_within(scaled, limits, bits, share)
        keeping = [p for p in NEAR_AND_FAR if outside(scaled, limits.format(bits, p)) <= share]
        assert found == min(keeping)


def test_least_overflow_is_the_largest_position_if_none_keeps_to_the_share() -> None:
    """One signed bit holds no positive value, wherever it lies."""
    assert propose_within(np.array([3.0, 1.0], np.float32), limits_of("fixed", 1), 1, 0.1) == 3


def test_the_ends_themselves_do_not_overflow() -> None:
    fmt = Fixed(8, 1)
    values = np.array([fmt.lowest, fmt.highest, np.nextafter(np.float32(fmt.highest), np.float32(9))], np.float32)
    assert overflow_of(values, fmt) == pytest.approx(1 / 3)
    assert overflow_of(values, Binary()) == 0
    assert overflow_of(np.zeros(0, np.float32), fmt) == 0


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_per_channel_is_every_column_by_itself(bits: int) -> None:
    rng = np.random.default_rng(bits)
    scales = np.array([1e-3, 0.03, 1.0, 40.0, 0.0], np.float32)
    tensors = [
        (rng.standard_normal((3, 3, 5)) * scales).astype(np.float32),
        (rng.uniform(-0.5, 0.5, (7, 5)) * scales).astype(np.float32),
        np.full((4, 2), 0.5, np.float32),
    ]
    channels, plain = limits_of("fixed", bits, per_channel=True), limits_of("fixed", bits)
    found = propose_per_channel(tensors, channels, bits)
    columns = [tensor.reshape(-1, tensor.shape[-1])[:, n] for tensor in tensors for n in range(tensor.shape[-1])]
    assert len(found) == len(columns) == 12
    assert found == tuple(propose(column, plain, bits) for column in columns)
    for column, position in zip(columns, found, strict=True):
        every = errors(column, plain, bits)
        assert every[position] == pytest.approx(min(every.values()), rel=1e-9)


def test_a_sample_is_a_copy_of_few_values() -> None:
    values = np.arange(SAMPLE_VALUES, dtype=np.float32).reshape(2, -1)
    drawn = sample(values)
    np.testing.assert_array_equal(drawn, values.ravel())
    assert not np.shares_memory(drawn, values)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("place", [0, 12_345, 39_999])
def test_a_sample_keeps_the_largest_magnitude(seed: int, place: int) -> None:
    values = np.random.default_rng(seed).uniform(-1, 1, 40_000).astype(np.float32)
    values[place] = -7
    drawn = sample(values.reshape(4, -1), seed)
    assert drawn.shape == (SAMPLE_VALUES,)
    assert drawn.min() == -7
    assert np.isin(drawn, values).all()
    np.testing.assert_array_equal(drawn, sample(values.reshape(4, -1), seed))


def slots_of(baseline, role: Role) -> list:
    return [info.slot for info in baseline.slots if info.slot.role is role]


def test_anchors_are_the_proposals_asked_for(tiny_baseline) -> None:
    weights = slots_of(tiny_baseline, Role.WEIGHTS)
    activations = slots_of(tiny_baseline, Role.ACTIVATIONS)
    fixed, po2 = limits_of("fixed", 4), limits_of("po2", 3)
    channels = FixedRange(bits=(6, 6), per_channel=True)
    needed = [(weights[1], fixed, 4), (weights[1], po2, 3), (activations[0], fixed, 4), (weights[2], channels, 6)]
    found = anchors(tiny_baseline, needed)
    assert dict(found.positions) == {
        (weights[1], "fixed", 4): propose(tiny_baseline.samples[weights[1]], fixed, 4),
        (weights[1], "po2", 3): propose(tiny_baseline.samples[weights[1]], po2, 3),
        (activations[0], "fixed", 4): propose(tiny_baseline.samples[activations[0]], fixed, 4),
        (weights[2], "fixed", 6): propose_per_channel(tiny_baseline.parameters(weights[2]), channels, 6),
    }
    offset = found.format(weights[1], fixed, 4, 1)
    assert offset == Fixed(4, propose(tiny_baseline.samples[weights[1]], fixed, 4) + 1)


def test_proposals_are_measured_on_all_parameters(tiny_baseline) -> None:
    slot = slots_of(tiny_baseline, Role.WEIGHTS)[3]
    values = np.concatenate([tensor.ravel() for tensor in tiny_baseline.parameters(slot)])
    assert len(tiny_baseline.parameters(slot)) == 2  # separable: depthwise and pointwise
    (row,) = proposals(tiny_baseline, [(slot, limits_of("fixed", 4), 4)], 0.01)
    assert row.least_error == Fixed(4, propose(tiny_baseline.samples[slot], limits_of("fixed", 4), 4))
    assert row.least_overflow == Fixed(4, propose_within(values, limits_of("fixed", 4), 4, 0.01))
    noise = row.least_error.round(values).astype(np.float64) - values
    signal = np.sum(values.astype(np.float64) ** 2)
    assert row.sqnr_db == pytest.approx(10 * np.log10(signal / np.sum(noise**2)), rel=1e-9)
    assert row.overflow == pytest.approx(outside(values, row.least_error), abs=1e-12)


def test_extent_counts_the_integer_bits_that_hold_all(tiny_baseline) -> None:
    for info in tiny_baseline.slots:
        largest, bits = extent(tiny_baseline, info.slot)
        values = np.concatenate(
            [tensor.ravel() for tensor in tiny_baseline.parameters(info.slot)] or [tiny_baseline.samples[info.slot]]
        )
        assert largest == np.abs(values).max()
        if largest:
            # Enough at a width whose step is negligible, and one fewer is not.
            assert overflow_of(values, Fixed(32, bits)) == 0
            assert overflow_of(values, Fixed(32, bits - 1)) > 0


def test_per_channel_formats_are_measured_channel_by_channel(tiny_baseline) -> None:
    slot = slots_of(tiny_baseline, Role.WEIGHTS)[3]
    limits = FixedRange(bits=(4, 4), per_channel=True)
    (row,) = proposals(tiny_baseline, [(slot, limits, 4)], 0.0)
    tensors = tiny_baseline.parameters(slot)
    parts = row.least_error.for_tensors([tensor.shape[-1] for tensor in tensors])
    noise = sum(np.sum((part.round(t).astype(np.float64) - t) ** 2) for t, part in zip(tensors, parts, strict=True))
    signal = sum(np.sum(t.astype(np.float64) ** 2) for t in tensors)
    assert row.sqnr_db == pytest.approx(10 * np.log10(signal / noise), rel=1e-9)
    plain = proposals(tiny_baseline, [(slot, limits_of("fixed", 4), 4)], 0.0)[0]
    assert row.sqnr_db >= plain.sqnr_db
    for tensor, part in zip(tensors, row.least_overflow.for_tensors([t.shape[-1] for t in tensors]), strict=True):
        low, high = part.limits(tensor)
        assert ((tensor >= low) & (tensor <= high)).all()


@pytest.mark.parametrize("rule", Rule)
def test_a_proposed_candidate_is_what_each_slot_proposes(tiny_baseline, rule: Rule) -> None:
    po2, fixed = limits_of("po2", 4), limits_of("fixed", 8)
    candidate = proposed_candidate(
        tiny_baseline, {Role.WEIGHTS: (po2, 4), Role.BIASES: Fixed(16, 2), Role.ACTIVATIONS: (fixed, 8)}, rule, 0.01
    )
    assert [info.slot for info in tiny_baseline.slots] == list(candidate)
    for slot, fmt in candidate.pairs:
        match slot.role:
            case Role.WEIGHTS:
                assert fmt == proposed(tiny_baseline, slot, po2, 4, rule, 0.01)
                assert isinstance(fmt, PowerOfTwo)
            case Role.BIASES:
                assert fmt == Fixed(16, 2)
            case Role.ACTIVATIONS:
                assert fmt == proposed(tiny_baseline, slot, fixed, 8, rule, 0.01)


def test_candidates_of_every_kind_fit_the_network(tiny_baseline, tiny_evaluator) -> None:
    channels = FixedRange(bits=(4, 4), per_channel=True)
    vbs = VirtualBitShiftRange(bits=(4, 4), group="channel")
    candidate = proposed_candidate(
        tiny_baseline, {Role.WEIGHTS: (channels, 4), Role.BIASES: (vbs, 4), Role.ACTIVATIONS: Float32()}
    )
    assert all(fmt.per_channel for slot, fmt in candidate.pairs if slot.role is Role.WEIGHTS)
    assert np.isfinite(tiny_evaluator.measure_untrained(candidate).value)


def test_formats_for_other_channels_name_the_slot(tiny_baseline) -> None:
    wanted = {Role.WEIGHTS: Fixed(4, (0, 1, 2)), Role.BIASES: Float32(), Role.ACTIVATIONS: Float32()}
    with pytest.raises(FormatError, match=r"output channels.*but got 3 \(conv_1\.weights\)"):
        proposed_candidate(tiny_baseline, wanted)
    with pytest.raises(FormatError, match=r"weights cannot be binary.*\(conv_1\.weights\)"):
        proposed_candidate(tiny_baseline, wanted | {Role.WEIGHTS: Binary()})


def test_the_search_stands_on_the_same_anchors(tiny_baseline) -> None:
    """A least-error proposal is the search's candidate at offset 0."""
    limits = FixedRange(bits=(2, 8), offset=(-1, 1))
    for slot in slots_of(tiny_baseline, Role.WEIGHTS):
        at = anchors(tiny_baseline, [(slot, limits, 5)]).format(slot, limits, 5, 0)
        assert proposed(tiny_baseline, slot, dataclasses.replace(limits, bits=(5, 5)), 5) == at
