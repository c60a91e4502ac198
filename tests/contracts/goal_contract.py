"""What every objective must do; a new one inherits it all. Waveforms and networks are made up, so it takes seconds."""

import json
import math

import numpy as np
import pytest

from wordlength.errors import SpecError
from wordlength.objectives.goals import (
    KNOWN,
    Goal,
    GoalKind,
    Goals,
    Needs,
    ObjectiveSettings,
    goals_of,
    require_measurable,
)
from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.goals.heard import Heard
from wordlength.objectives.goals.quality import Quality
from wordlength.objectives.network import LayerFacts, NetworkFacts
from wordlength.space import Candidate, Fixed, Float32, Format, Role, Slot, SlotInfo, TensorInfo

RATE_HZ = 16_000
NETWORK = NetworkFacts(
    (
        LayerFacts("log_mel", "InputLayer", (), 16),
        LayerFacts("dense_1", "Dense", ("log_mel",), 64, products=1024, additions=1024, terms=16),
        LayerFacts("dense_2", "Dense", ("dense_1",), 8, products=512, additions=512, terms=64),
    )
)
SHAPES = {"dense_1": (16, 64), "dense_2": (64, 8)}
SLOTS = tuple(
    SlotInfo(
        Slot(layer, role),
        {Role.WEIGHTS: (TensorInfo("kernel", shape),), Role.BIASES: (TensorInfo("bias", shape[1:]),)}.get(role, ()),
    )
    for layer, shape in SHAPES.items()
    for role in Role
)


def speech(number: int) -> np.ndarray:
    """Two seconds of a voice-like tone in syllables of changing level."""
    random = np.random.default_rng(number)
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 140 * k * times + random.uniform(0, 6)) / k for k in range(1, 25))
    level = 0.55 + 0.45 * np.sin(2 * np.pi * (3 + 0.3 * number) * times)
    return (0.1 * level * (voice + 0.3 * random.standard_normal(times.size))).astype(np.float32)


def heard(number: int, kept: float) -> Heard:
    """A mixture of which the network leaves this share of the noise, and of its error where it estimates a score."""
    random = np.random.default_rng(100 + number)
    clean = speech(number)
    noise = 0.15 * random.standard_normal(clean.size).astype(np.float32)
    wanted = np.full((5, 1), 0.5 + 0.08 * number, np.float32)
    error = kept * np.float32((-1) ** (number // 2) * 0.2)
    return Heard(
        number, clean, clean + noise, RATE_HZ, 0.0, wanted + error, wanted, lambda: clean + np.float32(kept) * noise
    )


def mixtures(kept: float) -> list[Heard]:
    return [heard(number, kept) for number in range(4)]


def costed(weights: Format, activations: Format = Fixed(16, 2)) -> Costed:  # noqa: B008  formats are frozen
    return Costed(SLOTS, NETWORK, Candidate.uniform([info.slot for info in SLOTS], weights, Fixed(16, 2), activations))


class GoalContract:
    """`objective`: as a study file has it."""

    objective: ObjectiveSettings

    @property
    def goal(self) -> Goal:
        return self.objective.goal

    def test_it_says_what_it_is(self) -> None:
        assert self.goal.name.isidentifier()
        assert self.goal.title
        assert self.goal.told(1.0).startswith(self.goal.text(1.0))
        assert self.goal.unit in self.goal.told(1.0) + self.goal.title

    def test_it_survives_json(self) -> None:
        partner = "memory_bytes" if self.goal.kind is GoalKind.QUALITY else "stoi_improvement"
        partner = partner if partner != self.goal.name else "rmse"
        goals = goals_of((self.objective, ObjectiveSettings(partner)))
        assert Goals.from_json(json.loads(json.dumps(goals.to_json()))) == goals

    def test_it_is_refused_where_it_does_not_fit(self) -> None:
        fitting = "score" if self.goal.needs is Needs.SCORE else "irm"
        require_measurable([self.objective], fitting, RATE_HZ)
        if self.goal.needs is not Needs.NOTHING:
            with pytest.raises(
                SpecError, match=rf"{self.goal.name} needs outputs that are a .*, but .* \(objectives\)"
            ):
                require_measurable([self.objective], "irm" if fitting == "score" else "score", RATE_HZ)


class QualityContract(GoalContract):
    """`fresh`: measures a new set of mixtures; `nothing_done`: its value for a network that changes nothing."""

    nothing_done: float
    shares = (1.0, 0.5, 0.1)
    """Of the noise that is left, from worse to better."""

    def fresh(self) -> Quality:
        from wordlength.objectives.goals.meter import _quality

        return _quality(self.objective)

    def test_better_sound_is_better(self) -> None:
        measure = self.fresh().measure
        values = [self.goal.ahead(measure(mixtures(kept)).value) for kept in self.shares]
        assert values == sorted(values)
        assert values[0] < values[-1]

    def test_it_is_finite_and_deterministic(self) -> None:
        first, again = (self.fresh().measure(mixtures(0.5)) for _ in range(2))
        assert math.isfinite(first.value)
        assert first.value == again.value
        assert np.array_equal(first.per_mixture, again.per_mixture)

    def test_mixtures_contributions_have_its_mean(self) -> None:
        found = self.fresh().measure(mixtures(0.5))
        assert found.per_mixture.shape == (4,)
        assert found.per_mixture.mean() == pytest.approx(found.value, abs=1e-9)
        assert found.standard_error >= 0

    def test_nothing_done_has_the_known_value(self) -> None:
        assert self.fresh().measure(mixtures(1.0)).value == pytest.approx(self.nothing_done, abs=1e-6)

    def test_silence_is_finite(self) -> None:
        silent = [
            Heard(m.number, m.clean, m.noisy, RATE_HZ, 0.0, 0 * m.outputs, m.targets, lambda m=m: 0 * m.clean)
            for m in mixtures(1.0)
        ]
        assert math.isfinite(self.fresh().measure(silent).value)


class CostContract(GoalContract):
    """Costs rise with widths, need no data, and are known for one network by hand."""

    by_hand: float
    """For 8-bit weights, 16-bit biases and activations."""
    varies = True
    """Whether it depends on the weights' width."""

    def fresh(self) -> Cost:
        from wordlength.objectives.goals.meter import _cost

        return _cost(self.objective)

    def test_more_bits_cost_more(self) -> None:
        measure = self.fresh().measure
        values = [measure(costed(weights)) for weights in (Fixed(2, 0), Fixed(8, 0), Float32())]
        assert values == sorted(values)
        assert (values[0] < values[-1]) == self.varies

    def test_it_is_finite_positive_and_deterministic(self) -> None:
        one, other = (self.fresh().measure(costed(Fixed(8, 0))) for _ in range(2))
        assert one == other > 0
        assert math.isfinite(one)

    def test_it_is_what_one_counts_by_hand(self) -> None:
        assert self.fresh().measure(costed(Fixed(8, 0))) == pytest.approx(self.by_hand, rel=1e-12)


def test_every_known_objective_has_a_contract() -> None:
    """A new one fails here until a class inherits the contract."""
    import test_goal_contracts as cases

    held = {
        case.objective.name
        for case in vars(cases).values()
        if isinstance(case, type) and issubclass(case, GoalContract) and hasattr(case, "objective")
    }
    assert set(KNOWN) <= held
