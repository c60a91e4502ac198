"""Which corpora a study reads: speech and noise to be mixed, mixtures that are given, rooms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wordlength.errors import DataError
from wordlength.strict import STRICT

SPEECH_KINDS = ("timit", "voicebank_demand", "dns_challenge", "folder", "manifest", "builtin")
NOISE_KINDS = ("urbansound8k", "esc", "dns_challenge", "folder", "manifest", "builtin")
PAIR_KINDS = ("voicebank_demand", "dns_challenge", "paired", "manifest")
CORPUS_KINDS = tuple(dict.fromkeys((*SPEECH_KINDS, *NOISE_KINDS)))


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """Which corpus to read, and from where. Raises DataError for fields that do not fit each other."""

    __pydantic_config__: ClassVar = STRICT

    kind: str
    """Layout. Speech: timit, voicebank_demand, dns_challenge, folder (any tree of audio files), manifest (a CSV file)
    or builtin (made by espeak-ng). Noise: urbansound8k, esc, dns_challenge, folder, manifest or builtin."""
    path: Path | None = None
    """The corpus folder, or the manifest's CSV file; none for builtin."""
    limit: int | None = None
    """Only the first so many speakers, in turn from both sexes, or recordings of each noise class."""

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        if self.kind not in CORPUS_KINDS:
            raise DataError(f"corpus kind must be one of {', '.join(CORPUS_KINDS)}, but got {self.kind!r}")
        if self.kind == "builtin" and self.path is not None:
            raise DataError(f"the builtin corpus takes no path, but got {self.path}")
        if self.kind != "builtin" and self.path is None:
            raise DataError(f"corpus kind {self.kind!r} needs a path, but got none")
        _require_limit(self.limit, self.kind)


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Which corpus of noisy and clean files to read. Raises DataError for fields that do not fit each other."""

    __pydantic_config__: ClassVar = STRICT

    kind: str
    """Layout: voicebank_demand, dns_challenge, paired (two folders with equal names) or manifest (a CSV file)."""
    path: Path
    """The corpus folder, or the manifest's CSV file."""
    clean: str = "clean"
    """Of the layout paired: the folder of the clean files."""
    noisy: str = "noisy"
    """Of the layout paired: the folder of the noisy files."""
    limit: int | None = None
    """Only the first so many speakers, in turn from all parts that the corpus has."""

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        if self.kind not in PAIR_KINDS:
            raise DataError(f"pairs must be one of {', '.join(PAIR_KINDS)}, but got {self.kind!r}")
        names = (self.clean, self.noisy)
        if self.kind != "paired" and names != ("clean", "noisy"):
            raise DataError(f"folders are named in the layout paired only, but got {', '.join(names)} ({self.kind})")
        if "" in names or self.clean == self.noisy:
            raise DataError(f"clean and noisy must name two folders, but got {self.clean!r} and {self.noisy!r}")
        _require_limit(self.limit, self.kind)


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """A folder of room impulse responses: one folder per room, or one file per room."""

    __pydantic_config__: ClassVar = STRICT

    path: Path
    """The folder; what lies in one of its folders is measured in one room."""


def _require_limit(limit: int | None, kind: str) -> None:
    if limit is not None and limit < 1:
        raise DataError(f"limit must be at least 1, but got {limit} (corpus {kind})")
