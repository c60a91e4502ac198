"""The intelligibility objective: STOI improvement of masked over noisy speech.

Per mixture STOI(clean, enhanced) − STOI(clean, noisy), by pystoi (Taal et al. 2011, not extended), at
16 kHz; `enhanced` is the noisy spectrum times the mask, back in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pystoi import stoi

from wordlength.objectives.audio import SAMPLE_RATE_HZ, MixtureSet
from wordlength.objectives.audio.features import istft, stft
from wordlength.objectives.noise import standard_error


@dataclass(frozen=True)
class StoiImprovement:
    """Mean over mixtures, its standard error, and the improvement of every mixture (m,)."""

    mean: float
    standard_error: float
    per_mixture: npt.NDArray[np.float64]


class StoiMeter:
    """Measures masks on a fixed set of mixtures; the noisy spectra are computed once."""

    def __init__(self, mixtures: MixtureSet) -> None:
        self._mixtures = mixtures
        self._spectra = [stft(mixtures.mixture(number)[1]) for number in range(len(mixtures))]

    def improvement(self, masks: npt.NDArray[np.float32], mixtures: Sequence[int] | None = None) -> StoiImprovement:
        """Masks of all windows in order (windows, 129) → improvement. `mixtures`: those the masks are for, if not all.

        Raises ValueError if a mask is not finite, since pystoi would answer with a number all the same.
        """
        if not np.isfinite(masks).all():
            raise ValueError("masks must be finite, but the model's outputs are not")
        numbers = range(len(self._spectra)) if mixtures is None else mixtures
        counts = [len(self._spectra[number]) for number in numbers]
        gains = np.empty(len(counts))
        for place, (number, mask) in enumerate(zip(numbers, np.split(masks, np.cumsum(counts)[:-1]), strict=True)):
            clean, _ = self._mixtures.mixture(number)
            enhanced = istft(self._spectra[number] * mask, len(clean))
            gains[place] = stoi(clean, enhanced, SAMPLE_RATE_HZ) - self._mixtures.noisy_stoi[number]
        return StoiImprovement(float(gains.mean()), standard_error(gains), gains)
