"""Measures all objectives of a study: qualities on a network's outputs, costs on a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wordlength.arrays import FloatArray
from wordlength.errors import TrainingDiverged
from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.goals.goal import Goal, GoalKind
from wordlength.objectives.goals.own import OwnCost, OwnQuality
from wordlength.objectives.goals.quality import Measured, Quality
from wordlength.objectives.goals.settings import ObjectiveSettings, goals_of
from wordlength.objectives.goals.table import measurer
from wordlength.space import Candidate, Float32

if TYPE_CHECKING:
    from wordlength.objectives.audio import MixtureSet
    from wordlength.objectives.baseline import Baseline


class Meter:
    """Measures a study's qualities on one set of its mixtures."""

    def __init__(self, mixtures: MixtureSet, objectives: Sequence[ObjectiveSettings]) -> None:
        from wordlength.objectives.goals.heard import Listener

        self._listener = Listener(mixtures)
        self._qualities = [_quality(one) for one in objectives if one.goal.kind is GoalKind.QUALITY]

    @property
    def goal(self) -> Goal:
        """The first quality."""
        return self._qualities[0].goal

    def ahead(self, outputs: FloatArray) -> float:
        """The first quality so that more is better."""
        return self.goal.ahead(self.primary(outputs).value)

    def primary(self, outputs: FloatArray, mixtures: Sequence[int] | None = None) -> Measured:
        """The first quality of outputs for all windows in order (windows, outputs).

        `mixtures`: those that the outputs are for, if not all. Raises ValueError if an output is not finite.
        """
        return self._qualities[0].measure(self._listener.heard(outputs, mixtures))

    def measure(self, outputs: FloatArray) -> dict[str, Measured]:
        """Name → what was measured on all mixtures, the first quality first. Raises TrainingDiverged."""
        heard = self._listener.heard(outputs)
        measured = {quality.goal.name: quality.measure(heard) for quality in self._qualities}
        for name, one in measured.items():
            if not math.isfinite(one.value):
                raise TrainingDiverged(f"{name} must be finite, but is {one.value}")
        return measured


def costs(objectives: Sequence[ObjectiveSettings], costed: Costed) -> dict[str, float]:
    """Name → value of every cost."""
    return {one.goal.name: _cost(one).measure(costed) for one in objectives if one.goal.kind is GoalKind.COST}


def candidate_costs(
    objectives: Sequence[ObjectiveSettings], baseline: Baseline, candidate: Candidate
) -> dict[str, float]:
    """The same of a study's network, without TensorFlow."""
    return costs(objectives, Costed(baseline.slots, baseline.network, candidate))


def float_values(objectives: Sequence[ObjectiveSettings], baseline: Baseline) -> Mapping[str, float]:
    """Every goal's value of the float model, in the study's order."""
    everywhere = Candidate.of((info.slot, Float32()) for info in baseline.slots)
    known = {**baseline.values, **candidate_costs(objectives, baseline, everywhere)}
    return {name: known[name] for name in goals_of(objectives).names}


def _quality(objective: ObjectiveSettings) -> Quality:
    goal = objective.goal
    if objective.is_own:
        return OwnQuality(goal, objective)
    made: Quality = measurer(goal.name)(goal)
    return made


def _cost(objective: ObjectiveSettings) -> Cost:
    goal = objective.goal
    if objective.is_own:
        return OwnCost(goal, objective)
    made: Cost = measurer(goal.name)(goal, objective.table)
    return made
