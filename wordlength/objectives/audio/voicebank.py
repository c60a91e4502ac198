"""VoiceBank-DEMAND (Valentini-Botinhão 2017): noisy and clean folders of 28 or 56 training and 2 test speakers."""

from __future__ import annotations

import math
import re
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio.listing import Clip, audio_files, class_name, found
from wordlength.objectives.audio.mixing import Mixture

_LAYOUT = "VoiceBank-DEMAND's clean_trainset_28spk_wav/p226_001.wav beside noisy_trainset_28spk_wav/p226_001.wav"
# Copies resampled to 16 kHz often append the rate; some leave the number of speakers out.
_FOLDER = re.compile(r"(?P<kind>clean|noisy)_(?P<set>(train|test)set(_\d+spk)?)_wav(_\w+)?")
_FILE = re.compile(r"(?P<speaker>p\d+)_\d+")
_LOG = re.compile(r"log_(train|test)set(_\d+spk)?\.txt")


def voicebank_speech(root: Path) -> list[Clip]:
    """The clean files of all sets; test speakers stay test speakers."""
    clean, _ = _sets(root)
    return found([_clean_clip(*key, clean[key]) for key in sorted(clean)], root, _LAYOUT)


def voicebank_pairs(root: Path) -> list[Mixture]:
    """Every noisy file with the clean one of its name; `log_testset.txt` and the like tell noise and level.

    A noise type is one recording, as DEMAND's are; without a log, the noise of every file counts as its own.
    Raises DataError for a noisy file without a clean one, and for a log that cannot be read.
    """
    clean, noisy = _sets(root)
    heard = _logs(root)
    pairs = []
    for (part, name), file in sorted(noisy.items()):
        if (part, name) not in clean:
            raise DataError(f"noisy files need a clean one of their name, but clean_{part}_wav has no {name} ({file})")
        speech = _clean_clip(part, name, clean[part, name])
        kind, level = heard.get(name, ("", None))
        source = f"voicebank:{kind}" if kind else f"voicebank:{part}/{name}"
        noise = Clip(file, "voicebank", class_name(kind), source, part, speech.split)
        pairs.append(Mixture(speech, noise, level, seed=0, given=True))
    return found(pairs, root, _LAYOUT)


def _sets(root: Path) -> tuple[dict[tuple[str, str], Path], dict[tuple[str, str], Path]]:
    """Clean and noisy files by set and name; of several copies the first counts."""
    files: dict[str, dict[tuple[str, str], Path]] = {"clean": {}, "noisy": {}}
    for file in audio_files(root):
        folders = (_FOLDER.fullmatch(folder.name) for folder in (file.parent, file.parent.parent))
        match = next((folder for folder in folders if folder), None)
        if match and _FILE.fullmatch(file.stem):
            files[match["kind"]].setdefault((match["set"], file.stem), file)
    return files["clean"], files["noisy"]


def _clean_clip(part: str, name: str, file: Path) -> Clip:
    match = _FILE.fullmatch(name)
    assert match is not None
    split = "test" if part.startswith("test") else "train"
    return Clip(file, "voicebank", f"voicebank:{match['speaker']}", f"voicebank:{name}", "unknown", split)


def _logs(root: Path) -> dict[str, tuple[str, float]]:
    """Per file name the noise type and the level in dB, from lines as `p226_001 babble 10`."""
    told = {}
    for log in sorted(file for file in root.rglob("log_*.txt") if _LOG.fullmatch(file.name)):
        for number, line in enumerate(log.read_text(encoding="utf-8-sig").splitlines(), 1):
            try:
                name, kind, level = line.split()
                told[name] = (kind, float(level))
                if not math.isfinite(told[name][1]):
                    raise ValueError(level)
            except ValueError:
                if line.strip():
                    raise DataError(
                        f"a log's lines must be as 'p226_001 babble 10', but got {line!r} ({log}, line {number})"
                    ) from None
    return told
