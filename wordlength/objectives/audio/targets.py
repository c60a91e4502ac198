"""What a network learns about a mixture, and the way back from its outputs to sound, or to a score.

Masks are factors for the noisy spectrum. `spectrum` is direct mapping: the clean log-magnitude spectrum, standardised
per bin with the training frames' moments, goes back to sound with the noisy phase (Xu et al. 2014, "An experimental
study on speech enhancement based on deep neural networks"). `score` is one number per mixture, estimated on segments of
the noisy speech alone, as DNSMOS does (Reddy, Gopal & Cutler 2021).
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.errors import DataError
from wordlength.objectives.audio.features import Spectrum, istft, log_magnitude, stft
from wordlength.objectives.audio.masks import ideal_binary_mask, ideal_ratio_mask, phase_sensitive_mask
from wordlength.objectives.audio.prepared import FrameSet, MixtureSet
from wordlength.objectives.audio.signal_settings import TargetSettings


def frame_targets(clean_spectrum: Spectrum, noisy_spectrum: Spectrum, settings: TargetSettings) -> FloatArray:
    """The target of every frame, not yet standardised: `(frames, bins)` spectra → float32 `(frames, bins)`.

    Raises ValueError for `score`, which frames have none of their own.
    """
    noise_spectrum = noisy_spectrum - clean_spectrum
    match settings.kind:
        case "irm":
            return ideal_ratio_mask(clean_spectrum, noise_spectrum)
        case "ibm":
            return ideal_binary_mask(clean_spectrum, noise_spectrum, settings.criterion)
        case "psm":
            return phase_sensitive_mask(clean_spectrum, noise_spectrum)
        case "spectrum":
            return log_magnitude(clean_spectrum)
        case "score":
            raise ValueError("frames must have targets of their own, but target kind score is of whole mixtures")
        case _:
            assert_never(settings.kind)


class Enhancer:
    """Turns a network's outputs into enhanced waveforms of a fixed set of mixtures; a noisy spectrum is computed once.

    Raises DataError where the outputs are no spectra or masks, but scores.
    """

    def __init__(self, mixtures: MixtureSet) -> None:
        self._signal = mixtures.signal
        if self._signal.target.outputs_per_mixture:
            raise DataError(
                f"only masks and spectra make enhanced speech, but target kind is {self._signal.target.kind}"
            )
        self._mixtures = mixtures
        self._spectra: dict[int, Spectrum] = {}

    def enhanced(self, number: int, outputs: FloatArray) -> FloatArray:
        """Outputs for all windows of a mixture `(frames, outputs)` → its enhanced waveform, float32 `(samples,)`."""
        spectrum = self._spectrum(number)
        enhanced = spectrum * outputs if self._signal.target.is_mask else self._remade(spectrum, outputs)
        return istft(enhanced, len(self._mixtures.mixture(number)[1]), self._signal.features)

    def _spectrum(self, number: int) -> Spectrum:
        """Of the noisy mixture; of one that nobody asks for there is none."""
        if number not in self._spectra:
            self._spectra[number] = stft(self._mixtures.mixture(number)[1], self._signal.features)
        return self._spectra[number]

    def _remade(self, noisy: Spectrum, outputs: FloatArray) -> Spectrum:
        """The estimated magnitude with the noisy phase, 0 where nothing was heard."""
        logarithm = outputs * self._signal.target_std + self._signal.target_mean
        # No signal within full scale exceeds the sum of the window's samples, and an unbounded estimate might overflow.
        loudest = math.log(self._signal.features.frame_samples / 2)
        magnitude = np.exp(np.minimum(logarithm, np.float32(loudest)))
        heard = np.abs(noisy)
        gain = np.divide(magnitude, heard, out=np.zeros_like(heard), where=heard > 0)
        return np.asarray(noisy * gain, np.complex64)


def scores(frames: FrameSet, outputs: FloatArray | None = None) -> DoubleArray:
    """Per mixture, the mean of the estimates for its windows `(windows, 1)` → float64 `(mixtures,)`.

    Without outputs, the scores that were to be estimated.
    """
    values = frames.targets[frames.windows] if outputs is None else outputs
    if values.shape != (frames.windows.size, 1):
        raise ValueError(f"scores must have shape {(frames.windows.size, 1)}, but got {values.shape}")
    sums = np.bincount(frames.mixture_of_window, weights=values[:, 0].astype(np.float64))
    return np.asarray(sums / np.bincount(frames.mixture_of_window), np.float64)
