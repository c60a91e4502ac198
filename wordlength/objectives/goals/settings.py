"""What a study file says of its objectives, and which goals that makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Literal

from wordlength.errors import SpecError
from wordlength.objectives.goals.goal import Goal, GoalKind, Goals, Needs
from wordlength.objectives.goals.table import KNOWN, measurer, numbers_of
from wordlength.objectives.user_function import require_function
from wordlength.paths import expanded
from wordlength.strict import STRICT


@dataclass(frozen=True)
class ObjectiveSettings:
    """One objective: a known one by name, or a function of the user's own."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    """A known objective, or `path/to/file.py:function`, relative to the study file."""
    direction: Literal["maximize", "minimize"] | None = None
    """Of a function of one's own: which way is better; known objectives have theirs."""
    kind: Literal["quality", "cost"] | None = None
    """Of a function of one's own: quality (measured on mixtures; the default) or cost (of network and formats)."""
    unit: str | None = None
    """Of a function of one's own: the unit, as tables show it."""
    worst: float | None = None
    """Value from which the hypervolume counts; by default 0, or float32's own where less is better."""
    table: Mapping[str, float] = field(default_factory=dict)
    """Numbers in place of the objective's own, such as picojoules per operation."""
    source: str = ""
    """The function's source text; filled in from its file when the study file is read."""

    def __post_init__(self) -> None:
        if self.is_own:
            _check_own(self)
        else:
            _check_known(self)
        if self.worst is not None and not math.isfinite(self.worst):
            raise ValueError(f"worst must be finite, but got {self.worst} (objective {self.name!r})")

    @property
    def is_own(self) -> bool:
        """Whether it is a function of the user's own."""
        return ":" in self.name

    @property
    def goal(self) -> Goal:
        """What it aims at."""
        if not self.is_own:
            known = KNOWN[self.name][0]
            return known if self.worst is None else replace(known, worst=self.worst)
        name, kind = self.name.rpartition(":")[2], GoalKind(self.kind or GoalKind.QUALITY)
        maximize = self.direction == "maximize"
        worst = self.worst if self.worst is not None or kind is GoalKind.COST or not maximize else 0.0
        title, signed = name.replace("_", " "), kind is GoalKind.QUALITY
        return Goal(name, title, self.unit or "", kind, maximize, worst, signed=signed, needs=Needs.NOTHING)

    def with_source(self, folder: Path) -> ObjectiveSettings:
        """With the text of a function's file, read from beside the study file. Raises SpecError."""
        if not self.is_own or self.source:
            return self
        file, _, function = self.name.rpartition(":")
        path = folder / expanded(file)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SpecError(f"an objective's file must be readable, but {path} is not: {said} (objectives)") from None
        require_function(text, function, path, "an objective", SpecError)
        return replace(self, source=text)


def goals_of(objectives: Sequence[ObjectiveSettings]) -> Goals:
    """Raises ValueError for objectives that do not make a front: no quality, no cost, or one twice."""
    return Goals(tuple(objective.goal for objective in objectives))


def require_measurable(objectives: Sequence[ObjectiveSettings], target: str, sample_rate_hz: int) -> None:
    """Raise SpecError for an objective that cannot be measured on such data, before anything is trained.

    `target`: what the network learns, as `irm` or `score`.
    """
    outputs = Needs.SCORE if target == "score" else Needs.SOUND
    for objective in objectives:
        goal = objective.goal
        if goal.needs not in (Needs.NOTHING, outputs):
            fitting = [name for name, (known, _) in KNOWN.items() if known.needs is outputs]
            raise SpecError(
                f"{goal.name} needs outputs that are a {goal.needs}, but the network learns the target {target!r}; "
                f"there are {', '.join(fitting)} (objectives)"
            )
        if not objective.is_own:
            check = getattr(measurer(goal.name), "require", None)
            if check is not None:
                check(sample_rate_hz)


def _check_known(objective: ObjectiveSettings) -> None:
    name = objective.name
    if name not in KNOWN:
        near = get_close_matches(name, KNOWN, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KNOWN)}"
        raise ValueError(f"an objective must be known, or be path.py:function, but got {name!r}; {hint}")
    given = {key: getattr(objective, key) for key in ("direction", "kind", "unit") if getattr(objective, key)}
    if given:
        key, value = next(iter(given.items()))
        raise ValueError(f"{name} has its own {key}, but got {value!r}")
    numbers = numbers_of(name) if objective.table else {}
    for key, value in objective.table.items():
        if key not in numbers:
            raise ValueError(
                f"a table's keys must be known, but got {key!r}; {name} has {', '.join(numbers) or 'none'}"
            )
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"a table's numbers must be finite and at least 0, but {key} is {value} ({name})")


def _check_own(objective: ObjectiveSettings) -> None:
    file, _, function = objective.name.rpartition(":")
    if not file.endswith(".py") or not function.isidentifier():
        raise ValueError(f"an objective of one's own is path/to/file.py:function, but got {objective.name!r}")
    if function in KNOWN:
        raise ValueError(f"an objective of one's own needs a name of its own, but {function!r} is a known one")
    if objective.direction is None:
        raise ValueError(f"an objective of one's own needs a direction, maximize or minimize ({objective.name})")
    if objective.table:
        raise ValueError(f"an objective of one's own has no table, but got {dict(objective.table)} ({objective.name})")
    if objective.direction == "minimize" and objective.kind != "cost" and objective.worst is None:
        raise ValueError(f"a quality that is minimized needs a worst value, but has none ({objective.name})")


DEFAULT_OBJECTIVES = (ObjectiveSettings("stoi_improvement"), ObjectiveSettings("memory_bytes"))
