import dataclasses
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_goals import float_point, front_point, values

from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.search.front import (
    FloatPoint,
    FrontPoint,
    hypervolume,
    indistinct,
    knee,
    pareto_front,
    pick,
    saved_percent,
)
from wordlength.search.picking import parse_bytes
from wordlength.space import Candidate

NOTHING = Candidate.of({})


def points(*pairs: tuple[int, float]) -> list[FrontPoint]:
    """Points by (memory in bytes, improvement), numbered from 0."""
    return [front_point(n, stoi, memory, NOTHING) for n, (memory, stoi) in enumerate(pairs)]


def against(memory: int, stoi: float = 0.0) -> FloatPoint:
    """What hypervolumes count from: float32's memory, and this improvement."""
    goals = Goals((dataclasses.replace(DEFAULT_GOALS.quality, worst=float(stoi)), DEFAULT_GOALS.cost))
    return FloatPoint(values(0.0, memory), memory, goals)


def numbers(found):
    return [point.number for point in found]


# Few distinct values, so that ties and equal points are common.
clouds = st.lists(st.tuples(st.integers(1, 12), st.integers(-6, 6)), max_size=12).map(lambda pairs: points(*pairs))


def dominates(a: FrontPoint, b: FrontPoint) -> bool:
    at_least = a.quality >= b.quality and a.memory_bytes <= b.memory_bytes
    return at_least and (a.quality, a.memory_bytes) != (b.quality, b.memory_bytes)


def test_front_keeps_the_unbeaten_in_order_of_memory():
    cloud = points((300, 0.03), (100, 0.01), (200, 0.005), (100, 0.008), (250, 0.03))
    assert numbers(pareto_front(cloud)) == [1, 4]


def test_of_equal_points_the_lowest_number_stays():
    cloud = points((100, 0.01), (100, 0.01), (100, 0.01))
    assert numbers(pareto_front(reversed(cloud))) == [0]


@given(clouds)
def test_front_is_what_the_definition_says(cloud):
    front = pareto_front(cloud)
    unbeaten = [p for p in cloud if not any(dominates(q, p) for q in cloud)]
    assert {(p.memory_bytes, p.quality) for p in front} == {(p.memory_bytes, p.quality) for p in unbeaten}
    for member in front:
        twins = [p for p in cloud if (p.memory_bytes, p.quality) == (member.memory_bytes, member.quality)]
        assert member.number == min(numbers(twins))
    for left, right in itertools.pairwise(front):
        assert left.memory_bytes < right.memory_bytes
        assert left.quality < right.quality


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("use", [pareto_front, lambda cloud: hypervolume(cloud, float_point(0.0, 1000))])
def test_numbers_that_are_none_are_refused(bad, use):
    with pytest.raises(ValueError, match=rf"stoi_improvement must be finite, but trial 1 has {bad}"):
        use(points((100, 0.01), (50, bad)))


@given(clouds, st.integers(1, 12), st.integers(-6, 6))
def test_hypervolume_equals_counted_unit_cells(cloud, memory, stoi):
    """The objectives are whole numbers here: count the unit squares that some point dominates."""
    cells = sum(
        any(p.memory_bytes <= x and p.quality >= y + 1 for p in cloud) for x in range(memory) for y in range(stoi, 7)
    )
    assert hypervolume(cloud, against(memory, stoi)) == pytest.approx(float(Fraction(cells, memory)), abs=1e-12)


@given(clouds, st.integers(1, 12))
def test_hypervolume_never_shrinks_with_another_point(cloud, memory):
    for size in range(len(cloud)):
        assert hypervolume(cloud[: size + 1], against(memory)) >= hypervolume(cloud[:size], against(memory)) - 1e-12


def test_hypervolume_of_one_point_by_hand():
    assert hypervolume(points((250, 0.04)), against(1000)) == pytest.approx(0.75 * 0.04, abs=1e-15)
    assert hypervolume([], against(1000)) == 0.0
    assert hypervolume(points((1000, 0.04), (10, 0.0)), against(1000)) == 0.0


@pytest.mark.parametrize("reference", [0, -5])
def test_a_reference_without_memory_is_refused(reference):
    with pytest.raises(ValueError, match=f"float32's memory must be above 0 to compare with, but got {reference}"):
        hypervolume(points((1, 0.1)), against(reference))
    with pytest.raises(ValueError, match="reference cost"):
        saved_percent(10, reference)


def test_saved_percent():
    assert saved_percent(236_506, 1_875_812) == pytest.approx(87.3918, abs=1e-3)
    assert saved_percent(200, 100) == -100.0


