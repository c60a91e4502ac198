"""Short-time objective intelligibility, by pystoi: Taal et al. 2011, and extended, Jensen & Taal 2016.

Between about 0 and 1. pystoi resamples to 10 kHz itself.
"""

from __future__ import annotations

import numpy as np
from pystoi import stoi

from wordlength.objectives.goals.heard import Float32
from wordlength.objectives.goals.quality import Improvement


class Stoi(Improvement):
    """STOI(clean, enhanced) − STOI(clean, noisy)."""

    extended = False

    def score(self, clean: Float32, sound: Float32, sample_rate_hz: int) -> float:
        """STOI of `sound`."""
        return float(stoi(clean, sound, sample_rate_hz, extended=self.extended))


class ExtendedStoi(Stoi):
    """The same with extended STOI, which follows modulated noise better."""

    extended = True

    def score(self, clean: Float32, sound: Float32, sample_rate_hz: int) -> float:
        """Extended STOI of `sound`, the same each time: pystoi adds noise of 1e-16 from NumPy's own generator to it."""
        state = np.random.get_state()
        try:
            np.random.seed(0)
            return super().score(clean, sound, sample_rate_hz)
        finally:
            np.random.set_state(state)
