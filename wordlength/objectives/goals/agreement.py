"""How estimates of a score agree with it: one estimate per mixture, the mean of its windows' outputs.

Such a figure belongs to the whole set. What a mixture contributes is its jackknife pseudo-value (Tukey 1958),
n θ − (n − 1) θ₋ᵢ, moved so that the mean is θ: standard errors and paired differences then hold as for any mean.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from wordlength.arrays import DoubleArray
from wordlength.objectives.goals.heard import Heard
from wordlength.objectives.goals.quality import Measured, Quality
from wordlength.objectives.noise import standard_error

Scores = DoubleArray


class Agreement(Quality):
    """A statistic over pairs of estimate and score."""

    @abstractmethod
    def statistic(self, estimates: Scores, wanted: Scores) -> float:
        """Of both (m,)."""

    def measure(self, heard: Sequence[Heard]) -> Measured:
        """Of the mixtures' means, with jackknife pseudo-values."""
        estimates, wanted = (
            np.array([np.mean(getattr(mixture, side), dtype=np.float64) for mixture in heard])
            for side in ("outputs", "targets")
        )
        whole, count = self.statistic(estimates, wanted), len(heard)
        if count < 3:  # A correlation of one pair is no figure.
            return Measured(whole, 0.0, np.full(count, whole))
        left_out = [self.statistic(np.delete(estimates, place), np.delete(wanted, place)) for place in range(count)]
        pseudo = count * whole - (count - 1) * np.array(left_out)
        return Measured(whole, standard_error(pseudo), pseudo - pseudo.mean() + whole)


class Pearson(Agreement):
    """Pearson's correlation; 0 where estimates or scores are all the same."""

    def statistic(self, estimates: Scores, wanted: Scores) -> float:
        """Between −1 and 1."""
        ours, theirs = estimates - estimates.mean(), wanted - wanted.mean()
        scale = np.sqrt((ours @ ours) * (theirs @ theirs))
        return float(np.clip(ours @ theirs / scale, -1, 1)) if scale > 0 else 0.0


class Spearman(Pearson):
    """Pearson's correlation of the ranks; equal values share theirs."""

    def statistic(self, estimates: Scores, wanted: Scores) -> float:
        """Between −1 and 1."""
        return super().statistic(rankdata(estimates), rankdata(wanted))


class RootMeanSquare(Agreement):
    """Root of the mean squared error, in the score's unit."""

    def statistic(self, estimates: Scores, wanted: Scores) -> float:
        """At least 0."""
        return float(np.sqrt(np.mean(np.square(estimates - wanted))))
