"""Perceptual evaluation of speech quality, ITU-T P.862, by the package `pesq`, which is no part of this one.

Narrow band (P.862.1) at 8 kHz, wide band (P.862.2) at 16 kHz, in MOS-LQO, about 1 to 4.64.
"""

from __future__ import annotations

from importlib.util import find_spec

from wordlength.errors import SpecError
from wordlength.objectives.goals.heard import Float32
from wordlength.objectives.goals.quality import Improvement

MODES = {8000: "nb", 16000: "wb"}
"""Sampling rate in Hz → narrow or wide band; P.862 knows no others."""
WORST_MOS = 1.0
"""What a sound counts in which PESQ finds no utterance."""


class Pesq(Improvement):
    """PESQ(clean, enhanced) − PESQ(clean, noisy)."""

    @staticmethod
    def require(sample_rate_hz: int) -> None:
        """Raise SpecError unless the package is here and the rate is one that P.862 has."""
        if find_spec("pesq") is None:
            raise SpecError(
                "pesq_improvement needs the package pesq, but it is not installed; pip install pesq (objectives)"
            )
        if sample_rate_hz not in MODES:
            rates = " or ".join(map(str, MODES))
            raise SpecError(f"pesq_improvement needs a sampling rate of {rates} Hz, but got {sample_rate_hz}")

    def score(self, clean: Float32, sound: Float32, sample_rate_hz: int) -> float:
        """MOS-LQO of `sound`."""
        self.require(sample_rate_hz)
        from pesq import PesqError, pesq

        found = float(pesq(sample_rate_hz, clean, sound, MODES[sample_rate_hz], on_error=PesqError.RETURN_VALUES))
        return found if found > 0 else WORST_MOS
