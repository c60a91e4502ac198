"""Folders of the cache, which several processes may make at a time: there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wordlength.errors import DataError


@contextmanager
def publish_folder(final: Path, is_complete: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty temporary folder that takes the name `final` in one step when the block succeeds.

    A killed process leaves no half-written `final`. Of two processes that race, the first one's folder stays,
    for it may be in use already; a folder that is there but not `is_complete` is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name[:24]}-", dir=final.parent))
    try:
        yield draft
        draft.chmod(0o755)  # mkdtemp makes it private, but a cache may be shared
        _move_into_place(draft, final, is_complete)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move_into_place(draft: Path, final: Path, is_complete: Callable[[Path], bool]) -> None:
    for _ in range(10):
        try:
            os.replace(draft, final)
            return
        except OSError:
            if is_complete(final):
                return
            # A folder cannot replace a folder that has contents: move the old one aside, then try again.
            aside = Path(tempfile.mkdtemp(prefix=f".{final.name[:24]}-old-", dir=final.parent))
            with suppress(OSError):  # another process may just have moved it
                os.replace(final, aside)
            shutil.rmtree(aside, ignore_errors=True)
    raise DataError(f"cache folders must be writable, but this one could not be replaced ({final})")
