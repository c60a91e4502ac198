"""What all layouts share: the clip, the parts' names, how files and tables are found; errors name what was expected."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wordlength.errors import DataError
from wordlength.objectives.audio.files import AUDIO_SUFFIXES

_T = TypeVar("_T")

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What the three parts are called elsewhere, in small letters."""
_OF_THE_DISK = "lost+found"
"""Lies at the top of a disk of one's own, for its administrator alone."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file and what must be known of it to split and mix fairly.

    | field  | speech                          | noise                                                    |
    | group  | speaker, e.g. `timit:fvmh0`     | class, e.g. `siren`                                      |
    | source | utterance, unique               | recording, e.g. `freesound:101415`; clips may share one  |
    | label  | `female`, `male` or `unknown`   | folder inside the corpus, e.g. `fold1`                   |
    | split  | part that the corpus itself puts it into: `train`, `validation`, `test`, or empty          |

    An impulse response has the room as its group and the folder of alike rooms as its label.
    """

    path: Path
    corpus: str
    group: str
    source: str
    label: str
    split: str = ""


def audio_files(root: Path) -> list[Path]:
    """All audio files below `root`, hidden ones left out, sorted by their relative names.

    Raises DataError for a folder that may not be read: what lies in it would be missed without a word.
    """
    files: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".") and name != _OF_THE_DISK]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    found = (file for file in files if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())


def _unreadable(error: OSError) -> None:
    raise DataError(f"a corpus's folders must be readable, but {error.filename} is not: {error.strerror}")


def top_folder(root: Path, file: Path) -> str | None:
    """The folder of `root` that holds the file, or None where it lies in `root` itself."""
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def with_children(root: Path) -> Iterator[Path]:
    """The folder itself, then its subfolders: people point at a corpus or at the folder that holds it."""
    yield root
    yield from sorted(child for child in root.iterdir() if child.is_dir())


def first_file(root: Path, relative: str, layout: str) -> Path:
    """The file of that name in `root` or a child of it. Raises DataError."""
    for folder in with_children(root):
        if (folder / relative).is_file():
            return folder / relative
    raise DataError(f"the corpus must hold {layout}, but {relative} was not found ({root})")


def rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV table that has at least these columns. Raises DataError."""
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"the table must have columns {', '.join(columns)}, but lacks {', '.join(missing)} ({table})"
            )
        return list(reader)


def found(clips: list[_T], root: Path, layout: str) -> list[_T]:
    """The clips, of which there must be some. Raises DataError with the layout that was expected."""
    if not clips:
        raise DataError(f"the corpus must hold {layout}, but no such file was found ({root})")
    return clips


def some_listed(clips: list[Clip], expected: Iterable[Path], table: Path) -> list[Clip]:
    """Small copies keep the full table, so a missing file is skipped; if all are missing, something is wrong."""
    if not clips:
        first = next(iter(expected), None)
        problem = f"none exists, e.g. {first}" if first else "it lists none"
        raise DataError(f"files listed in the table must exist, but {problem} ({table})")
    return clips


def class_name(text: str) -> str:
    """A noise class as it is written in tables: `Dog bark` is `dog_bark`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "noise"
