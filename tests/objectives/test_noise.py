import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wordlength.objectives.noise import DISTINCT, paired_difference, standard_error, told_apart

numbers = st.floats(-0.5, 0.5, width=32)


@given(st.lists(numbers, min_size=2, max_size=60))
def test_standard_error_is_scipys(values: list[float]) -> None:
    assert standard_error(values) == pytest.approx(float(stats.sem(values)), rel=1e-9, abs=1e-15)


def test_one_value_has_no_error() -> None:
    assert standard_error([0.3]) == 0
    assert paired_difference([0.3], [0.1]) == (pytest.approx(0.2), 0.0)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=60))
def test_the_paired_difference_is_the_paired_t_tests(pairs: list[tuple[float, float]]) -> None:
    gains, reference = (list(side) for side in zip(*pairs, strict=True))
    difference, error = paired_difference(gains, reference)
    assert difference == pytest.approx(math.fsum(gains) / len(gains) - math.fsum(reference) / len(gains), abs=1e-12)
    assert paired_difference(reference, gains) == (-difference, error)
    if error > 1e-9:
        assert difference / error == pytest.approx(float(stats.ttest_rel(gains, reference).statistic), rel=1e-6)
        assert told_apart(gains, reference) == (abs(difference) > DISTINCT * error)


def test_pairing_removes_what_both_have_in_common() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.03, 60)
    one, other = hard + 0.04, hard + 0.038 + rng.normal(0, 0.002, 60)
    assert paired_difference(one, other)[1] < standard_error(one) / 10
    assert told_apart(one, other)
    assert not told_apart(one, hard[::-1] + 0.038)


def test_chance_differences_are_rarely_told_apart() -> None:
    """About one in twenty of equally good pairs lies beyond two standard errors."""
    rng = np.random.default_rng(1)
    found = np.mean([told_apart(rng.normal(size=60), rng.normal(size=60)) for _ in range(2000)])
    assert 0.03 < found < 0.07
