"""What a study aims at: goals as values, without the code that measures them.

A quality is measured on what the network gives for mixtures; a cost follows from network and candidate alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any


class GoalKind(StrEnum):
    """What a goal is measured on."""

    QUALITY = "quality"
    COST = "cost"


class Needs(StrEnum):
    """What a network's outputs must be for a quality to be measured: anything, a sound, or estimates of a score."""

    NOTHING = ""
    SOUND = "sound"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective: what it is called, in which unit it counts, which way is better.

    `title`: in tables and plots. `worst`: the value from which the hypervolume counts; None: float32's own, and then as
    a share of it. `decimals`, `signed`: how a value is written.
    """

    name: str
    title: str
    unit: str
    kind: GoalKind
    maximize: bool
    worst: float | None = 0.0
    decimals: int = 4
    signed: bool = False
    needs: Needs = Needs.NOTHING

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Goal:
        """Inverse of `dataclasses.asdict`."""
        return cls(**{**plain, "kind": GoalKind(plain["kind"]), "needs": Needs(plain["needs"])})

    def ahead(self, value: float) -> float:
        """The value so that more is better."""
        return value if self.maximize else -value

    def extent(self, value: float, reference: float) -> float:
        """How far the value lies before the worst; `reference`: float32's own. Raises ValueError where that is ≤ 0.

        In the goal's unit, or a share of float32's own where nothing absolute is the worst.
        """
        if self.worst is not None:
            return self.ahead(value - self.worst)
        if not reference > 0:
            raise ValueError(f"float32's {self.title} must be above 0 to compare with, but got {reference:g}")
        return self.ahead(value / reference - 1)

    def text(self, value: float) -> str:
        """As tables show it, without the unit."""
        return f"{value:{'+' if self.signed else ','}.{self.decimals}f}"

    def told(self, value: float) -> str:
        """With its unit, if it has one that its title does not name."""
        unit = "" if self.unit in self.title else f" {self.unit}"
        return self.text(value) + unit

    def difference_text(self, difference: float, error: float | None) -> str:
        """A signed difference, with its standard error if that is known: "+0.0310 ± 0.0042"."""
        return f"{difference:+.{self.decimals}f}" + self.error_text(error)

    def error_text(self, error: float | None) -> str:
        """ " ± 0.0042"; empty if unknown."""
        return "" if error is None else f" ± {error:.{self.decimals}f}"

    def kept(self, value: float, reference: float) -> float | None:
        """Share of float32's own that is left; None where that is not above 0, or less is better."""
        return value / reference if self.maximize and reference > 0 else None

    @property
    def error_name(self) -> str:
        """Of the metric of its standard error: `stoi_improvement` → `stoi_standard_error`."""
        return f"{self.name.removesuffix('_improvement')}_standard_error"

    def drawn(self, value: float) -> float:
        """As axes have it: bytes in kB."""
        return value / 1000 if self.in_bytes else value

    @property
    def in_bytes(self) -> bool:
        """Whether it counts bytes, which are drawn as kB."""
        return self.unit == "bytes"

    @property
    def axis(self) -> str:
        """The title of a plot's axis."""
        if self.in_bytes:
            return f"{self.title} in kB (1 kB = 1000 bytes)"
        unit = f" in {self.unit}" if self.unit and self.unit not in self.title else ""
        return f"{self.title}{unit}{'' if self.maximize or self.kind is GoalKind.COST else ' (less is better)'}"


@dataclass(frozen=True)
class Goals:
    """The goals of a study, in its order: one or more qualities and one or more costs."""

    goals: tuple[Goal, ...]

    def __post_init__(self) -> None:
        repeated = [name for place, name in enumerate(self.names) if name in self.names[:place]]
        if repeated:
            raise ValueError(f"objectives must differ by name, but {repeated[0]!r} comes twice")
        for kind in GoalKind:
            if not any(goal.kind is kind for goal in self.goals):
                raise ValueError(
                    f"objectives must hold a quality and a cost, but got no {kind}: {', '.join(self.names) or 'none'}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all, in order."""
        return tuple(goal.name for goal in self.goals)

    @cached_property
    def quality(self) -> Goal:
        """The first quality: y in drawings; what decides wherever one number must."""
        return next(goal for goal in self.goals if goal.kind is GoalKind.QUALITY)

    @cached_property
    def cost(self) -> Goal:
        """The first cost: x in drawings."""
        return next(goal for goal in self.goals if goal.kind is GoalKind.COST)

    @cached_property
    def others(self) -> tuple[Goal, ...]:
        """All but these two: columns of their own."""
        return tuple(goal for goal in self.goals if goal not in (self.quality, self.cost))

    @cached_property
    def plane(self) -> Goals:
        """First quality and first cost alone."""
        return Goals((self.quality, self.cost))

    def ahead(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """The values in order, so that more is better in each."""
        return tuple(goal.ahead(values[goal.name]) for goal in self.goals)

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-able; inverse of `from_json`."""
        return [dataclasses.asdict(goal) for goal in self.goals]

    @classmethod
    def from_json(cls, plain: Sequence[Mapping[str, Any]]) -> Goals:
        """Inverse of `to_json`."""
        return cls(tuple(map(Goal.from_json, plain)))
