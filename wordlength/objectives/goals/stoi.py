"""Short-time objective intelligibility, by pystoi: Taal et al. 2011, and extended, Jensen & Taal 2016.

Between about 0 and 1. pystoi resamples to 10 kHz itself.
"""

from __future__ import annotations

from wordlength.objectives.audio.scoring import intelligibility
from wordlength.objectives.goals.heard import Float32
from wordlength.objectives.goals.quality import Improvement, Score


class Stoi(Score):
    """STOI(clean, enhanced), whether or not that is more than the noisy mixture has."""

    extended = False

    def score(self, clean: Float32, sound: Float32, sample_rate_hz: int) -> float:
        """STOI of `sound`, or extended STOI."""
        return intelligibility(clean, sound, sample_rate_hz, self.extended)


class StoiImprovement(Improvement, Stoi):
    """STOI(clean, enhanced) − STOI(clean, noisy)."""


class ExtendedStoiImprovement(StoiImprovement):
    """The same with extended STOI, which follows modulated noise better."""

    extended = True
