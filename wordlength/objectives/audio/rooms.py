"""Room impulse responses: listed by room, and put upon speech so that its early part is the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from wordlength.arrays import DoubleArray
from wordlength.errors import DataError
from wordlength.objectives.audio.listing import Clip, audio_files, found
from wordlength.objectives.audio.mixing import Mixture


def list_rooms(root: Path) -> list[Clip]:
    """Impulse responses below `root`: a file's folder is its room, and the file itself where it lies in `root`.

    The room's own folder, as `smallroom` in SLR28's smallroom/Room001/Room001-00001.wav, says which are alike.
    """
    if not root.is_dir():
        raise DataError(f"folders of rooms must exist, but got {root} (rooms)")
    name = root.resolve().name
    return found(
        [_response(root, file, name) for file in audio_files(root)], root, "impulse responses, one folder per room,"
    )


def _response(root: Path, file: Path, name: str) -> Clip:
    relative = file.relative_to(root)
    folders = relative.parts[:-1]
    room = "/".join(folders) if folders else relative.stem
    alike = "/".join(folders[:-1])
    return Clip(file, f"rooms:{name}", f"{name}:{room}", f"{name}:{relative.as_posix()}", alike)


def in_rooms(
    mixtures: Sequence[Mixture], responses: Sequence[Clip], share: float, early_ms: float, seed: int
) -> tuple[Mixture, ...]:
    """The mixtures, a random share of them in rooms; every room is used about equally often."""
    rng = np.random.default_rng(seed)
    rooms: dict[str, list[Clip]] = {}
    for response in responses:
        rooms.setdefault(response.group, []).append(response)
    order = [list(rooms.values())[index] for index in rng.permutation(len(rooms))]
    chosen = rng.permutation(len(mixtures))[: math.floor(share * len(mixtures) + 0.5)].tolist()
    used = {
        place: order[turn % len(order)][turn // len(order) % len(order[turn % len(order)])]
        for turn, place in enumerate(chosen)
    }
    return tuple(
        replace(mixture, room=used[place], early_ms=early_ms) if place in used else mixture
        for place, mixture in enumerate(mixtures)
    )


def reverberate(speech: DoubleArray, response: DoubleArray, early_samples: int) -> tuple[DoubleArray, DoubleArray]:
    """Speech in a room, `(early, whole)`, both of the speech's shape `(samples,)` and in time with it.

    early: the direct sound, which is the response's largest sample, with the reflections of `early_samples` after it;
    whole: late reflections too. Both are scaled so that the early part is as loud as the speech was.
    """
    direct = int(np.abs(response).argmax())
    early, whole = (
        fftconvolve(speech, part)[direct : direct + speech.size]
        for part in (response[: direct + early_samples + 1], response)
    )
    # A response that begins with its direct sound and ends soon leaves fewer samples than there were.
    early, whole = (np.pad(part, (0, speech.size - part.size)) for part in (early, whole))
    gain = math.sqrt(float(np.mean(speech**2)) / max(float(np.mean(early**2)), 1e-20))
    return gain * early, gain * whole
