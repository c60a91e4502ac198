"""What a misspelt name may have meant: a study that was launched, a study file or a bundle nearby."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    return _nearest(path, (file for ending in (".yaml", ".yml") for file in _around(path, f"*{ending}")))


def near_folder(path: Path, marked: str) -> Path | None:
    """The folder most like this one among those that hold a file named `marked`; looked for as study files are.

    Where the path is a folder, the one inside that holds such a file; None if there are several.
    """
    if path.is_dir():
        inside = [file.parent for file in path.glob(f"*/{marked}")]
        return inside[0] if len(inside) == 1 else None
    return _nearest(path, (file.parent for file in _around(path, f"*/{marked}")))


def _around(path: Path, pattern: str) -> Iterator[Path]:
    """What the pattern finds in the deepest folder of the path that is there, and in the folders directly below."""
    folder = next((parent for parent in path.parents if parent.is_dir()), None)
    if folder is not None and not (folder.anchor and folder == Path(folder.anchor)):  # At a root nothing is the user's.
        yield from folder.glob(pattern)
        yield from folder.glob(f"*/{pattern}")


def _nearest(path: Path, found: Iterable[Path]) -> Path | None:
    likeness = {one: (_like(one.stem, path.stem), _like(str(one), str(path))) for one in found}
    best = max(sorted(likeness), key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best][0] >= _LIKENESS else None


def _like(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
