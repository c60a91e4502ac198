"""The intelligibility objective: STOI improvement of enhanced over noisy speech.

Per mixture STOI(clean, enhanced) − STOI(clean, noisy), by pystoi (Taal et al. 2011, not extended), which resamples
from the study's rate to 10 kHz; how outputs become enhanced speech is in audio/targets.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pystoi import stoi

from wordlength.objectives.audio import MixtureSet
from wordlength.objectives.audio.targets import Enhancer
from wordlength.objectives.noise import standard_error


@dataclass(frozen=True)
class StoiImprovement:
    """Mean over mixtures, its standard error, and the improvement of every mixture (m,)."""

    mean: float
    standard_error: float
    per_mixture: npt.NDArray[np.float64]


class StoiMeter:
    """Measures a network's outputs on a fixed set of mixtures. Raises DataError where they make no sound."""

    def __init__(self, mixtures: MixtureSet) -> None:
        self._mixtures = mixtures
        self._enhancer = Enhancer(mixtures)

    def improvement(self, outputs: npt.NDArray[np.float32], mixtures: Sequence[int] | None = None) -> StoiImprovement:
        """Outputs of all windows in order (windows, outputs) → improvement. `mixtures`: those meant, if not all.

        Raises ValueError if an output is not finite, since pystoi would answer with a number all the same.
        """
        if not np.isfinite(outputs).all():
            raise ValueError("outputs must be finite, but the model's are not")
        numbers = range(len(self._mixtures)) if mixtures is None else mixtures
        counts = [self._enhancer.frames(number) for number in numbers]
        rate_hz = self._mixtures.signal.features.sample_rate_hz
        gains = np.empty(len(counts))
        for place, (number, part) in enumerate(zip(numbers, np.split(outputs, np.cumsum(counts)[:-1]), strict=True)):
            clean, _ = self._mixtures.mixture(number)
            enhanced = self._enhancer.enhanced(number, part)
            gains[place] = stoi(clean, enhanced, rate_hz) - self._mixtures.noisy_stoi[number]
        return StoiImprovement(float(gains.mean()), standard_error(gains), gains)
