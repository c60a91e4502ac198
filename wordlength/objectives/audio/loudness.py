"""What is heard in one audio file: how long, how loud, how much of it clipped or silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.digests import file_sha256
from wordlength.errors import DataError
from wordlength.objectives.audio.files import decode, mono

FULL_SCALE = 0.999
CLIPPED_RUN = 3
"""So many samples in a row at full scale count as clipped: a single one is a peak."""
SILENCE_DB = 40.0
"""A frame so far below the file's loudest one is silent, as in STOI (Taal et al. 2011)."""
FRAME_SECONDS = 0.0256
"""STOI's frame: 256 samples at 10 kHz."""


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One file. `problem` says why it cannot be used; the figures are 0 then, but for an empty string in a usable one.

    level_dbfs: root mean square over the whole file, in dB of full scale. active_seconds: what is not silent.
    sha256: of the file's bytes, empty where they cannot be read.
    """

    seconds: float = 0.0
    rate_hz: int = 0
    level_dbfs: float = 0.0
    clipped: bool = False
    active_seconds: float = 0.0
    sha256: str = ""
    problem: str = ""


Figures = Mapping[Path, FileFigures]


def measure_file(path: Path) -> FileFigures:
    """Read one file and measure it; whatever is wrong with it is told, not raised."""
    sha256 = ""
    try:
        sha256 = file_sha256(path)
        channels, rate_hz = decode(path)
        signal = mono(channels, path)
    except DataError as error:
        return FileFigures(sha256=sha256, problem=str(error))
    except OSError as error:
        return FileFigures(problem=f"audio files must be readable, but got {error.strerror or error} ({path})")
    frame = max(1, round(FRAME_SECONDS * rate_hz))
    return FileFigures(
        seconds=signal.size / rate_hz,
        rate_hz=rate_hz,
        level_dbfs=float(10 * np.log10(np.mean(signal**2))),
        clipped=_is_clipped(channels),
        active_seconds=min(signal.size, _active_frames(signal, frame) * frame) / rate_hz,
        sha256=sha256,
    )


def _is_clipped(channels: FloatArray) -> bool:
    """Whether any channel stays at full scale, above or below, for `CLIPPED_RUN` samples."""
    for extreme in (channels >= FULL_SCALE, channels <= -FULL_SCALE):
        ends = len(extreme) - CLIPPED_RUN + 1
        if ends > 0 and np.logical_and.reduce([extreme[k : k + ends] for k in range(CLIPPED_RUN)]).any():
            return True
    return False


def _active_frames(signal: DoubleArray, frame: int) -> int:
    frames = np.pad(signal, (0, -signal.size % frame)).reshape(-1, frame)
    energy = np.mean(frames**2, axis=1)
    return int(np.count_nonzero(energy > energy.max() * 10 ** (-SILENCE_DB / 10)))
