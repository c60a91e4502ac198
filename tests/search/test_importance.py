"""Which parameters decide: found where one does, and told from chance."""

import random

from recorded import SLOTS
from two_goals import front_point

from wordlength.search.front import FrontPoint
from wordlength.search.importance import chance, importance
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role


def points(count: int, stoi=lambda bits: 0.0) -> list[FrontPoint]:
    """Weights of random kinds and widths; `stoi` of dense_1's bits, memory by dense_2's."""
    rng, found = random.Random(0), []
    for number in range(count):
        formats = {}
        for slot in SLOTS:
            bits = rng.randint(2, 8)
            weights = Fixed(bits, 0) if rng.random() < 0.5 else PowerOfTwo(min(bits, 5), -1)
            formats[slot] = weights if slot.role is Role.WEIGHTS else Fixed(16, 2)
        bits = {slot.layer: fmt.width_bits for slot, fmt in formats.items() if slot.role is Role.WEIGHTS}
        memory = 1000 * bits["dense_2"] + rng.randint(0, 99)
        found.append(front_point(number, stoi(bits["dense_1"]) + 1e-6 * rng.random(), memory, Candidate.of(formats)))
    return found


def test_what_decides_leads_and_lies_above_chance() -> None:
    trials = points(120, stoi=lambda bits: 0.01 * bits)
    found, by_chance = importance(trials), chance(trials)
    leaders = {objective: next(iter(shares)) for objective, shares in found.items()}
    assert leaders == {"STOI improvement": "dense_1.weights bits", "memory": "dense_2.weights bits"}
    for objective, shares in found.items():
        assert abs(sum(shares.values()) - 1) < 1e-6
        assert max(shares.values()) > 1.5 * by_chance[objective]


def test_what_does_not_vary_is_left_out() -> None:
    names = set(importance(points(30, stoi=lambda bits: 0.01 * bits))["memory"])
    assert "dense_3.weights kind" in names
    assert not [name for name in names if "biases" in name or "activations" in name]


def test_too_few_trials_an_equal_objective_or_equal_candidates_tell_nothing() -> None:
    assert importance(points(19, stoi=float)) == {}
    same = [front_point(p.number, 0.03, p.memory_bytes, p.candidate) for p in points(30)]
    assert list(importance(same)) == ["memory"]
    alike = Candidate.uniform(SLOTS, Float32(), Float32(), Float32())
    assert importance([front_point(n, n / 100, 1000 + n, alike) for n in range(30)]) == {}
