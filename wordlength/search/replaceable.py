"""Whether what a command writes may take a folder's place: nothing is ever replaced but its own earlier output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from wordlength.atomic import require_elsewhere
from wordlength.errors import SpecError


def require_replaceable(folder: Path, what: str, foreign: Callable[[Path], Iterable[str]], force: bool) -> None:
    """Raise SpecError unless the folder is new or empty, or holds nothing but `what` and `force` lets it go.

    `what`: as "an export"; `foreign`: the names in a folder that are none of its files.
    """
    require_elsewhere(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SpecError(f"{what} goes into a folder, but {folder} is a file (--to)")
    if not os.access(folder, os.W_OK | os.X_OK):  # Else it would be found out when all has been computed.
        raise SpecError(f"the folder must be writable, but {folder} is not (--to)")
    if not any(folder.iterdir()):
        return
    if others := sorted(foreign(folder)):
        raise SpecError(f"the folder must be new or empty, but {folder} holds other files: {others[0]} (--to)")
    if not force:
        raise SpecError(f"the folder must be new or empty, but {folder} holds {what} (--force replaces it)")
