"""Splits clips so that no speaker, noise recording or room is heard both in training and in measuring."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from wordlength.errors import DataError
from wordlength.objectives.audio.listing import Clip

SplitUnit = Literal["speaker", "recording", "room"]
Part = Literal["validation", "test"]
_DRAWN: tuple[Part, ...] = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Clips for training, validation and test that share no speaker (speech), recording (noise) or room."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]


def split_groups(
    clips: Sequence[Clip], *, by: SplitUnit, validation_fraction: float, test_fraction: float, seed: int
) -> Split:
    """Split clips so that every speaker, noise recording or room is in exactly one part.

    What a corpus itself puts into validation or test stays there, and nothing else of that corpus joins it: the rest
    is trained on, and only parts that the corpus does not have are drawn from it. Speakers are drawn from each sex,
    recordings from each noise class, rooms from each folder of rooms, so that every class with at least three
    recordings is heard in all three parts; smaller classes are drawn from together.
    Raises DataError where a part would be empty, or a corpus puts a speaker, recording or room into two.
    """
    given = _given(clips, by)
    parts = {part: {unit for unit, split in given.items() if split == part} for part in ("train", *_DRAWN)}
    fractions: dict[Part, float] = {"validation": validation_fraction, "test": test_fraction}
    rng = np.random.default_rng(seed)
    for drawn, free in _free_clips(clips, by, given):
        shares = {part: fractions[part] if part in drawn else 0.0 for part in _DRAWN}
        for part, units in _drawn(_strata(free, by, 1 + len(drawn)), shares, rng).items():
            parts[part] |= units
    if not all(parts.values()):
        names = sorted(given)
        need = "at least 3" if not any(clip.split for clip in clips) else "train, validation and test"
        raise DataError(f"splits need {need} {by}s, but got {len(names)} ({', '.join(names[:5]) or 'no clips'})")
    split = Split(*(tuple(clip for clip in clips if _unit(clip, by) in part) for part in parts.values()))
    require_disjoint(split, by=by)
    return split


def _given(clips: Sequence[Clip], by: SplitUnit) -> dict[str, str]:
    """Per speaker, recording or room the part that its corpus puts it into; empty if to be drawn."""
    given: dict[str, str] = {}
    for clip in clips:
        unit, part = _unit(clip, by), clip.split if clip.split in _DRAWN else ""
        if given.setdefault(unit, part) != part:
            parts = " and ".join(sorted({given[unit] or "train", part or "train"}))
            raise DataError(f"splits must share no {by}, but the corpus puts {unit} into {parts} ({clip.path})")
    return given


def _free_clips(
    clips: Sequence[Clip], by: SplitUnit, given: dict[str, str]
) -> Iterator[tuple[tuple[Part, ...], list[Clip]]]:
    """Clips that no corpus has put into validation or test, by the parts that are drawn from them."""
    has: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        has[clip.corpus].add(given[_unit(clip, by)])
    groups: dict[tuple[Part, ...], list[Clip]] = defaultdict(list)
    for clip in clips:
        if not given[_unit(clip, by)]:
            groups[tuple(part for part in _DRAWN if part not in has[clip.corpus])].append(clip)
    yield from sorted(groups.items())


def _drawn(
    strata: list[list[str]], shares: dict[Part, float], rng: np.random.Generator
) -> dict[Literal["train", "validation", "test"], set[str]]:
    """Units of each part: at least one of each stratum for every part that has a share."""
    parts: dict[Literal["train", "validation", "test"], set[str]] = {"train": set(), "validation": set(), "test": set()}
    seen = 0
    for units in strata:
        shuffled = [units[index] for index in rng.permutation(len(units))]
        counts = [_share(seen, len(units), shares[part]) for part in _DRAWN]
        validation, test = _leave_one(len(units), *counts)
        seen += len(units)
        parts["validation"].update(shuffled[:validation])
        parts["test"].update(shuffled[validation : validation + test])
        parts["train"].update(shuffled[validation + test :])
    return parts


def require_disjoint(split: Split, *, by: SplitUnit) -> None:
    """Raise DataError for a split in which two parts share a speaker, a noise recording or a room."""
    parts = {
        "train": {_unit(clip, by) for clip in split.train},
        "validation": {_unit(clip, by) for clip in split.validation},
        "test": {_unit(clip, by) for clip in split.test},
    }
    for one, other in itertools.combinations(parts, 2):
        if shared := parts[one] & parts[other]:
            raise DataError(f"splits must share no {by}, but {one} and {other} share {', '.join(sorted(shared)[:5])}")


def _strata(clips: Sequence[Clip], by: SplitUnit, least: int) -> list[list[str]]:
    """Speakers by sex, recordings by class, rooms by folder; strata of fewer than `least` units are joined, last."""
    stratum_of: dict[str, str] = {}
    for clip in clips:
        stratum_of.setdefault(_unit(clip, by), clip.group if by == "recording" else clip.label)
    strata: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(stratum_of):
        strata[stratum_of[unit]].append(unit)
    large = [strata[name] for name in sorted(strata) if len(strata[name]) >= least]
    small = [unit for name in sorted(strata) if len(strata[name]) < least for unit in strata[name]]
    return [*large, small] if small else large


def _share(before: int, count: int, fraction: float) -> int:
    """How many of `count` units, after `before` others, go to a part: none of a part that is not drawn, else at
    least one, and in sum near the fraction.
    """
    if fraction == 0:
        return 0
    return max(1, math.floor((before + count) * fraction + 0.5) - math.floor(before * fraction + 0.5))


def _leave_one(count: int, validation: int, test: int) -> tuple[int, int]:
    """Lessen the shares until a unit is left for training; too few units for all parts all go to training."""
    if count < 1 + (validation > 0) + (test > 0):
        return 0, 0
    while validation + test >= count:
        if validation >= test:
            validation -= 1
        else:
            test -= 1
    return validation, test


def _unit(clip: Clip, by: SplitUnit) -> str:
    match by:
        case "speaker" | "room":
            return clip.group
        case "recording":
            return clip.source
        case _:
            assert_never(by)
