"""Ideal masks: per bin of a frame, the share of the noisy spectrum that belongs to the speech, in [0, 1].

All take complex64 spectra `(frames, bins)` and give float32 `(frames, bins)`; a silent bin has the mask 0.
"""

from __future__ import annotations

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.objectives.audio.features import Spectrum, power

Mask = FloatArray


def ideal_ratio_mask(clean_spectrum: Spectrum, noise_spectrum: Spectrum) -> Mask:
    """sqrt(S² / (S² + N²)).

    After Wang, Narayanan & Wang (2014), "On training targets for supervised speech separation", with β = 0.5.
    """
    speech, noise = power(clean_spectrum), power(noise_spectrum)
    total = speech + noise
    share = np.divide(speech, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.sqrt(share), np.float32)


def ideal_binary_mask(clean_spectrum: Spectrum, noise_spectrum: Spectrum, criterion_db: float) -> Mask:
    """1 where S² / N² is above the local criterion, else 0 (Wang, Narayanan & Wang 2014)."""
    threshold = power(noise_spectrum) * np.float32(10 ** (criterion_db / 10))
    return np.asarray(power(clean_spectrum) > threshold, np.float32)


def phase_sensitive_mask(clean_spectrum: Spectrum, noise_spectrum: Spectrum) -> Mask:
    """|S| / |Y| · cos(θ_S − θ_Y), clipped to [0, 1], with Y = S + N.

    The real factor that brings Y nearest to S. After Erdogan et al. (2015), "Phase-sensitive and
    recognition-boosted speech separation using deep recurrent neural networks".
    """
    noisy = clean_spectrum + noise_spectrum
    total = power(noisy)
    in_phase = clean_spectrum.real * noisy.real + clean_spectrum.imag * noisy.imag
    factor = np.divide(in_phase, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.clip(factor, 0, 1), np.float32)
