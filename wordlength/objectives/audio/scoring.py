"""Intrusive scores of a noisy or enhanced signal against the clean one: STOI and PESQ."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pystoi import stoi

from wordlength.arrays import FloatArray
from wordlength.errors import DataError
from wordlength.objectives.audio.resampling import resampled

# pystoi compares stretches of 30 spectra; 30 spectra of 256 samples, 128 apart, left after its silence removal take
# 4097 samples at its own rate.
_STOI_RATE_HZ = 10_000
_STOI_SAMPLES = 4097
_WIDEBAND_HZ, _NARROWBAND_HZ = 16_000, 8_000


def shortest_samples(sample_rate_hz: int) -> int:
    """Samples of the shortest clip that STOI can score: the first from which pystoi's resampler makes enough."""
    return (_STOI_SAMPLES - 1) * sample_rate_hz // _STOI_RATE_HZ + 1


def intelligibility(clean: FloatArray, degraded: FloatArray, sample_rate_hz: int, extended: bool = False) -> float:
    """STOI (Taal et al. 2011), or extended (Jensen & Taal 2016), by pystoi, which resamples to 10 kHz itself.

    The same each time: for the extended one pystoi adds noise of 1e-16 from NumPy's own generator.
    """
    state = np.random.get_state()
    try:
        np.random.seed(0)
        return float(stoi(clean, degraded, sample_rate_hz, extended=extended))
    finally:
        np.random.set_state(state)


def mos_lqo(clean: FloatArray, degraded: FloatArray, sample_rate_hz: int) -> float:
    """PESQ, wideband (ITU-T P.862.2) from 16 kHz on, else narrowband (P.862.1), in MOS-LQO, about 1 to 4.64.

    Raises ValueError, with PESQ's own words, where it finds no utterance.
    """
    from pesq import PesqError, pesq

    band, rate_hz = ("wb", _WIDEBAND_HZ) if sample_rate_hz >= _WIDEBAND_HZ else ("nb", _NARROWBAND_HZ)
    signals = [resampled(signal, sample_rate_hz, rate_hz) for signal in (clean, degraded)]
    try:
        return float(pesq(rate_hz, *signals, band))
    except PesqError as error:
        raise ValueError(error) from None


def has_pesq() -> bool:
    """Whether the package pesq is installed, which is no part of this one."""
    return find_spec("pesq") is not None


def stoi_of(clean: FloatArray, degraded: FloatArray, sample_rate_hz: int, path: Path) -> float:
    """STOI (Taal et al. 2011, not extended) of one mixture; `path` names the clip in the error.

    Raises DataError where too little speech is left for one stretch of 30 spectra:
    pystoi would answer 1e-5, which looks like a score.
    """
    seconds = f"{clean.size / sample_rate_hz:.2f} s"
    if clean.size < shortest_samples(sample_rate_hz):
        raise _too_short(seconds, sample_rate_hz, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return intelligibility(clean, degraded, sample_rate_hz)
        except RuntimeWarning as warning:
            raise _too_short(f"{seconds} with too many pauses", sample_rate_hz, path) from warning


def pesq_of(clean: FloatArray, degraded: FloatArray, sample_rate_hz: int, path: Path) -> float:
    """PESQ of one mixture (`mos_lqo`); `path` as above.

    Raises DataError without the package pesq, or for a clip that it finds no speech in.
    """
    require_measure("pesq")
    try:
        return mos_lqo(clean, degraded, sample_rate_hz)
    except ValueError as error:
        raise DataError(f"clips must be such that PESQ can score them, but it says {error} ({path})") from None


def score_of(measure: str, clean: FloatArray, degraded: FloatArray, sample_rate_hz: int, path: Path) -> float:
    """What a mixture scores by `stoi` or `pesq`. Raises DataError."""
    match measure:
        case "stoi":
            return stoi_of(clean, degraded, sample_rate_hz, path)
        case "pesq":
            return pesq_of(clean, degraded, sample_rate_hz, path)
        case _:
            raise AssertionError(f"no measure {measure!r}")


def require_measure(measure: str) -> None:
    """Raises DataError where what a measure needs is not installed."""
    if measure == "pesq" and not has_pesq():
        raise DataError('measure pesq needs the package pesq, but it is not installed; pip install "wordlength[pesq]"')


def _too_short(length: str, sample_rate_hz: int, path: Path) -> DataError:
    shortest_seconds = shortest_samples(sample_rate_hz) / sample_rate_hz
    return DataError(
        f"clips need at least {shortest_seconds:.2f} s of speech within 40 dB of its loudest "
        f"frame to be scored by STOI, but got {length} ({path})"
    )
