"""Who proposes: Optuna's samplers, for a study's trials and, in memory, for the candidates that are screened."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from wordlength.objectives.goals import Goals
from wordlength.search.study_file.spec import SearchSpec
from wordlength.space import Candidate, SearchSpace
from wordlength.space.allocation import Allocation

MOST_LEARNED = 100
"""Finished trials that the sampler goes on learning from once there are twice as many, besides as many of the front's.

A proposal of TPE takes time for each of them, and for each that runs; what it takes for the better ones are never more
than 25.
"""


def directions(goals: Goals) -> list[str]:
    """As Optuna wants them."""
    return ["maximize" if goal.maximize else "minimize" for goal in goals.goals]


def sampler(search: SearchSpec, seed: int, startup_trials: int, population: int) -> optuna.samplers.BaseSampler:
    """The study file's sampler. `population`: of NSGA-II's generations, 8 to 50."""
    match search.sampler:
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(8, min(50, population)))
    with warnings.catch_warnings():
        # `multivariate` and `group` are marked experimental; without them kinds and widths are drawn as if unrelated.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True, constant_liar=True
        )


def fresh_seed(seed: int, done: int) -> int:
    """Another seed for every amount of what was done before, so that a second launch does not repeat the first."""
    return int(np.random.SeedSequence([seed, done]).generate_state(1)[0])


class Sampler:
    """The study file's sampler, with the trials it learns from in memory: the newest, the front's, those that run.

    A sampler that reads a storage reads all of it for every proposal, which with thousands of trials takes seconds.
    """

    def __init__(self, search: SearchSpec, goals: Goals, seed: int, references: int) -> None:
        self._search, self._goals, self._seed, self._references = search, goals, seed, references
        self._seen: dict[int, FrozenTrial] = {}
        self._most = 0
        self._begin()

    def propose(self, space: SearchSpace) -> tuple[Candidate, FrozenTrial]:
        """A candidate, and its trial as the storage shall have it, where it gets a number: see `proposed`."""
        trial = self._study.ask()
        candidate = space.suggest(trial)
        self._last = trial._trial_id
        return candidate, self._memory.get_trial(trial._trial_id)

    def proposed(self, trial: FrozenTrial) -> None:
        """The last proposal as the storage now has it."""
        self._seen[trial.number] = trial
        self._places[trial.number] = self._last

    def learn(self, trials: Iterable[FrozenTrial]) -> None:
        """What has changed among the storage's trials."""
        for trial in trials:
            seen = self._seen.get(trial.number)
            done = seen is trial or (seen is not None and seen.state.is_finished())
            if not done and trial.state != OptunaState.WAITING:
                self._seen[trial.number] = trial
                self._take(trial)
        if len(self._places) > max(self._most, 2 * MOST_LEARNED):
            self._forget()

    def _begin(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # Optuna's 50 parents would leave a study of 50 trials without a second generation.
        chosen = sampler(
            self._search,
            fresh_seed(self._seed, len(self._seen)),
            self._references + self._search.startup_trials,
            self._search.trials // 5,
        )
        self._study = optuna.create_study(directions=directions(self._goals), sampler=chosen)
        self._memory = self._study._storage
        # Number in the storage → place in memory.
        self._places: dict[int, int] = {}

    def _take(self, trial: FrozenTrial) -> None:
        place = self._places.get(trial.number)
        if place is None:
            added = copy.copy(trial)
            added.system_attrs = dict(trial.system_attrs)
            for gate, excess in _constraints(trial).items():
                added.set_constraint(gate, excess)
            self._places[trial.number] = self._memory.create_new_trial(self._study._study_id, template_trial=added)
        elif trial.state.is_finished():
            kept = optuna.trial.Trial(self._study, place)
            for gate, excess in _constraints(trial).items():
                kept.set_constraint(gate, excess)
            self._memory.set_trial_state_values(place, trial.state, trial.values)

    def _forget(self) -> None:
        """Begin anew with those worth learning from."""
        cost = self._goals.names.index(self._goals.cost.name)
        front = sorted(self._study.best_trials, key=lambda trial: trial.values[cost])
        spread = {trial._trial_id for trial in front[:: len(front) // MOST_LEARNED + 1]}
        finished = [number for number in sorted(self._places) if self._seen[number].state.is_finished()]
        left = {number for number in finished[:-MOST_LEARNED] if self._places[number] not in spread}
        kept = sorted(self._places.keys() - left)
        self._begin()
        for number in kept:
            self._take(self._seen[number])
        # Those that run and the front may alone be hundreds: no reason to begin anew with every proposal.
        self._most = len(self._places) + MOST_LEARNED


def _constraints(trial: FrozenTrial) -> Mapping[str, float]:
    """Of a finished trial as the storage keeps it: gate → excess."""
    return dict(trial.user_attrs.get("result", {}).get("constraints", {}))


class Proposals:
    """Proposes candidates to be screened and learns from what they gave, first quality and first cost; kept in memory.

    `allocation`: once it is known, some of them are its draws (`search.allocated`). What a study must not forget stands
    in its screening file.
    """

    def __init__(self, space: SearchSpace, search: SearchSpec, goals: Goals, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        chosen = sampler(search, seed, search.startup_trials, population=16)
        self._study = optuna.create_study(directions=directions(goals.plane), sampler=chosen)
        self._chance = random.Random(seed)
        self.allocation: Allocation | None = None
        self._share = search.allocated
        self._open: dict[str, optuna.Trial] = {}

    def ask(self) -> Candidate:
        """One more candidate, perhaps a known one."""
        if self.allocation is not None and self._chance.random() < self._share:
            return self.allocation.draw(self._chance)
        trial = self._study.ask()
        candidate = self._space.suggest(trial)
        if candidate.digest in self._open:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._open[candidate.digest] = trial
        return candidate

    def tell(self, candidate: Candidate, quality: float | None, cost: float, again: bool = False) -> None:
        """What came of a candidate, asked for or not; None if it has no result. `again`: it was told before."""
        trial = self._open.pop(candidate.digest, None)
        if trial is not None:
            values = None if quality is None else [quality, cost]
            failed = optuna.trial.TrialState.FAIL if values is None else None
            self._study.tell(trial, values, state=failed)
        elif not again and quality is not None:
            self._teach(candidate, quality, cost)

    def _teach(self, candidate: Candidate, quality: float, cost: float) -> None:
        """Tell the sampler of a candidate that it did not propose, if its space has it."""
        parameters = self._space.parameters(candidate)
        if parameters is not None:
            self._study.enqueue_trial(parameters)
            known = self._study.ask()
            self._space.suggest(known)
            self._study.tell(known, [quality, cost])
