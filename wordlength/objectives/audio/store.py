"""Keeps prepared data on disk: one folder of arrays per content digest, and an index from file stamps to digests."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordlength.atomic import write_atomically
from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, PreparedData, Signal
from wordlength.objectives.audio.publishing import publish_folder
from wordlength.objectives.audio.signal_settings import FeatureSettings, TargetSettings

_META = "meta.json"
_FRAMES = ("features", "targets", "windows", "mixture_of_window")
_WINDOW = ("before", "after")
_MIXTURES = ("clean", "noisy", "offsets", "noisy_stoi", "snr_db")
_SCORED = ("validation", "test")
_MOMENTS = ("mean", "std", "target_mean", "target_std")
_STRINGS = ("speakers", "noise_classes", "names")
Arrays = dict[str, NDArray[Any]]


def save(data: PreparedData, cache: Path) -> None:
    """Write the data below `cache` under its digest, in one step."""
    arrays = _arrays(data)
    meta = {
        "digest": data.digest,
        "summary": data.summary,
        "features": dataclasses.asdict(data.features),
        "target": dataclasses.asdict(data.target),
        "window": {key: getattr(data.train, key) for key in _WINDOW},
        "strings": {part: {key: getattr(getattr(data, part), key) for key in _STRINGS} for part in _SCORED},
        "crc32": {name: _crc32(array) for name, array in arrays.items()},
    }
    with publish_folder(_folder(cache, data.digest), lambda _: load(data.digest, cache) is not None) as draft:
        for name, array in arrays.items():
            np.save(draft / f"{name}.npy", array, allow_pickle=False)
        (draft / _META).write_text(json.dumps(meta, indent=1) + "\n")


def load(digest: str, cache: Path) -> PreparedData | None:
    """Read the data of a digest, or None if it is not there or damaged in any way."""
    folder = _folder(cache, digest)
    try:
        meta = json.loads((folder / _META).read_text())
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in meta["crc32"]}
        if meta["digest"] != digest or any(_crc32(arrays[name]) != crc for name, crc in meta["crc32"].items()):
            return None
        return _data(arrays, meta)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None


def recall(stamp: str, cache: Path) -> str | None:
    """The digest last found for files of this stamp, or None."""
    try:
        digest = json.loads(_index(cache, stamp).read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def remember(stamp: str, digest: str, cache: Path) -> None:
    """Note which digest the files of this stamp have."""
    write_atomically(_index(cache, stamp), json.dumps({"digest": digest}).encode())


def _folder(cache: Path, digest: str) -> Path:
    return cache / "prepared" / digest


def _index(cache: Path, stamp: str) -> Path:
    return cache / "prepared" / "index" / f"{stamp}.json"


def _crc32(array: NDArray[Any]) -> int:
    # Type and shape as well: the same bytes under another shape are other data.
    return zlib.crc32(np.ascontiguousarray(array).data.cast("B"), zlib.crc32(f"{array.dtype}{array.shape}".encode()))


def _arrays(data: PreparedData) -> Arrays:
    arrays: Arrays = {"subset_windows": data.subset_windows}
    arrays |= {key: getattr(data.signal, key) for key in _MOMENTS}
    arrays |= {f"train.{key}": getattr(data.train, key) for key in _FRAMES}
    for part in _SCORED:
        mixtures: MixtureSet = getattr(data, part)
        arrays |= {f"{part}.{key}": getattr(mixtures, key) for key in _MIXTURES}
        arrays |= {f"{part}.{key}": getattr(mixtures.frames, key) for key in _FRAMES}
    return arrays


def _data(arrays: Arrays, meta: Mapping[str, Any]) -> PreparedData:
    moments: dict[str, Any] = {key: arrays[key] for key in _MOMENTS}
    features, target = FeatureSettings(**meta["features"]), TargetSettings(**meta["target"])
    signal = Signal(features=features, target=target, **moments)
    return PreparedData(
        train=_frame_set("train", arrays, meta),
        subset_windows=arrays["subset_windows"],
        validation=_mixture_set("validation", arrays, meta, signal),
        test=_mixture_set("test", arrays, meta, signal),
        signal=signal,
        digest=meta["digest"],
        summary=meta["summary"],
    )


def _frame_set(part: str, arrays: Arrays, meta: Mapping[str, Any]) -> FrameSet:
    fields: dict[str, Any] = {key: arrays[f"{part}.{key}"] for key in _FRAMES}
    return FrameSet(**fields, **{key: meta["window"][key] for key in _WINDOW})


def _mixture_set(part: str, arrays: Arrays, meta: Mapping[str, Any], signal: Signal) -> MixtureSet:
    fields: dict[str, Any] = {key: arrays[f"{part}.{key}"] for key in _MIXTURES}
    fields |= {key: tuple(meta["strings"][part][key]) for key in _STRINGS}
    return MixtureSet(**fields, frames=_frame_set(part, arrays, meta), signal=signal)


assert {field.name for field in dataclasses.fields(FrameSet)} == {*_FRAMES, *_WINDOW}
assert {field.name for field in dataclasses.fields(MixtureSet)} == {*_MIXTURES, *_STRINGS, "frames", "signal"}
assert {field.name for field in dataclasses.fields(Signal)} == {*_MOMENTS, "features", "target"}
