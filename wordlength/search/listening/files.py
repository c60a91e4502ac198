"""The files of a listening: sounds, a picture and what is known, a folder for each clip where there are several."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordlength.search.front import FrontPoint
from wordlength.search.replaceable import require_replaceable

if TYPE_CHECKING:
    from wordlength.objectives.listening import HeardClip

FACTS, PICTURE = "clip.json", "picture.png"
_OURS = re.compile(r"(clean|noisy|float|quantized[\w.-]*)\.wav|clip\.json|picture\.png")


@dataclass(frozen=True)
class Voice:
    """A trial as it is heard: the name of its file, the rule that picked it, and whether its weights are retrained."""

    name: str
    rule: str
    point: FrontPoint
    retrained: bool

    @property
    def title(self) -> str:
        """In a table or above a picture: `trial 12 (knee)`."""
        return f"trial {self.point.number}" + ("" if self.rule.startswith("trial=") else f" ({self.rule})")

    @property
    def facts(self) -> dict[str, Any]:
        """Which trial it is, in JSON types."""
        return {
            "pick": self.rule,
            "trial": self.point.number,
            "retrained": self.retrained,
            "memory_bytes": self.point.memory_bytes,
            "candidate_digest": self.point.candidate.digest,
            "formats": self.point.candidate.to_dict(),
        }


def facts_of(clip: HeardClip, voices: Sequence[Voice]) -> dict[str, Any]:
    """All that is known of a clip itself, in JSON types."""
    told = {voice.name: voice.facts for voice in voices}
    return {
        "clip": clip.number,
        "mixture": clip.name,
        "speaker": clip.speaker,
        "utterance": clip.utterance,
        "noise": clip.noise_class,
        "snr_db": clip.snr_db,
        "seconds": clip.seconds,
        "sample_rate_hz": clip.sample_rate_hz,
        "gain_db": 20 * math.log10(clip.gain),
        "target": clip.signal.target.kind,
        "sounds": {
            sound.name: {"file": f"{sound.name}.wav", "stoi": sound.stoi} | told.get(sound.name, {})
            for sound in clip.sounds
        },
    }


def write_clips(
    folder: Path, clips: Sequence[HeardClip], facts: Sequence[Mapping[str, Any]], voices: Sequence[Voice]
) -> None:
    """Into a new folder. `facts`: of each clip."""
    folder.mkdir()
    for clip, fact in zip(clips, facts, strict=True):
        _write(folder / f"clip-{clip.number}" if len(clips) > 1 else folder, clip, fact, voices)


def require_replaceable_by_clips(folder: Path, force: bool) -> None:
    """Nothing but an earlier listening is ever replaced. Raises SpecError."""
    require_replaceable(folder, "a listening", _foreign, force)


def _foreign(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        clip = path.is_dir() and re.fullmatch(r"clip-\d+", path.name)
        yield from (inner.name for inner in (path.iterdir() if clip else [path]) if not _OURS.fullmatch(inner.name))


def _write(place: Path, clip: HeardClip, facts: Mapping[str, Any], voices: Sequence[Voice]) -> None:
    from wordlength.objectives.audio.files import write_wav
    from wordlength.search.listening.picture import clip_png

    place.mkdir(exist_ok=True)
    for sound in clip.sounds:
        write_wav(place / f"{sound.name}.wav", sound.samples * clip.gain, clip.sample_rate_hz)
    titles = {"float": "float32"} | {voice.name: voice.title for voice in voices}
    (place / PICTURE).write_bytes(clip_png(clip, titles))
    (place / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
