"""Who proposes: Optuna's samplers, for a study's trials and, in memory, for the candidates that are screened."""

from __future__ import annotations

import random
import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from wordlength.search.spec import SearchSpec
from wordlength.space import Candidate, SearchSpace
from wordlength.space.allocation import Allocation

DIRECTIONS = ("maximize", "minimize")
"""STOI improvement up, memory down."""


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


class Proposals:
    """Proposes candidates to be screened and learns from what they gave; kept in memory.

    `allocation`: once it is known, some of them are its draws (`search.allocated`). What a study must not forget stands
    in its screening file.
    """

    def __init__(self, space: SearchSpace, search: SearchSpec, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        chosen = sampler(search, seed, search.startup_trials, population=16)
        self._study = optuna.create_study(directions=list(DIRECTIONS), sampler=chosen)
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

    def tell(
        self, candidate: Candidate, stoi_improvement: float | None, memory_bytes: int, again: bool = False
    ) -> None:
        """What came of a candidate, asked for or not; None if it has no result. `again`: it was told before."""
        trial = self._open.pop(candidate.digest, None)
        if trial is not None:
            values = None if stoi_improvement is None else [stoi_improvement, float(memory_bytes)]
            failed = optuna.trial.TrialState.FAIL if values is None else None
            self._study.tell(trial, values, state=failed)
        elif not again and stoi_improvement is not None:
            self._teach(candidate, stoi_improvement, memory_bytes)

    def _teach(self, candidate: Candidate, stoi_improvement: float, memory_bytes: int) -> None:
        """Tell the sampler of a candidate that it did not propose, if its space has it."""
        parameters = self._space.parameters(candidate)
        if parameters is not None:
            self._study.enqueue_trial(parameters)
            known = self._study.ask()
            self._space.suggest(known)
            self._study.tell(known, [stoi_improvement, float(memory_bytes)])
