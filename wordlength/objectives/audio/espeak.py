"""Speaks text through the espeak-ng library, in this process and without an audio device."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordlength.arrays import DoubleArray
from wordlength.errors import DataError

_OUTPUT_SYNCHRONOUS = 2  # samples go to the callback, on the calling thread
_DO_NOT_EXIT = 0x8000  # report a bad data path instead of ending the process
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_RATE, _PITCH = 1, 3  # parameter numbers of espeak_SetParameter
_SEED = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker: an espeak language, a voice variant, a pitch (0 to 99) and a rate (words per minute)."""

    name: str
    sex: str
    language: str
    variant: str
    pitch: int
    words_per_minute: int


class Espeak:
    """A private instance of the espeak-ng library.

    espeak-ng never resets its noise and vibrato counters, so what it says depends on all it has said before.
    Loading a private copy of the library gives counters of our own: the same calls in the same order
    give the same samples, whatever else this process has spoken.
    """

    def __init__(self) -> None:
        """Load the library; DataError if the package `espeakng_loader` is missing or does not work here."""
        try:
            import espeakng_loader
        except ImportError as error:
            raise DataError(
                "the built-in corpus needs espeak-ng, but espeakng_loader is not installed; "
                "hint: pip install wordlength[demo]"
            ) from error
        self._data = Path(espeakng_loader.get_data_path())
        self._library = _load_private_copy(Path(espeakng_loader.get_library_path()))
        self.sample_rate_hz = int(
            self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, str(self._data).encode(), _DO_NOT_EXIT)
        )
        if self.sample_rate_hz <= 0:
            raise DataError(f"espeak-ng must find its data, but initialising it failed ({self._data})")
        self._blocks: list[NDArray[np.int16]] = []
        self._callback = _CALLBACK(self._collect)  # kept: the library would call freed memory otherwise
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(_SEED)  # it seeds itself with the time of day

    def say(self, text: str, voice: Voice) -> DoubleArray:
        """Speak one sentence: samples in [-1, 1], shape `(samples,)`, at `self.sample_rate_hz`."""
        self._choose(voice)
        self._blocks.clear()
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != 0 or not self._blocks:
            raise DataError(f"espeak-ng must speak every sentence, but got status {status} for {text!r} ({voice.name})")
        return np.concatenate(self._blocks).astype(np.float64) / 32768.0

    def close(self) -> None:
        """Free the library's buffers."""
        self._library.espeak_Terminate()

    def _choose(self, voice: Voice) -> None:
        # espeak-ng quietly ignores a variant it does not know, so look for its file.
        if not (self._data / "voices" / "!v" / voice.variant).is_file():
            raise DataError(f"voice variants must exist in espeak-ng, but got {voice.variant!r} ({voice.name})")
        status = self._library.espeak_SetVoiceByName(f"{voice.language}+{voice.variant}".encode())
        if status != 0:
            raise DataError(f"voice languages must exist in espeak-ng, but got {voice.language!r} ({voice.name})")
        self._library.espeak_SetParameter(_RATE, voice.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short] | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on


def _load_private_copy(library: Path) -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp(prefix="wordlength-espeak-"))
    try:
        loaded = ctypes.CDLL(str(shutil.copy(library, folder / library.name)))
    except OSError as error:
        raise DataError(f"espeak-ng must load on this machine, but got {error} ({library})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a loaded library outlives its file
    loaded.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    loaded.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    loaded.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    loaded.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    loaded.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    return loaded
