"""What measures a quality: a number for a set of mixtures, and what every mixture contributes to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.objectives.goals.goal import Goal
from wordlength.objectives.goals.heard import Heard
from wordlength.objectives.noise import standard_error


@dataclass(frozen=True)
class Measured:
    """A quality of a set of mixtures, its standard error, and what every mixture contributes (m,); their mean is it."""

    value: float
    standard_error: float
    per_mixture: DoubleArray

    @classmethod
    def mean_of(cls, gains: npt.ArrayLike) -> Measured:
        """One number per mixture."""
        per_mixture = np.asarray(gains, np.float64)
        return cls(float(per_mixture.mean()), standard_error(per_mixture), per_mixture)


class Quality(ABC):
    """Measures one goal on one set of mixtures; may keep what does not change from candidate to candidate."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal

    @abstractmethod
    def measure(self, heard: Sequence[Heard]) -> Measured:
        """Of these mixtures, one or more."""


class Score(Quality):
    """Per mixture score(clean, enhanced)."""

    @abstractmethod
    def score(self, clean: FloatArray, sound: FloatArray, sample_rate_hz: int) -> float:
        """How good `sound` is, both waveforms (samples,)."""

    def measure(self, heard: Sequence[Heard]) -> Measured:
        """Mean over the mixtures."""
        return Measured.mean_of([self._of(mixture) for mixture in heard])

    def _of(self, heard: Heard) -> float:
        return self.score(heard.clean, heard.enhanced, heard.sample_rate_hz)


class Improvement(Score):
    """Per mixture score(clean, enhanced) − score(clean, noisy); the noisy mixture's score is computed once."""

    def __init__(self, goal: Goal) -> None:
        super().__init__(goal)
        self._noisy: dict[int, float] = {}

    def _of(self, heard: Heard) -> float:
        if heard.number not in self._noisy:
            known = heard.noisy_scores.get(self.goal.name)
            noisy = self.score(heard.clean, heard.noisy, heard.sample_rate_hz) if known is None else known
            self._noisy[heard.number] = noisy
        return super()._of(heard) - self._noisy[heard.number]
