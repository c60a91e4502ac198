"""What a misspelt name may have meant: a study that was launched, or a study file nearby."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

_LIKENESS = 0.6
"""Least share of letters in common, as `difflib` counts it."""


def near_name(name: str, known: Iterable[str]) -> str:
    """The known name most like it; empty if none is."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=_LIKENESS)), "")


def near_study_file(path: Path) -> Path | None:
    """The YAML file whose name, then whose whole path, is most like this one; None if none is.

    Looked for in the deepest folder of the path that is there, and in the folders directly below.
    """
    folder = next(parent for parent in path.parents if parent.is_dir())
    if folder.anchor and folder == Path(folder.anchor):  # The root of a file system: what lies there is not the user's.
        return None
    found = (file for depth in ("*", "*/*") for ending in (".yaml", ".yml") for file in folder.glob(depth + ending))
    likeness = {file: (_like(file.stem, path.stem), _like(str(file), str(path))) for file in found}
    best = max(sorted(likeness), key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best][0] >= _LIKENESS else None


def _like(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
