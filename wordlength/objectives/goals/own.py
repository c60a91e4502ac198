"""A user's own objective: a function of a file that came with the study, run from its text.

The text was read with the study file, so that workers on other machines need no file, and a changed one is another
study. It may import whatever is installed where trials run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from wordlength.errors import SpecError, named
from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.goals.goal import Goal
from wordlength.objectives.goals.heard import Heard
from wordlength.objectives.goals.quality import Measured, Quality
from wordlength.objectives.goals.settings import ObjectiveSettings


@lru_cache(64)
def _function(name: str, source: str) -> Callable[[Any], Any]:
    """The function that `name`, path.py:function, stands for. Raises SpecError if its file cannot be run."""
    path, _, function = name.rpartition(":")
    space: dict[str, Any] = {"__name__": "wordlength_own_objective", "__file__": path}
    try:
        exec(compile(source, path, "exec"), space)
    except Exception as error:
        raise SpecError(f"an objective's file must run, but {path} does not: {named(error)} (objectives)") from None
    found: Any = space.get(function)
    if not callable(found):
        raise SpecError(f"an objective's file must define the function, but it has no such ({name})")
    return found  # type: ignore[no-any-return]


def _called(objective: ObjectiveSettings, given: Heard | Costed) -> float:
    try:
        value = float(_function(objective.name, objective.source)(given))
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"an objective must give a number, but {objective.name} fails: {named(error)}") from None
    if not math.isfinite(value):
        raise SpecError(f"an objective must be finite, but {objective.name} gives {value}")
    return value


class OwnQuality(Quality):
    """The mean of the function over the mixtures, each as a Heard."""

    def __init__(self, goal: Goal, objective: ObjectiveSettings) -> None:
        super().__init__(goal)
        self._objective = objective

    def measure(self, heard: Sequence[Heard]) -> Measured:
        """Raises SpecError where the function fails or gives no finite number."""
        return Measured.mean_of([_called(self._objective, mixture) for mixture in heard])


class OwnCost(Cost):
    """The function of a Costed."""

    def __init__(self, goal: Goal, objective: ObjectiveSettings) -> None:
        super().__init__(goal, {})
        self._objective = objective

    def measure(self, costed: Costed) -> float:
        """Raises SpecError where the function fails or gives no finite number."""
        return _called(self._objective, costed)
