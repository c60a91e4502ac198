"""Perceptual evaluation of speech quality, ITU-T P.862, by the package `pesq`, which is no part of this one.

Narrow band (P.862.1) at 8 kHz, wide band (P.862.2) at 16 kHz, in MOS-LQO, about 1 to 4.64.
"""

from __future__ import annotations

from wordlength.arrays import FloatArray
from wordlength.errors import SpecError
from wordlength.objectives.audio.scoring import has_pesq, mos_lqo
from wordlength.objectives.goals.quality import Improvement

RATES_HZ = (8000, 16000)
"""Of narrow and wide band; P.862 knows no others."""
WORST_MOS = 1.0
"""What a sound counts in which PESQ finds no utterance."""


class Pesq(Improvement):
    """PESQ(clean, enhanced) − PESQ(clean, noisy)."""

    @staticmethod
    def require(sample_rate_hz: int) -> None:
        """Raise SpecError unless the package is here and the rate is one that P.862 has."""
        if not has_pesq():
            raise SpecError(
                "pesq_improvement needs the package pesq, but it is not installed; "
                'pip install "wordlength[pesq]" (objectives)'
            )
        if sample_rate_hz not in RATES_HZ:
            rates = " or ".join(map(str, RATES_HZ))
            raise SpecError(f"pesq_improvement needs a sampling rate of {rates} Hz, but got {sample_rate_hz}")

    def score(self, clean: FloatArray, sound: FloatArray, sample_rate_hz: int) -> float:
        """MOS-LQO of `sound`."""
        self.require(sample_rate_hz)
        try:
            return mos_lqo(clean, sound, sample_rate_hz)
        except ValueError:
            return WORST_MOS
