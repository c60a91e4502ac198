"""One thing that lies in a project's folder and can be removed as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What something on disk is."""

    STUDY = "study"
    BASELINE = "float baseline"
    DATA = "prepared data"
    SPEECH = "built-in speech"
    DRAFT = "half-written"
    FOLDER = "folder without study"
    TRIALS = "trials without study"
    EXPERIMENT = "experiment without study"
    TRASH = "MLflow's trash"
    ARTIFACTS = "artifacts without run"

    @property
    def is_cache(self) -> bool:
        """Whether it is made again when it is needed."""
        return self in (Kind.BASELINE, Kind.DATA, Kind.SPEECH)


@dataclass(frozen=True)
class Item:
    """One thing that can be removed as a whole.

    `paths`: files and folders of it, `size_bytes` theirs together; `used`: when any of them was last written.
    `users`: studies that need it; `busy`: in words, who may be using it now, so that it stays, empty if nobody is.
    `told`: what else there is to say of it.
    """

    kind: Kind
    name: str
    paths: tuple[Path, ...]
    size_bytes: int
    used: datetime | None
    users: tuple[str, ...] = ()
    busy: str = ""
    told: str = ""

    @property
    def live(self) -> bool:
        """Whether somebody may be using it now."""
        return self.busy != ""

    @property
    def key(self) -> tuple[Kind, str]:
        """What tells it from other things."""
        return self.kind, self.name

    def to_json(self, root: Path) -> dict[str, Any]:
        """JSON-able, paths from the project's folder on."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "paths": [os.path.relpath(path, root) for path in self.paths],
            "bytes": self.size_bytes,
            "used": self.used and self.used.isoformat(timespec="seconds"),
            "users": list(self.users),
            "busy": self.busy,
            "told": self.told,
        }


def item_of(kind: Kind, name: str, paths: Sequence[Path], **known: Any) -> Item:
    """The thing at these paths, as it is now."""
    times = [state.st_mtime for path in paths for state in states_in(path)]
    used = datetime.fromtimestamp(max(times)) if times else None
    return Item(kind, name, tuple(paths), size_of(paths), used, **known)


def states_in(path: Path) -> Iterator[os.stat_result]:
    """Of a file itself, or of all files below a folder; what is being removed meanwhile counts no more."""
    for file in _files_in(path):
        with suppress(FileNotFoundError):
            yield file.lstat()


def _files_in(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
    else:
        for place, folders, files in os.walk(path):
            yield from (Path(place) / name for name in files)
            yield from (link for name in folders if (link := Path(place) / name).is_symlink())


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files, and of all in folders."""
    return sum(state.st_size for path in paths for state in states_in(path))


def counted(count: int, what: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def counted_trials(begun: int, queued: int) -> str:
    """ "41 trials and 3 queued": those that were begun, and the candidates that wait, if any."""
    return counted(begun, "trial") + (f" and {queued:,} queued" if queued else "")
