"""A study's trials as its storage has them, read once and kept: a change costs one call, and no reading of the rest."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

READING_SHARE = 0.05
"""Of a launch's time; with hundreds of running trials one reading takes tenths of a second."""


class Ledger:
    """`fresh_seconds`: for how long what was read is taken for what the storage has; own changes show at once.

    Where reading takes its time it is done more seldom, at most ten times so.

    Optuna numbers a study's trials from 0 without gaps, so that a trial's number is its place here.
    """

    def __init__(self, study: optuna.Study, fresh_seconds: float) -> None:
        self._study, self._storage = study, study._storage
        self._fresh_seconds = fresh_seconds
        self._old_at = -math.inf
        self._trials: list[FrozenTrial] = []
        self._in_state: defaultdict[OptunaState, set[int]] = defaultdict(set)
        # Numbers of trials, in the order in which they changed.
        self._changes: list[int] = []

    @property
    def version(self) -> int:
        """Rises with every change."""
        return len(self._changes)

    def changed_since(self, version: int) -> list[FrozenTrial]:
        """The trials that have changed since then, as they are now, in order of their numbers."""
        return [self._trials[number] for number in sorted(set(self._changes[version:]))]

    def trials(self, *states: OptunaState) -> list[FrozenTrial]:
        """In order of their numbers: all, or those in one of these states."""
        began = time.monotonic()
        if began > self._old_at:
            for trial in self._study.get_trials(deepcopy=False):
                self._keep(trial)
            ended = time.monotonic()
            fair = (ended - began) / READING_SHARE
            self._old_at = ended + min(max(fair, self._fresh_seconds), 10 * self._fresh_seconds)
        if not states:
            return self._trials
        return [self._trials[number] for number in sorted(set().union(*(self._in_state[state] for state in states)))]

    def read_again(self) -> None:
        """Take what was read for old."""
        self._old_at = -math.inf

    def create(self, trial: FrozenTrial) -> int:
        """Add a trial, whole, in one transaction; its number."""
        place = self._storage.create_new_trial(self._study._study_id, template_trial=trial)
        made = self._storage.get_trial(place)
        # Others may have added some in between.
        if made.number > len(self._trials):
            self.read_again()
        else:
            self._keep(made)
        return int(made.number)

    def begin(self, number: int) -> bool:
        """Have a waiting trial run; False if another launch was faster."""
        try:
            return bool(self._storage.set_trial_state_values(self._trials[number]._trial_id, OptunaState.RUNNING))
        except UpdateFinishedTrialError:
            return False
        finally:
            self._read_one(number)

    def note(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Keep JSON-able values with a trial that has not ended."""
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(self._trials[number]._trial_id, name, value)
        self._read_one(number)

    def end(self, number: int, state: OptunaState, values: Sequence[float] | None = None) -> None:
        """End a trial; one that has ended so before stays as it is: the answer was lost."""
        place = self._trials[number]._trial_id
        try:
            self._storage.set_trial_state_values(place, state, values)
        except UpdateFinishedTrialError:
            if self._storage.get_trial(place).state != state:
                raise
        self._read_one(number)

    def _read_one(self, number: int) -> None:
        self._keep(self._storage.get_trial(self._trials[number]._trial_id))

    def _keep(self, trial: FrozenTrial) -> None:
        number = int(trial.number)
        if number == len(self._trials):
            self._trials.append(trial)
        elif self._trials[number] is trial:
            return
        else:
            self._in_state[self._trials[number].state].discard(number)
            self._trials[number] = trial
        self._in_state[trial.state].add(number)
        self._changes.append(number)
