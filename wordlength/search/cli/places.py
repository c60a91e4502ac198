"""Files that a command is asked to write: refused at once if they cannot be, not after an hour's work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from wordlength.atomic import is_special
from wordlength.errors import SpecError

STANDARD_OUTPUT = Path("-")


def require_places(**files: Path | None) -> None:
    """Refuse at once what could not be written in the end; keywords are the options' names."""
    for option, file in files.items():
        if file is None:
            continue
        if file == STANDARD_OUTPUT:
            if sys.stdout is None:
                raise SpecError(f"standard output must be open to be written to, but it is closed (--{option} -)")
            continue
        if is_special(file):
            continue  # Written into, as /dev/null.
        folder = Path(os.path.realpath(file)).parent
        if not folder.is_dir():
            raise SpecError(f"a file's folder must exist, but {_told(file, folder)} does not (--{option})")
        if file.is_dir():
            raise SpecError(f"a file to write must not be a folder, but {file} is (--{option})")
        if not os.access(folder, os.W_OK):
            raise SpecError(f"a file's folder must be writable, but {_told(file, folder)} is not (--{option})")


def _told(file: Path, folder: Path) -> Path:
    """The folder as the user named it, unless a link leads elsewhere."""
    return folder if file.is_symlink() else file.parent
