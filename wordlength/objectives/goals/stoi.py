"""Short-time objective intelligibility, by pystoi: Taal et al. 2011, and extended, Jensen & Taal 2016.

Between about 0 and 1. pystoi resamples to 10 kHz itself.
"""

from __future__ import annotations

from wordlength.arrays import FloatArray
from wordlength.objectives.audio.scoring import intelligibility
from wordlength.objectives.goals.quality import Improvement, Score


class Stoi(Score):
    """STOI(clean, enhanced), whether or not that is more than the noisy mixture has."""

    extended = False

    def score(self, clean: FloatArray, sound: FloatArray, sample_rate_hz: int) -> float:
        """STOI of `sound`, or extended STOI."""
        return intelligibility(clean, sound, sample_rate_hz, self.extended)


class StoiImprovement(Improvement, Stoi):
    """STOI(clean, enhanced) − STOI(clean, noisy)."""


class ExtendedStoiImprovement(StoiImprovement):
    """The same with extended STOI, which follows modulated noise better."""

    extended = True
