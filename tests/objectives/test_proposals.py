import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.objectives import proposals
from wordlength.objectives.proposals import SAMPLE_VALUES, anchors, propose, sample
from wordlength.space import Fixed, PowerOfTwo, Role, Slot

KINDS = {"fixed": Fixed, "po2": PowerOfTwo}
NEAR_AND_FAR = range(-32, 33)


def errors(values: np.ndarray, kind: str, bits: int) -> dict[int, float]:
    """Mean squared error of every position a format can have."""
    exact = values.astype(np.float64)
    return {
        position: float(np.mean((KINDS[kind](bits, position).round(values).astype(np.float64) - exact) ** 2))
        for position in NEAR_AND_FAR
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8, 12, 16])
@pytest.mark.parametrize("scale", [2.0**-12, 0.05, 1.0, 300.0])
def test_the_proposal_is_the_best_of_all_positions(kind: str, bits: int, scale: float) -> None:
    rng = np.random.default_rng(bits)
    for values in (rng.standard_normal(300), rng.laplace(size=300), rng.uniform(0, 1, 300), rng.exponential(size=300)):
        scaled = (values * scale).astype(np.float32)
        every, proposed = errors(scaled, kind, bits), propose(scaled, kind, bits)
        # Sums of squares in another order of float64: equal to 1e-9 of the error.
        assert every[proposed] == pytest.approx(min(every.values()), rel=1e-9)


@given(
    st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=30),
    st.sampled_from(sorted(KINDS)),
    st.integers(2, 8),
)
def test_no_position_within_reach_is_better(numbers: list[float], kind: str, bits: int) -> None:
    values = np.array(numbers, np.float32)
    every, proposed = errors(values, kind, bits), propose(values, kind, bits)
    assert -32 <= proposed <= 32
    largest = np.abs(values).max()
    if largest >= 2.0**-20:  # further down the positions end, and all errors are equally tiny
        top = int(np.frexp(largest)[1]) + 1
        reach = [position for position in NEAR_AND_FAR if top - 12 <= position <= top]
        assert every[proposed] <= min(every[position] for position in reach) * (1 + 1e-9)


def test_ties_go_to_the_larger_position() -> None:
    """Exact in many positions; the largest within reach wins, one above the largest value's own."""
    values = np.array([0.5, -0.5, 0.25], np.float32)
    every = errors(values, "fixed", 8)
    assert every[0] == every[1] == 0
    assert propose(values, "fixed", 8) == 1
    assert errors(values, "fixed", 3)[1] > errors(values, "fixed", 3)[0]
    assert propose(values, "fixed", 3) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 5])
def test_zeros_only_give_position_0(kind: str, size: int) -> None:
    assert propose(np.zeros(size, np.float32), kind, 4) == 0


@pytest.mark.parametrize(("value", "end"), [(1e30, 32), (1e-30, -32)])
@pytest.mark.parametrize("kind", KINDS)
def test_positions_end_at_32(kind: str, value: float, end: int) -> None:
    """Beyond the positions a format can have, the nearest end is all there is to propose."""
    assert propose(np.array([value], np.float32), kind, 8) == end


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


def test_anchors_are_the_proposals_asked_for() -> None:
    weights, biases = Slot("a", Role.WEIGHTS), Slot("a", Role.BIASES)
    samples = {weights: np.array([0.3, -0.7], np.float32), biases: np.array([12.0, 0.1], np.float32)}
    needed = [(weights, "fixed", 4), (weights, "po2", 3), (biases, "fixed", 8)]
    found = anchors(samples, needed)
    assert dict(found.positions) == {
        (slot, kind, bits): proposals.propose(samples[slot], kind, bits) for slot, kind, bits in needed
    }
    assert found.format(biases, "fixed", 8, 1) == Fixed(8, propose(samples[biases], "fixed", 8) + 1)
