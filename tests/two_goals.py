"""Points, baselines and results of the default objectives, STOI improvement and memory, by their two numbers."""

from typing import Any

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals import DEFAULT_GOALS
from wordlength.objectives.network import NetworkFacts
from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.space import Candidate, SlotInfo


def values(stoi: float, memory: float) -> dict[str, float]:
    return {"stoi_improvement": stoi, "memory_bytes": memory}


def front_point(number: int, stoi: float, memory: int, candidate: Candidate, *more: Any, **named: Any) -> FrontPoint:
    return FrontPoint(number, values(stoi, memory), memory, candidate, *more, **named)


def float_point(stoi: float, memory: int, network: str = "irm_cnn") -> FloatPoint:
    return FloatPoint(values(stoi, memory), memory, network=network)


def reached(stoi: float, memory: float) -> dict[str, Any]:
    """What a complete TrialReport says of its objectives."""
    return {"values": values(stoi, memory), "quality": stoi}


def untrained(slots: tuple[SlotInfo, ...]) -> Baseline:
    """What is known of a float model that was never trained: its slots."""
    goal, reached_values = DEFAULT_GOALS.quality, {"stoi_improvement": 0.04}
    size = sum(4 * info.count for info in slots)
    return Baseline((), slots, {}, NetworkFacts(()), goal, reached_values, 0.04, 0.001, (), size, (), (), 1, "0" * 16)
