"""Who works on a study: each holds a lock that the kernel takes back when its process ends, however.

Launches need to know of each other. Others, as an export, only keep the study from being removed under them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wordlength.errors import SpecError
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


@contextmanager
def working(folder: StudyFolder, command: str) -> Iterator[None]:
    """Keep a launched study from being removed while the block works on it. `command`: what is told of whoever does.

    Where the folder is only readable, nobody is told. Raises SpecError if the study has just been removed.
    """
    own = folder.path / f"work-{uuid.uuid4().hex[:12]}.lock"
    with ExitStack() as left:
        try:
            handle = left.enter_context(own.open("w"))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS, errno.ENOENT):
                raise
        else:
            left.callback(folder.leave_if_removed)
            left.callback(own.unlink, missing_ok=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write(f"{command}, process {os.getpid()} on {socket.gethostname()}")
            handle.flush()
        folder.not_cleaned()
        _require_there(folder)
        yield


def user_of(folder: StudyFolder) -> str:
    """In words, who uses the study now, so that it must stay as it is; empty if nobody does."""
    if is_running(folder):
        return "being run"
    for path in sorted(folder.path.glob("work-*.lock")):
        if is_locked(path):
            with suppress(FileNotFoundError):  # It has just ended.
                return f"in use by {path.read_text(encoding='utf-8')}"
    return ""


def _require_there(folder: StudyFolder) -> None:
    if not folder.study_file.exists():
        raise SpecError(f"a study must be there to be worked on, but {folder.path.name!r} has just been removed")


def _file(folder: Path, driver: str) -> Path:
    return folder / f"driver-{driver}.lock"
