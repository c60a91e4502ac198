"""Which launches of a study are alive: each holds a lock that the kernel takes back when its process ends, however."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wordlength.search.home import StudyFolder, is_locked

LOOKING_ON = "none"
"""The id of whoever is no launch."""


@dataclass
class Drivers:
    """This launch, `id`, among those of its study.

    `folder`: holds a file per launch, locked while it lives; `shared`: there may be others.
    """

    folder: Path
    id: str
    shared: bool = False

    def is_nobodys(self, driver: str | None) -> bool:
        """Whether a running trial that this launch does not run is run by none. `driver`: whose it says it is.

        One that says nothing was being asked for when its launch died, or its connection: whoever asks takes
        turns (`home.Turn.TAKE`), and so must whoever decides here.
        """
        return driver is None or driver == self.id or not is_locked(_file(self.folder, driver))

    @property
    def alone(self) -> bool:
        """Whether no other launch of the study is alive."""
        own = _file(self.folder, self.id)
        return not any(is_locked(path) for path in self.folder.glob(_file(self.folder, "*").name) if path != own)


@contextmanager
def joined(folder: Path, shared: bool = False) -> Iterator[Drivers]:
    """Be one of the study's launches while the block runs. `shared`: there may be others."""
    driver = uuid.uuid4().hex[:12]
    own = _file(folder, driver)
    with own.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield Drivers(folder, driver, shared)
        finally:
            own.unlink(missing_ok=True)


def is_running(folder: StudyFolder) -> bool:
    """Whether a launch of this study runs, on this machine or on another one that shares its folder."""
    return folder.is_live() or not Drivers(folder.path, LOOKING_ON).alone


def _file(folder: Path, driver: str) -> Path:
    return folder / f"driver-{driver}.lock"
