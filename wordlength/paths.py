"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: Path | str) -> Path:
    """With `~` as the user's folder. As in a shell, it stays as it is where there is none, or no user of that name."""
    return Path(os.path.expanduser(path))
