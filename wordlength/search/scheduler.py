"""What free workers do next: the bit allocation, the shared weights, judging candidates on the lower rungs, trials.

Jobs that are no trials are submitted here. Candidates that shall be trials are queued in the study, from where the
loop takes them; once nothing is queued, and unless candidates are screened, the study's sampler proposes.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from wordlength.errors import WorkerError
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals import goals_of
from wordlength.objectives.memory import allocation_of
from wordlength.search.home import StudyFolder
from wordlength.search.jobs import AssessJob, DamagesJob, Finished, JobProgress, SharedJob
from wordlength.search.observer import Observer
from wordlength.search.rungs import SHORT_RUNGS, Ladder
from wordlength.search.sampling import Proposals, fresh_seed
from wordlength.search.study import StudyStore
from wordlength.search.study_file.references import references
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.weights import load_weights, save_weights
from wordlength.search.workers import WorkerPool
from wordlength.space import Candidate, SearchSpace
from wordlength.space.allocation import Allocation

FIRST_FRONT, SHARED_WEIGHTS = "first front", "shared weights"
TABLE = "screening.csv"
MOST_DRAWS = 20
"""After so many known candidates in a row, the sampler proposes the next trial."""
MOST_LOSSES_IN_A_ROW = 8
"""After so many jobs that gave nothing, with none in between that did, the study stops."""


class Scheduler:
    """Gives free workers the jobs that are no trials, takes what comes of them, and queues trials."""

    def __init__(
        self,
        spec: StudySpec,
        space: SearchSpace,
        baseline: Baseline,
        folder: StudyFolder,
        pool: WorkerPool,
        store: StudyStore,
        observer: Observer,
    ) -> None:
        self._spec, self._space, self._folder = spec, space, folder
        self._pool, self._store, self._observer = pool, store, observer
        self._losses_in_a_row = 0
        settings = spec.search.screening
        self._settings = settings
        self._ladder: Ladder | None = None
        self._weights: Any = None
        if settings is not None:
            # A second launch must not draw the first one's random numbers again.
            proposals = Proposals(
                space, spec.search, goals_of(spec.objectives), fresh_seed(spec.seed, _lines(folder.screening))
            )
            self._ladder = Ladder(settings, proposals, baseline, spec.objectives, folder.screening)
            self._ladder.first.extend(store.candidates(store.attributes.get("first_front", ())))
            if (weights := load_weights(folder.shared_weights(settings.passes))) is not None:
                self._weights = pool.keep(weights)
        # What the first front depends on: a later launch may ask for another one.
        self._asked = [spec.search.first_front, *spec.search.budgets]
        self._first_front_known = not any(self._asked) or self._asked == store.attributes.get("first_front_asked")
        self._allocation: Allocation | None = None
        self._references = references(spec.search.uniform, baseline)
        if self._first_front_known:
            self._queue_references()
        # Each worker finds some of the damages.
        self._undamaged = replace(allocation_of(space, baseline.slots), budgets=spec.search.budgets)
        self._damages: dict[int, list[float]] = {}
        asked = self._undamaged.asked
        count = max(1, min(pool.count, len(asked)))
        self._parts = [DamagesJob(part, asked[part::count]) for part in range(count)]
        self._waiting = [] if self._ready else list(self._parts)

    @property
    def samples(self) -> bool:
        """Whether trials are proposed by the study's sampler, once nothing is queued."""
        return self._ready and self._ladder is None

    def draw(self) -> Candidate | None:
        """In its share of the trials, a candidate of the allocation in place of the study's sampler's."""
        # From the number of trials: a second launch does not draw the first one's again.
        chance = random.Random(f"{self._spec.seed} {len(self._store.rows())}")
        if self._allocation is None or chance.random() >= self._spec.search.allocated:
            return None
        drawn = (self._allocation.draw(chance) for _ in range(MOST_DRAWS))
        return next((candidate for candidate in drawn if not self._store.knows(candidate.digest)), None)

    def figures(self, candidate: Candidate) -> tuple[float | None, ...]:
        """The candidate's first quality on the lower rungs, as far as it was judged there."""
        return self._ladder.figures(candidate) if self._ladder else ()

    def files(self) -> dict[str, bytes]:
        """The lower rungs' figures, for the study's run: name → content; empty if candidates are not screened."""
        if self._ladder is None:
            return {}
        trials = {row.candidate.digest: row.number for row in self._store.rows() if row.candidate is not None}
        return {TABLE: self._ladder.table(trials).encode()}

    def submit(self) -> bool:
        """Give a free worker a job that is no trial, if there is one that comes before the next trial."""
        if self._waiting:
            if len(self._waiting) == len(self._parts):
                self._observer.phase(FIRST_FRONT, 0.0)
            self._pool.submit(self._waiting.pop(0))
            return True
        if self._settings is None:
            return False
        if self._store.queued or not self._ready:
            return False
        if self._weights is None and not self._running(SharedJob):
            self._pool.submit(SharedJob(self._space, self._settings.passes, self._spec.seed))
            self._observer.phase(SHARED_WEIGHTS, 0.0)
            return True
        return self._weights is not None and self._screen()

    def record(self, told: Finished | JobProgress) -> None:
        """Take what a job of this class gave. Raises WorkerError if jobs keep failing that all the others need."""
        if isinstance(told, JobProgress):
            self._observer.phase(SHARED_WEIGHTS, told.share)
            return
        if told.result is None:
            self._lost(told)
            return
        self._losses_in_a_row = 0
        match told.job:
            case DamagesJob(part=part):
                self._damages[part] = told.result
                self._observer.phase(FIRST_FRONT, len(self._damages) / len(self._parts))
                if len(self._damages) == len(self._parts):
                    self._allocate()
            case SharedJob(passes=passes):
                save_weights(self._folder.shared_weights(passes), told.result)
                self._weights = self._pool.keep(told.result)
            case AssessJob(candidate=candidate, rung=rung):
                assert self._ladder is not None
                self._ladder.record(candidate, rung, told.result[0])
                self._observer.screened(self._ladder.counts(self._store.digests()))

    def _screen(self) -> bool:
        """Have the next candidate judged; one that shall be a trial is queued instead."""
        assert self._ladder is not None
        assert self._settings is not None
        ask = self._ladder.next(self._store.digests(failed=True))
        if ask is None:
            return False
        if ask.rung == SHORT_RUNGS:
            self._store.queue(ask.candidate, "", self._space)
            self._observer.screened(self._ladder.counts(self._store.digests()))
            return False
        share = self._settings.share if ask.rung else 0.0
        job = AssessJob(ask.candidate, ask.rung, share, self._settings.mixtures, self._spec.seed)
        self._pool.submit(job, self._weights)
        return True

    @property
    def _ready(self) -> bool:
        """Whether candidates can be proposed: the allocation is known, if one is asked for."""
        asked = not self._first_front_known or self._spec.search.allocated > 0
        return self._allocation is not None or not asked

    def _allocate(self) -> None:
        damages = [0.0] * len(self._undamaged.asked)
        for part, found in self._damages.items():
            damages[part :: len(self._parts)] = found
        allocation = self._allocation = self._undamaged.damaged(damages)
        if self._ladder is not None:
            self._ladder.proposals.allocation = allocation
        if not self._first_front_known:
            self._queue_first()

    def _queue_first(self) -> None:
        """What fits into the budgets; then the spread from the middle outwards: there a front bends."""
        assert self._allocation is not None
        spread = self._allocation.spread(self._spec.search.first_front)
        middle = (len(spread) - 1) / 2
        outwards = [candidate for _, candidate in sorted(enumerate(spread), key=lambda pair: abs(pair[0] - middle))]
        candidates = [*self._allocation.fitting(), *outwards]
        for candidate in candidates:
            self._store.queue(candidate, "", self._space, reference=True)
        if self._ladder is not None:
            self._ladder.first.extend(candidates)
        self._store.remember({"first_front": [c.digest for c in candidates], "first_front_asked": self._asked})
        self._first_front_known = True
        self._queue_references()

    def _queue_references(self) -> None:
        search = self._spec.search
        for candidate, title in self._references:
            self._store.queue(candidate, title, self._space, reference=True)
        for candidate in self._space.sweep() if search.sweep else ():
            self._store.queue(candidate, "", self._space, reference=True)
        self._store.sample_with(search, self._spec.seed)

    def _lost(self, finished: Finished) -> None:
        """A candidate that cannot be judged has no figure. Without allocation or shared weights nothing goes on."""
        self._losses_in_a_row += 1
        match finished.job:
            case AssessJob(candidate=candidate, rung=rung) if self._losses_in_a_row < MOST_LOSSES_IN_A_ROW:
                assert self._ladder is not None
                self._ladder.record(candidate, rung, None)
            case job:
                kind = type(job).__name__.removesuffix("Job").lower()
                raise WorkerError(f"{kind} must give a result, but it did not: {finished.reason}")

    def _running(self, kind: type) -> bool:
        return any(isinstance(job, kind) for job in self._pool.running)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
