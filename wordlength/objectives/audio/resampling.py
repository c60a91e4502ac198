"""From one sampling rate to another."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from scipy.signal import resample_poly

from wordlength.arrays import DoubleArray, FloatArray

_Signal = TypeVar("_Signal", FloatArray, DoubleArray)


def resampled(signal: _Signal, stored_hz: int, wanted_hz: int) -> _Signal:
    """A signal `(samples,)` at another rate by a polyphase filter, of the same type; itself if that is its own."""
    if stored_hz == wanted_hz:
        return signal
    common = math.gcd(stored_hz, wanted_hz)
    return np.asarray(resample_poly(signal, wanted_hz // common, stored_hz // common), signal.dtype)
