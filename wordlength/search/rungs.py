"""Multi-fidelity screening: many candidates are judged cheaply, and those that may reach the front are trained.

Rung 0 measures a candidate with weights shared by all formats, rung 1 after a short training from them, rung 2 is a
trial: the paper's two-step training, which starts from the float baseline and knows nothing of the rungs below. As in
asynchronous successive halving (Li et al. 2020), a fixed share of each rung climbs; who climbs adds most to the
hypervolume of those that have climbed before, by the figures of the rung it stands on: first quality and first
cost. Costs are exact on every rung.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals import ObjectiveSettings, goals_of
from wordlength.objectives.goals.meter import candidate_costs, float_values
from wordlength.search.front import FloatPoint, FrontPoint, hypervolume
from wordlength.search.sampling import Proposals
from wordlength.search.study_file.spec import ScreeningSpec
from wordlength.space import Candidate

SHORT_RUNGS = 2
"""Rung 0 and rung 1; what climbs further becomes a trial."""


@dataclass(frozen=True)
class Screened:
    """A candidate that was judged: first quality on rung 0 and, if it got there, rung 1; None where it diverged."""

    candidate: Candidate
    cost: float
    rungs: tuple[float | None, ...]


@dataclass(frozen=True)
class RungCounts:
    """Candidates that were judged on rung 0, on rung 1, and that became trials."""

    assessed: int = 0
    short: int = 0
    climbed: int = 0

    def __str__(self) -> str:
        return f"{self.assessed} judged, {self.short} trained for a short while, {self.climbed} became trials"


@dataclass(frozen=True)
class Ask:
    """What to do next: judge the candidate on this rung; on rung 2 it becomes a trial."""

    candidate: Candidate
    rung: int


@dataclass
class Ladder:
    """Who is judged next, and on which rung. Knows no workers.

    `file`: one JSON object a line for everything judged, so that a launch goes on where the last one ended.
    """

    settings: ScreeningSpec
    proposals: Proposals
    baseline: Baseline
    objectives: tuple[ObjectiveSettings, ...]
    file: Path
    screened: dict[str, Screened] = field(default_factory=dict)
    # Judgements under way: digest → rung.
    pending: dict[str, int] = field(default_factory=dict)
    # Candidates to be judged before any proposal.
    first: list[Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._goals = goals_of(self.objectives)
        plane = self._goals.plane
        self._float = FloatPoint(float_values(self.objectives, self.baseline), self.baseline.memory_bytes, plane)
        for candidate, rungs in _read(self.file, self.settings):
            self._keep(candidate, rungs)

    def next(self, trained: Iterable[str]) -> Ask | None:
        """What a free worker should do; None if nothing is left. `trained`: digests that are trials already."""
        known = set(trained)
        counts = self.counts(known)
        if counts.short >= (counts.climbed + 1) * self.settings.short and (best := self._best(1, known)):
            return Ask(best, SHORT_RUNGS)
        waiting = sum(rung == 1 for rung in self.pending.values())
        if counts.assessed >= (counts.short + waiting + 1) * self.settings.candidates and (
            best := self._best(0, known)
        ):
            return self._begin(best, 1)
        if (candidate := self._proposed()) is not None:
            return self._begin(candidate, 0)
        best = self._best(1, known) or self._best(0, known)
        return Ask(best, SHORT_RUNGS) if best else None

    def record(self, candidate: Candidate, rung: int, quality: float | None) -> None:
        """A judgement that has ended; None if training diverged."""
        self.pending.pop(candidate.digest, None)
        before = self.screened[candidate.digest].rungs if rung else ()
        self._keep(candidate, (*before, quality))
        judged = {"candidate": candidate.to_dict(), "rung": rung, "quality": quality}
        # A line that a killed launch left unfinished stays alone.
        torn = self.file.exists() and not self.file.read_bytes().endswith(b"\n")
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write("\n" * torn + json.dumps(judged | {"by": _judged_by(self.settings, rung)}) + "\n")

    def counts(self, trained: Iterable[str]) -> RungCounts:
        """How many stand where; a trial that was never screened does not count."""
        return _counted({digest: row.rungs for digest, row in self.screened.items()}, trained)

    def figures(self, candidate: Candidate) -> tuple[float | None, ...]:
        """A candidate's figures on the rungs below; empty if it was not screened."""
        known = self.screened.get(candidate.digest)
        return known.rungs if known else ()

    def table(self, trials: Mapping[str, int]) -> str:
        """Everything judged as CSV, ascending in cost. `trials`: digest → number of the trial it became."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(
            [
                "digest",
                self._goals.cost.name,
                *(f"rung_{rung}_{self._goals.quality.name}" for rung in range(SHORT_RUNGS)),
                "trial",
            ]
        )
        for row in sorted(self.screened.values(), key=lambda row: row.cost):
            digest = row.candidate.digest
            figures = (*row.rungs, None)[:SHORT_RUNGS]
            rows.writerow([digest, row.cost, *figures, trials.get(digest)])
        return text.getvalue()

    def _begin(self, candidate: Candidate, rung: int) -> Ask:
        self.pending[candidate.digest] = rung
        return Ask(candidate, rung)

    def _proposed(self) -> Candidate | None:
        while self.first:
            candidate = self.first.pop(0)
            if candidate.digest not in self.screened and candidate.digest not in self.pending:
                return candidate
        for _ in range(self.settings.repeats):
            candidate = self.proposals.ask()
            if candidate.digest in self.pending:
                continue
            if (known := self.screened.get(candidate.digest)) is None:
                return candidate
            self.proposals.tell(candidate, known.rungs[0], known.cost, again=True)
        return None

    def _best(self, rung: int, trained: set[str]) -> Candidate | None:
        """Of those that stand on the rung, the one that adds most to what has climbed from it."""
        standing = [row for row in self.screened.values() if len(row.rungs) > rung and row.rungs[rung] is not None]
        climbed = [row for row in standing if row.candidate.digest in trained or len(row.rungs) > rung + 1]
        climbed += [row for row in standing if self.pending.get(row.candidate.digest, 0) > rung and row not in climbed]
        waiting = [row for row in standing if row not in climbed]
        return max(waiting, key=lambda row: self._worth(row, climbed, rung)).candidate if waiting else None

    def _worth(self, row: Screened, climbed: list[Screened], rung: int) -> tuple[float, float]:
        """Hypervolume that it adds; where it adds none, how little it lacks in improvement."""
        points = [self._point(other, rung) for other in climbed]
        point = self._point(row, rung)
        added = hypervolume([*points, point], self._float) - hypervolume(points, self._float)
        quality, cost = self._goals.quality, self._goals.cost
        limit = cost.ahead(point.cost)
        smaller = [quality.ahead(other.quality) for other in points if cost.ahead(other.cost) >= limit]
        return added, quality.ahead(point.quality) - max(smaller, default=quality.ahead(quality.worst or 0.0))

    def _keep(self, candidate: Candidate, rungs: tuple[float | None, ...]) -> None:
        cost = candidate_costs(self.objectives, self.baseline, candidate)[self._goals.cost.name]
        if len(rungs) == 1:
            self.proposals.tell(candidate, rungs[0], cost)
        self.screened[candidate.digest] = Screened(candidate, cost, rungs)

    def _point(self, row: Screened, rung: int) -> FrontPoint:
        quality, goals = row.rungs[rung], self._goals.plane
        assert quality is not None
        values = {goals.quality.name: quality, goals.cost.name: row.cost}
        return FrontPoint(0, values, 0, row.candidate, goals=goals)


def rung_counts(file: Path, settings: ScreeningSpec, trained: Iterable[str]) -> RungCounts:
    """How many candidates stand on which rung, by a study's file. `trained`: digests of its trials."""
    return _counted({candidate.digest: rungs for candidate, rungs in _read(file, settings)}, trained)


def _counted(rungs: Mapping[str, tuple[float | None, ...]], trained: Iterable[str]) -> RungCounts:
    short = {digest for digest, figures in rungs.items() if len(figures) > 1}
    return RungCounts(len(rungs), len(short), len(short & set(trained)))


def _judged_by(settings: ScreeningSpec, rung: int) -> dict[str, float]:
    """The settings that a figure on this rung depends on."""
    return settings.model_dump(include={"passes", "mixtures", *(["share"] if rung else [])})


def _read(file: Path, settings: ScreeningSpec) -> Iterator[tuple[Candidate, tuple[float | None, ...]]]:
    """What was judged with these settings, rung by rung.

    A line that a killed launch left unfinished is passed over.
    """
    if not file.exists():
        return
    known: dict[str, tuple[float | None, ...]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row: Mapping[str, Any] = json.loads(line)
            candidate, rung = Candidate.from_dict(row["candidate"]), row["rung"]
            if row["by"] != _judged_by(settings, rung):
                continue
        except (ValueError, KeyError):
            continue
        if len(known.get(candidate.digest, ())) == rung:
            known[candidate.digest] = (*known.get(candidate.digest, ()), row["quality"])
            yield candidate, known[candidate.digest]
