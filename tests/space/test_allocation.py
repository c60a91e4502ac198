import itertools
import random

import pytest

from wordlength.space import Fixed, Role, Slot
from wordlength.space.allocation import Allocation, Alternative

A, B, C = (Slot(name, Role.WEIGHTS) for name in "abc")


def group(slot: Slot, *choices: tuple[int, float]) -> list[Alternative]:
    """Alternatives of (bytes, damage); the format's width is the place among them."""
    return [Alternative({slot: Fixed(bits, 0)}, *choice) for bits, choice in enumerate(choices, start=2)]


def totals(candidate, groups):
    parts = [part for choices in groups for part in choices if all(candidate[s] == f for s, f in part.formats.items())]
    assert len(parts) == len(groups)
    return sum(part.memory_bytes for part in parts), sum(part.damage for part in parts)


def test_the_change_that_takes_away_most_damage_per_byte_comes_first() -> None:
    groups = [group(A, (10, 8.0), (20, 2.0)), group(B, (10, 8.0), (40, 1.0))]
    small, middle, large = Allocation(groups, (A, B)).spread(10)
    assert [totals(candidate, groups) for candidate in (small, middle, large)] == [(20, 16.0), (30, 10.0), (60, 3.0)]


def test_alternatives_above_the_hull_are_never_taken() -> None:
    groups = [group(A, (10, 8.0), (20, 7.5), (30, 0.0), (40, 1.0))]
    assert [candidate[A].bits for candidate in Allocation(groups, (A,)).spread(10)] == [2, 4]


def test_of_equal_sizes_the_least_damaging_is_taken() -> None:
    groups = [group(A, (10, 8.0), (10, 3.0), (20, 1.0))]
    assert [candidate[A].bits for candidate in Allocation(groups, (A,)).spread(10)] == [3, 4]


@pytest.mark.parametrize("seed", range(20))
def test_every_candidate_lies_on_the_hull_of_all_combinations(seed: int) -> None:
    draw = random.Random(seed)
    groups = [
        group(slot, *((draw.randint(1, 50), draw.random()) for _ in range(draw.randint(1, 5)))) for slot in (A, B, C)
    ]
    everything = [
        (sum(part.memory_bytes for part in parts), sum(part.damage for part in parts))
        for parts in itertools.product(*groups)
    ]
    for candidate in Allocation(groups, (A, B, C)).spread(100):
        size, damage = totals(candidate, groups)
        prices = [0.0, 1e9]
        prices += [
            (other_damage - damage) / (size - other_size)
            for other_size, other_damage in everything
            if other_size != size
        ]
        # On the hull, there is a price of a byte at which nothing is cheaper in all.
        assert any(
            all(damage + price * size <= d + price * s + 1e-9 for s, d in everything) for price in prices if price >= 0
        )


def test_few_candidates_grow_by_equal_factors_over_the_damages_that_matter() -> None:
    # Damage falls to less than a sixth after 2 doublings of the bytes and to 1/256 after 4.
    groups = [group(A, *((2**place, 4.0**-place) for place in range(10)))]
    assert [candidate[A].bits - 2 for candidate in Allocation(groups, (A,)).spread(3)] == [2, 3, 4]
    assert [candidate[A].bits - 2 for candidate in Allocation(groups, (A,)).spread(2)] == [2, 4]
    assert [candidate[A].bits - 2 for candidate in Allocation(groups, (A,)).spread(1)] == [3]


def test_where_damage_hardly_falls_as_many_are_taken_as_asked_for() -> None:
    groups = [group(A, (1, 1.0), (2, 0.8), (4, 0.7))]
    assert [candidate[A].bits for candidate in Allocation(groups, (A,)).spread(2)] == [3, 4]
    assert [candidate[A].bits for candidate in Allocation(groups, (A,)).spread(5)] == [2, 3, 4]


def test_a_budget_takes_the_hull_as_far_as_it_fits_and_then_what_still_does() -> None:
    groups = [group(A, (10, 8.0), (20, 2.0), (45, 1.0)), group(B, (10, 8.0), (40, 1.0))]
    # On the hull lie 20, 30, 60 and 85 bytes; the 45 bytes of A fit where the 40 of B do not.
    expected = {20: 20, 29: 20, 30: 30, 54: 30, 55: 55, 59: 55, 60: 60, 84: 60, 85: 85, 999: 85}
    allocation = Allocation(groups, (A, B), budgets=tuple(expected))
    assert allocation.smallest_bytes == 20
    assert [totals(candidate, groups)[0] for candidate in allocation.fitting()] == [*expected.values()]


@pytest.mark.parametrize("seed", range(20))
def test_no_candidate_of_the_hull_that_fits_is_better_than_a_filled_budget(seed: int) -> None:
    draw = random.Random(seed)
    groups = [group(slot, *((2**place * draw.randint(1, 9), 4.0**-place) for place in range(6))) for slot in (A, B, C)]
    allocation = Allocation(groups, (A, B, C))
    hull = [totals(candidate, groups) for candidate in allocation.spread(100)]
    budgets = tuple(range(hull[0][0], 200))
    for budget, candidate in zip(budgets, Allocation(groups, (A, B, C), budgets).fitting(), strict=True):
        size, damage = totals(candidate, groups)
        assert size <= budget
        assert damage <= min(other for bytes_, other in hull if bytes_ <= budget)


def test_draws_reach_down_to_the_smallest_budget() -> None:
    groups = [group(A, *((2**place, 4.0**-place) for place in range(10)))]
    chance = random.Random(0)
    for budgets, smallest in (((), 2), ((100, 1), 1)):
        allocation = Allocation(groups, (A,), budgets)
        assert min(totals(allocation.draw(chance), groups)[0] for _ in range(200)) == smallest


def test_draws_are_near_the_hull_and_differ() -> None:
    groups = [group(slot, *((2**place, 4.0**-place) for place in range(10))) for slot in (A, B, C)]
    allocation, chance = Allocation(groups, (A, B, C)), random.Random(0)
    drawn = [allocation.draw(chance) for _ in range(200)]
    sizes, damages = zip(*(totals(candidate, groups) for candidate in drawn), strict=True)
    assert len({candidate.digest for candidate in drawn}) > 20
    for size, damage in zip(sizes, damages, strict=True):
        # On the exact hull, three equal layers of s bytes in all do 3 / (s / 3)² damage; a draw may do four times that.
        assert damage < 4 * 3 * (3 / size) ** 2
    assert min(sizes) <= 16
    assert max(sizes) >= 40
    assert allocation.draw(random.Random(5)) == allocation.draw(random.Random(5))
