"""What a study knows of its trials, as values: rows, counts, front. Knows no storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from wordlength.errors import SpecError
from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.search.front import FloatPoint, FrontPoint, hypervolume, pareto_front, pick
from wordlength.search.study_front import Front
from wordlength.space import Candidate

ENDED = ("complete", "pruned", "failed")
"""States of a trial that has a result."""
INTERRUPTED = "interrupted"
STATES = (*ENDED, "running", INTERRUPTED)


@dataclass(frozen=True)
class TrialRow:
    """One trial; `values`, of every goal, are empty unless complete; memory is known where it was pruned, too."""

    number: int
    state: str
    candidate: Candidate | None
    label: str = ""
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    standard_error: float | None = None
    gains: tuple[float, ...] = ()
    difference: float | None = None
    difference_error: float | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    started: datetime | None = None
    ended: datetime | None = None
    reused_from: int | None = None
    driver: str | None = None
    """The launch that ran it."""
    repeatable: bool = True
    """Whether training again would end the same way; not so for a trial that was cut off or lost its worker."""
    turn: int | None = None
    """Where it counts among the others: by its number, or by that of the trial that was cut off before it."""
    goals: Goals = DEFAULT_GOALS

    @property
    def quality(self) -> float | None:
        """The first quality's value; None unless complete."""
        return self.values.get(self.goals.quality.name)

    @property
    def was_run(self) -> bool:
        """Whether it ended with a result of its own, not with that of another trial."""
        return self.state in ENDED and self.reused_from is None

    @cached_property
    def point(self) -> FrontPoint | None:
        """The trial in the objective plane, if complete."""
        if self.state != "complete" or self.candidate is None:
            return None
        assert self.memory_bytes is not None
        return FrontPoint(
            self.number,
            self.values,
            self.memory_bytes,
            self.candidate,
            self.label,
            self.standard_error,
            self.gains,
            self.difference,
            self.difference_error,
            self.goals,
        )


@dataclass(frozen=True)
class StudyView:
    """A study as it stands: the rows so far, the float baseline, and how many finished trials it is to have.

    `most_wanted`: the most that one of its launches wanted, where a later one wants less; `queued`: candidates that
    wait for their turn, and are none of the rows.
    """

    name: str
    rows: tuple[TrialRow, ...]
    baseline: FloatPoint
    wanted: int
    most_wanted: int = 0
    queued: int = 0

    @cached_property
    def counts(self) -> dict[str, int]:
        """State → number of trials, every state of STATES."""
        return dict.fromkeys(STATES, 0) | Counter(row.state for row in self.rows)

    @property
    def goals(self) -> Goals:
        """What the study aims at."""
        return self.baseline.goals

    @property
    def ended(self) -> dict[str, int]:
        """Complete, pruned, failed → number of trials that were really run."""
        states = Counter(row.state for row in self.rows if row.reused_from is None)
        return {state: states[state] for state in ENDED}

    @cached_property
    def finished(self) -> int:
        """Trials that were really run, complete, pruned or failed: those that count towards `wanted`."""
        return finished_count(self.rows)

    @cached_property
    def under_way(self) -> int:
        """Running trials that will count towards `wanted`: of those with the same candidate, only one."""
        return _under_way(self.rows)

    def is_under_way(self, candidate: Candidate, before: int) -> bool:
        """Whether a running trial with a smaller number than `before` has this candidate."""
        return any(row.candidate == candidate for row in self.rows if row.state == "running" and row.number < before)

    def counted(self, before: int) -> int:
        """Trials whose turn is before this one, and that count towards `wanted`, or will."""
        rows = [row for row in self.rows if (row.number if row.turn is None else row.turn) < before]
        return finished_count(rows) + _under_way(rows)

    @cached_property
    def points(self) -> tuple[FrontPoint, ...]:
        """Complete trials."""
        return tuple(point for row in self.rows if (point := row.point) is not None)

    @cached_property
    def front(self) -> Front:
        """The Pareto front, cheapest first."""
        return Front(pareto_front(self.points))

    @property
    def hypervolume(self) -> float:
        """By default against the float model's memory and no improvement."""
        return hypervolume(self.points, self.baseline)

    @cached_property
    def mean_seconds(self) -> float | None:
        """Mean duration of the trials that were really trained."""
        known = [row.seconds for row in self.rows if row.seconds is not None and row.reused_from is None]
        return sum(known) / len(known) if known else None

    def _repr_html_(self) -> str:
        from wordlength.search.html import study_html

        return study_html(self)


def _under_way(rows: Iterable[TrialRow]) -> int:
    running = [row for row in rows if row.state == "running"]
    unknown = sum(row.candidate is None for row in running)
    return unknown + len({row.candidate for row in running if row.candidate is not None})


def finished_count(rows: Iterable[TrialRow]) -> int:
    """Rows that count towards a study's budget."""
    return sum(row.was_run for row in rows)


def picked(view: StudyView, rule: str, place: str = "--pick") -> FrontPoint:
    """What the rule picks (see `front.pick`). Raises SpecError, with the place that the rule was given at."""
    try:
        return pick(view.front, rule, view.points)
    except ValueError as error:
        raise SpecError(f"{error} ({place})") from None
