"""The objectives that wordlength knows: name → goal and the class that measures it, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from wordlength.objectives.goals.goal import Goal, GoalKind, Goals, Needs


def _quality(name: str, title: str, unit: str, needs: Needs, maximize: bool = True, **more: Any) -> Goal:
    return Goal(name, title, unit, GoalKind.QUALITY, maximize, needs=needs, **more)


def _cost(name: str, title: str, unit: str, decimals: int = 0) -> Goal:
    return Goal(name, title, unit, GoalKind.COST, maximize=False, worst=None, decimals=decimals)


_SOUND, _SCORE = Needs.SOUND, Needs.SCORE

KNOWN: dict[str, tuple[Goal, str]] = {
    goal.name: (goal, place)
    for goal, place in (
        (_quality("stoi_improvement", "STOI improvement", "STOI", _SOUND, signed=True), "stoi:StoiImprovement"),
        (_quality("stoi", "STOI", "STOI", _SOUND), "stoi:Stoi"),
        (
            _quality("estoi_improvement", "ESTOI improvement", "ESTOI", _SOUND, signed=True),
            "stoi:ExtendedStoiImprovement",
        ),
        (_quality("pesq_improvement", "PESQ improvement", "MOS", _SOUND, signed=True), "pesq:Pesq"),
        (
            _quality("si_sdr_improvement_db", "SI-SDR improvement", "dB", _SOUND, signed=True, decimals=3),
            "si_sdr:SiSdr",
        ),
        (_quality("pearson_correlation", "Pearson correlation", "", _SCORE), "agreement:Pearson"),
        (_quality("spearman_correlation", "Spearman correlation", "", _SCORE), "agreement:Spearman"),
        (_quality("rmse", "RMSE", "", _SCORE, maximize=False, worst=1.0), "agreement:RootMeanSquare"),
        (_cost("memory_bytes", "memory", "bytes"), "memory:Memory"),
        (_cost("inference_memory_bytes", "inference memory", "bytes"), "inference:InferenceMemory"),
        (_cost("operations_per_frame", "operations per frame", "operations"), "operations:Operations"),
        (_cost("energy_pj_per_frame", "energy per frame", "pJ"), "energy:Energy"),
    )
}
"""`worst` of the RMSE is the whole range of STOI."""

TABLES: dict[str, str] = {"operations_per_frame": "operations:WEIGHTS", "energy_pj_per_frame": "energy:PICOJOULES"}
"""Objective → the numbers of it that a study may give in `table`, with their defaults."""

DEFAULT_GOALS = Goals((KNOWN["stoi_improvement"][0], KNOWN["memory_bytes"][0]))


def measurer(name: str) -> Any:
    """The class that measures a known objective: a Quality or a Cost."""
    return _imported(KNOWN[name][1])


def numbers_of(name: str) -> Mapping[str, float]:
    """The numbers of a known objective that a study may give, with their defaults; most have none."""
    numbers: Mapping[str, float] = _imported(TABLES[name]) if name in TABLES else {}
    return numbers


def _imported(place: str) -> Any:
    """`module:name` of this package."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"wordlength.objectives.goals.{module}"), name)
