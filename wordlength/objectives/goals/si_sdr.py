"""Scale-invariant signal-to-distortion ratio: Le Roux et al. 2019, "SDR - half-baked or well done?".

In dB: 10 log10(|α s|² / |α s - ŝ|²) with α = ⟨ŝ, s⟩ / |s|². No mean is taken off.
"""

from __future__ import annotations

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.objectives.goals.quality import Improvement
from wordlength.objectives.report import ratio_db

LIMIT_DB = 100.0
"""No ratio counts for more, nor below its negative: a perfect or an orthogonal sound would be infinite."""


class SiSdr(Improvement):
    """SI-SDR(clean, enhanced) − SI-SDR(clean, noisy)."""

    def score(self, clean: FloatArray, sound: FloatArray, sample_rate_hz: int) -> float:
        """SI-SDR of `sound` in dB, at most ±LIMIT_DB; -LIMIT_DB for silence."""
        wanted, given = clean.astype(np.float64), sound.astype(np.float64)
        energy = float(wanted @ wanted)
        share = wanted * (float(given @ wanted) / energy if energy else 0.0)
        distortion = share - given
        ratio = ratio_db(float(share @ share), float(distortion @ distortion)) if given.any() else -LIMIT_DB
        return float(np.clip(ratio, -LIMIT_DB, LIMIT_DB))
