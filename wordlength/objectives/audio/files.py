"""Audio files: read as one channel at the rate that is asked for, and written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.atomic import naming
from wordlength.errors import DataError
from wordlength.objectives.audio.resampling import resampled

SAMPLE_RATE_HZ = 16000
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".sph", ".aif", ".aiff", ".mp3")
SILENCE_AMPLITUDE = 1e-5  # of full scale; half a step of 16-bit audio is 1.5e-5


def read_audio(path: Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> FloatArray:
    """Read one file (RIFF, NIST SPHERE, FLAC, Ogg, …) as mono float32 in [-1, 1], shape `(samples,)`.

    Channels are averaged; another sampling rate is resampled by a polyphase filter.
    Raises DataError for a file that is unreadable, empty or silent, or has NaN or infinite samples.
    """
    signal = read_unscaled(path, sample_rate_hz)
    # Float files and the resampling filter can exceed full scale; scaling keeps the waveform, clipping would not.
    return np.asarray(signal / max(1.0, float(np.abs(signal).max())), np.float32)


def read_unscaled(path: Path, sample_rate_hz: int, channel: int | None = None) -> DoubleArray:
    """As `read_audio`, but float64 and as loud as stored: for files whose levels belong together.

    `channel`: only this one, for what an average would spoil.
    """
    channels, stored_rate_hz = decode(path)
    return resampled(mono(channels, path, channel), stored_rate_hz, sample_rate_hz)


def mono(channels: FloatArray, path: Path, channel: int | None = None) -> DoubleArray:
    """Channels `(samples, channels)` as one signal `(samples,)`: their mean, or one of them.

    Raises DataError, naming the file, for what is empty or silent, or has NaN or infinite samples.
    """
    if channels.shape[0] == 0:
        raise DataError(f"audio files must not be empty, but got 0 samples ({path})")
    if not np.isfinite(channels).all():
        raise DataError(f"audio samples must be finite, but got NaN or infinity ({path})")
    signal = channels.mean(axis=1, dtype=np.float64) if channel is None else channels[:, channel].astype(np.float64)
    if np.abs(signal).max() < SILENCE_AMPLITUDE:
        raise DataError(
            f"audio files must not be silent, but no sample of {signal.size} reaches {SILENCE_AMPLITUDE:g} "
            f"of full scale ({path})"
        )
    return np.asarray(signal, np.float64)


def decode(path: Path) -> tuple[FloatArray, int]:
    """Samples of shape `(samples, channels)` and the stored sampling rate in Hz. Raises DataError."""
    try:
        with path.open("rb") as stream:
            header = stream.read(1024)
    except OSError as error:
        raise DataError(f"audio files must be readable, but got {error.strerror or error} ({path})") from error
    if not header:
        raise DataError(f"audio files must not be empty, but got 0 bytes ({path})")
    if header.startswith(b"NIST_1A") and b"shorten" in header:
        raise DataError(
            "SPHERE files must not be compressed, but got shorten coding; "
            f"decompress with `sph2pipe -f wav` or `w_decode -o pcm` ({path})"
        )
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise DataError(f"audio files must be in a known format, but {path.name} is not readable ({path})") from error
    return samples, int(rate_hz)


def write_wav(path: Path, signal: NDArray[np.floating], sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write samples in [-1, 1], shape `(samples,)`, as 16-bit mono WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Rounded here: the library would cut the fraction off.
    samples = np.clip(np.rint(signal * 32768.0), -32768, 32767).astype(np.int16)
    content = io.BytesIO()  # The library's own errors name neither file nor reason, as a full disk.
    soundfile.write(content, samples, sample_rate_hz, subtype="PCM_16", format="WAV")
    with naming(path):
        path.write_bytes(content.getvalue())
