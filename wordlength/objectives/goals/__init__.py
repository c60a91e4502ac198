"""Objectives as plug points: what a study aims at, and how that is measured."""

from wordlength.objectives.goals.goal import Goal, GoalKind, Goals, Needs
from wordlength.objectives.goals.settings import (
    DEFAULT_OBJECTIVES,
    ObjectiveSettings,
    goals_of,
    require_measurable,
)
from wordlength.objectives.goals.table import DEFAULT_GOALS, KNOWN

__all__ = [
    "DEFAULT_GOALS",
    "DEFAULT_OBJECTIVES",
    "KNOWN",
    "Goal",
    "GoalKind",
    "Goals",
    "Needs",
    "ObjectiveSettings",
    "goals_of",
    "require_measurable",
]
