"""The built-in corpus: espeak-ng voices and synthetic noises, rendered once into the cache folder.

It lets a study run without any download. Layout: `speech/<speaker>/<nn>.wav` and `noise/<class>/<n>.wav`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wordlength.arrays import DoubleArray
from wordlength.objectives.audio import noises
from wordlength.objectives.audio.espeak import Espeak, Voice
from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, write_wav
from wordlength.objectives.audio.publishing import publish_folder
from wordlength.objectives.audio.resampling import resampled
from wordlength.objectives.audio.sentences import SENTENCES
from wordlength.stages import Progress

VERSION = 1  # part of the folder's name; raise it whenever the rendered samples change
SENTENCES_PER_SPEAKER = 6
RECORDINGS_PER_NOISE = 6
NOISE_SECONDS = 6.0
_SPEECH_LEVEL = 0.08  # root mean square
_MANIFEST = "manifest.json"


SPEAKERS: tuple[Voice, ...] = (
    Voice("anna", "female", "en-us", "f1", 50, 165),
    Voice("bella", "female", "en", "f2", 55, 175),
    Voice("chloe", "female", "en-gb-x-rp", "f3", 45, 160),
    Voice("dora", "female", "en-gb-scotland", "f5", 50, 170),
    Voice("elsie", "female", "en-029", "Annie", 60, 155),
    Voice("fiona", "female", "en-gb-x-gbclan", "linda", 40, 180),
    Voice("grace", "female", "en-us-nyc", "steph", 55, 170),
    Voice("hanna", "female", "en-gb-x-gbcwmd", "anika", 35, 185),
    Voice("ivan", "male", "en-us", "m1", 50, 160),
    Voice("jack", "male", "en", "m2", 45, 175),
    Voice("karl", "male", "en-gb-x-rp", "m3", 55, 165),
    Voice("liam", "male", "en-gb-scotland", "m4", 40, 180),
    Voice("milo", "male", "en-029", "m6", 60, 155),
    Voice("noah", "male", "en-gb-x-gbclan", "m7", 50, 170),
    Voice("otto", "male", "en-us-nyc", "m8", 45, 185),
    Voice("paul", "male", "en-gb-x-gbcwmd", "Alex", 55, 165),
)
BABBLERS: tuple[Voice, ...] = (  # heard only in the babble noise, never as a speaker
    Voice("babbler1", "female", "en-us", "Andrea", 50, 170),
    Voice("babbler2", "female", "en-gb-scotland", "belinda", 45, 180),
    Voice("babbler3", "female", "en", "aunty", 40, 160),
    Voice("babbler4", "male", "en", "m5", 50, 175),
    Voice("babbler5", "male", "en-us", "john", 45, 165),
    Voice("babbler6", "male", "en-gb-x-rp", "robert", 60, 170),
)
NOISES = ("babble", "engine", "hammering", "pink", "siren", "speech_shaped", "white")


def render(cache: Path, progress: Progress | None = None) -> Path:
    """Return the folder of the built-in corpus below `cache`, rendering it first if it is not there yet.

    Atomic: a killed render leaves nothing behind that a later call would take for complete.
    Raises DataError if espeakng_loader is not installed.
    """
    folder = cache / f"builtin-v{VERSION}"
    if not _is_complete(folder):
        with publish_folder(folder, _is_complete) as draft:
            _render_into(draft, progress or (lambda done, total: None))
    return folder


def _is_complete(folder: Path) -> bool:
    """Whether the folder holds every file of its manifest at its full size."""
    try:
        sizes_bytes: dict[str, int] = json.loads((folder / _MANIFEST).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes_bytes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _render_into(folder: Path, progress: Progress) -> None:
    total = len(SPEAKERS) + len(BABBLERS) + len(NOISES)
    engine = Espeak()
    try:
        # Fixed order: what espeak-ng says depends on what it said before.
        read: dict[str, list[DoubleArray]] = {}
        for number, voice in enumerate((*SPEAKERS, *BABBLERS)):
            read[voice.name] = _read_aloud(engine, voice, number)
            progress(len(read), total)
    finally:
        engine.close()
    speech = {voice.name: read[voice.name] for voice in SPEAKERS}
    for name, utterances in speech.items():
        for index, signal in enumerate(utterances):
            write_wav(folder / "speech" / name / f"{index:02d}.wav", signal)
    talkers = [read[voice.name] for voice in BABBLERS]
    for index, kind in enumerate(NOISES):
        for recording in range(RECORDINGS_PER_NOISE):
            rng = np.random.default_rng([VERSION, index, recording])
            signal = _noise(kind, rng, [x for group in speech.values() for x in group], talkers)
            write_wav(folder / "noise" / kind / f"{recording}.wav", signal)
        progress(len(read) + index + 1, total)
    _write_manifest(folder)


def _write_manifest(folder: Path) -> None:
    files = sorted(folder.rglob("*.wav"))
    sizes_bytes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
    (folder / _MANIFEST).write_text(json.dumps(sizes_bytes, indent=1) + "\n")


def _noise(
    kind: str, rng: np.random.Generator, speech: list[DoubleArray], talkers: list[list[DoubleArray]]
) -> DoubleArray:
    samples = int(NOISE_SECONDS * SAMPLE_RATE_HZ)
    match kind:
        case "white":
            return noises.white(samples, rng)
        case "pink":
            return noises.pink(samples, rng)
        case "speech_shaped":
            return noises.speech_shaped(samples, rng, speech)
        case "babble":
            return noises.babble(samples, rng, talkers)
        case "siren":
            return noises.siren(samples, rng)
        case "engine":
            return noises.engine(samples, rng)
        case "hammering":
            return noises.hammering(samples, rng)
        case _:
            raise AssertionError(f"no generator for noise {kind!r}")


def _read_aloud(engine: Espeak, voice: Voice, number: int) -> list[DoubleArray]:
    """The voice's sentences at 16 kHz; neighbouring voices read different ones."""
    first = number * SENTENCES_PER_SPEAKER
    texts = [SENTENCES[(first + k) % len(SENTENCES)] for k in range(SENTENCES_PER_SPEAKER)]
    return [_finish(engine.say(text, voice), engine.sample_rate_hz) for text in texts]


def _finish(signal: DoubleArray, rate_hz: int) -> DoubleArray:
    """Resample to 16 kHz, trim the pauses espeak-ng adds, and bring to one level."""
    trimmed = trim_silence(resampled(signal, rate_hz, SAMPLE_RATE_HZ))
    scaled = trimmed * (_SPEECH_LEVEL / np.sqrt(np.mean(trimmed**2)))
    return np.asarray(scaled * min(1.0, 0.95 / float(np.abs(scaled).max())))


def trim_silence(signal: DoubleArray, threshold: float = 0.003, margin_seconds: float = 0.02) -> DoubleArray:
    """Cut what lies before the first and after the last sample above `threshold` (of the peak), less a margin."""
    loud = np.flatnonzero(np.abs(signal) > threshold * np.abs(signal).max())
    margin = int(margin_seconds * SAMPLE_RATE_HZ)
    return signal[max(0, int(loud[0]) - margin) : int(loud[-1]) + margin + 1]
