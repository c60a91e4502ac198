"""Two folders with equal names: noisy files, and the clean ones that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio.listing import SPLIT_NAMES, Clip, audio_files, found
from wordlength.objectives.audio.mixing import Mixture


def paired(root: Path, clean: str, noisy: str) -> list[Mixture]:
    """Every file below the noisy folder with the one of the same relative name below the clean folder.

    Both lie in `root`, or in its folders train, validation and test, which then are the parts. A folder in them is a
    speaker; a file that lies in none counts as a speaker of its own. Raises DataError for a noisy file without a
    clean one.
    """
    name = root.resolve().name
    pairs = [
        _pair(name, split, part / noisy, part / clean, file.relative_to(part / noisy))
        for split, part in _parts(root, noisy)
        for file in audio_files(part / noisy)
    ]
    return found(pairs, root, f"{noisy}/a.wav and {clean}/a.wav, or train/{noisy} and so on")


def _pair(name: str, split: str, noisy: Path, clean: Path, file: Path) -> Mixture:
    if not (clean / file).is_file():
        raise DataError(f"noisy files need a clean one of their name, but {clean / file} is none ({noisy / file})")
    identity = f"{name}:{split}/{file.as_posix()}" if split else f"{name}:{file.as_posix()}"
    speaker = f"{name}:{file.parts[0]}" if len(file.parts) > 1 else identity
    return Mixture(
        Clip(clean / file, f"paired:{name}", speaker, identity, "unknown", split),
        Clip(noisy / file, f"paired:{name}", "noise", f"{identity}/noise", "", split),
        None,
        seed=0,
        given=True,
    )


def _parts(root: Path, noisy: str) -> Iterator[tuple[str, Path]]:
    """The folders that hold noisy folders, and the part that each is."""
    if (root / noisy).is_dir():
        yield "", root
        return
    for child in sorted(root.iterdir()):
        if child.name.lower() in SPLIT_NAMES and (child / noisy).is_dir():
            yield SPLIT_NAMES[child.name.lower()], child
