"""Weights of one model in a file of their own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from wordlength.atomic import write_atomically
from wordlength.objectives.report import Weights


def save_weights(path: Path, weights: Weights) -> None:
    """Keras' weights in order, written atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, *weights)
    write_atomically(path, buffer.getvalue())


def load_weights(path: Path) -> Weights | None:
    """Inverse of `save_weights`; None if there is no such file, or it cannot be read."""
    if not path.exists():
        return None
    try:
        # Opened here, because np.load leaves a damaged file open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return tuple(stored[f"arr_{number}"] for number in range(len(stored.files)))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