def test_knee_is_the_corner():
    assert knee(points((100, 0.0), (150, 0.027), (200, 0.028), (900, 0.031))).number == 1


@pytest.mark.parametrize(
    ("pairs", "number"),
    [
        ([(100, 0.01)], 0),
        ([(120, 0.001), (200, 0.030)], 1),
        ([(120, 0.030), (1800, 0.031)], 0),
        ([(100, -0.2), (200, -0.1)], 1),
        ([(100, 0.01), (200, 0.02), (300, 0.03)], 0),
        ([(100, 0.00), (200, 0.001), (300, 0.03)], 2),
    ],
    ids=["one", "gain worth its memory", "gain not worth it", "all negative", "straight line", "hollow"],
)
def test_knee_without_a_corner_is_the_better_end(pairs, number):
    assert knee(points(*pairs)).number == number


@given(clouds.map(pareto_front).filter(bool), st.integers(1, 50), st.integers(1, 50))
def test_knee_does_not_depend_on_the_units_where_there_is_a_corner(front, memory, stoi):
    scaled = [front_point(p.number, p.quality * stoi, p.memory_bytes * memory, NOTHING) for p in front]
    assert knee(front).number == knee(scaled).number


FRONT = points((100_000, 0.01), (150_000, 0.027), (900_000, 0.031))


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        ("knee", 1),
        ("best", 2),
        (" smallest ", 0),
        ("trial=2", 2),
        ("trial=7", 7),
        ("max-bytes=150kB", 1),
        ("max-bytes=149999", 0),
        ("max-bytes=1MiB", 2),
        ("max-bytes=0.9 MB", 2),
    ],
)
def test_pick(rule, number):
    assert pick(FRONT, rule, [front_point(7, 0.0, 500_000, NOTHING)]).number == number


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("nicest", r"one of knee, best, smallest, trial=N, max-bytes=SIZE, but got 'nicest'"),
        ("knee=3", r"one of knee, .*, but got 'knee=3'"),
        ("trial=", r"but got 'trial='"),
        ("max-bytes", r"but got 'max-bytes'"),
        ("trial=x", r"trial= takes a trial number, but got 'x'"),
        ("trial=9", r"complete trial \(3 known, 0 to 2\), but got 9"),
        ("max-bytes=99kB", r"at least the smallest front member's 100000 bytes \(trial 0\), but got 99000"),
        ("max-bytes=12KB", r"B, kB, KiB, MB, MiB, GB, GiB .*, but got '12KB'"),
    ],
)
def test_pick_says_what_is_wrong(rule, message):
    with pytest.raises(ValueError, match=message):
        pick(FRONT, rule)


@pytest.mark.parametrize("rule", ["knee", "best", "smallest", "max-bytes=1MB"])
def test_an_empty_front_has_nothing_to_pick(rule):
    with pytest.raises(ValueError, match="at least one complete trial"):
        pick((), rule)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("236506", 236_506),
        ("120kB", 120_000),
        ("1.001 kB", 1001),
        ("1.5KiB", 1536),
        ("2 MB", 2_000_000),
        ("2GB", 2 * 10**9),
        ("1B", 1),
    ],
)
def test_parse_bytes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1.5", "-3kB", "kB", "1e3", "1 PB", "0x10", "١kB."])
def test_sizes_that_are_none(text):
    with pytest.raises(ValueError, match="a size is a number"):
        parse_bytes(text)


def member(number: int, *gains: float) -> FrontPoint:
    return front_point(number, sum(gains) / len(gains), number, NOTHING, gains=gains)


def test_neighbours_within_two_paired_standard_errors_are_indistinct() -> None:
    hard = (-0.02, 0.0, 0.01, 0.03)
    sure = tuple(gain + 0.01 + 0.0001 * n for n, gain in enumerate(hard))
    unsure = tuple(gain + 0.012 + (0.03 if n % 2 else -0.02) for n, gain in enumerate(hard))
    front = (member(5, *hard), member(7, *sure), member(8, *unsure), member(9, *(g + 1 for g in sure)))
    assert indistinct(front) == {7: (8,), 8: (7,)}
    assert indistinct(front[:2]) == {}  # The same mixtures are hard for both: a small difference is sure.
    assert indistinct((front[0], front[2], front[1])) == {5: (8,), 8: (5, 7), 7: (8,)}


def test_unknown_or_single_mixtures_tell_nothing() -> None:
    assert indistinct((*points((1, 0.1), (2, 0.2)), member(9, 0.1), member(10, 0.2))) == {}
    assert indistinct(()) == {}
