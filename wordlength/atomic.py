"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wordlength.errors import SpecError


def write_atomically(path: Path, content: bytes, private: bool = False) -> None:
    """Write beside `path`, then rename: a killed process leaves the old file or none.

    Where a link leads, the link stays; what is no file, such as a pipe or /dev/null, is written into as it is.
    `private`: nobody but the user may read it.
    """
    path = Path(os.path.realpath(path))
    if is_special(path):
        with naming(path):
            path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            if private:
                beside.touch(mode=0o600)
            beside.write_bytes(content)
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def is_special(path: Path) -> bool:
    """Whether a device, pipe or socket is there, which no file may take the place of."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the system that name no file, such as a full disk's, this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def require_elsewhere(folder: Path) -> None:
    """Raise SpecError for the working directory, or one above it: `replacing` would take it away under the shell.

    And for a link that leads to itself, which is never a folder. `folder`: its real path.
    """
    if folder.is_symlink():
        raise SpecError(f"a link must lead somewhere, but {folder} leads to itself (--to)")
    if Path.cwd().is_relative_to(folder):
        raise SpecError(f"a folder that is written whole must not be the working directory, but {folder} is (--to)")


@contextmanager
def _parents_of(folder: Path) -> Iterator[None]:
    """Make what folders are missing above; where the block fails, they go again."""
    missing = [place for place in folder.parents if not place.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # Somebody else has written there.
                place.rmdir()
        raise


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Where the block writes a new folder, which takes the place of `folder` when it ends.

    Where that cannot be, or the block fails, the folder stays as it was.
    """
    with (
        _parents_of(folder),
        naming(folder),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place,
    ):
        draft, replaced = Path(place) / "new", Path(place) / "replaced"
        yield draft
        there = folder.exists()
        if there:
            folder.rename(replaced)
        try:
            draft.rename(folder)
        except BaseException:  # Ctrl-C too: the draft goes with the temporary folder, the old one must not.
            if there and not folder.exists():
                replaced.rename(folder)
            raise
