"""Splits clips so that no speaker and no noise recording is heard both in training and in measuring."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from wordlength.errors import DataError
from wordlength.objectives.audio.layouts import Clip

SplitUnit = Literal["speaker", "recording"]


@dataclass(frozen=True, slots=True)
class Split:
    """Clips for training, validation and test that share no speaker (speech) or no recording (noise)."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]


def split_groups(
    clips: Sequence[Clip], *, by: SplitUnit, validation_fraction: float, test_fraction: float, seed: int
) -> Split:
    """Split clips so that every speaker, or every noise recording, is in exactly one part.

    Speakers are drawn from each sex, recordings from each noise class, so that every class with at least
    three recordings is heard in all three parts; smaller classes are drawn from together.
    Raises DataError where there are fewer than three speakers or recordings.
    """
    strata = _strata(clips, by)
    parts: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    rng = np.random.default_rng(seed)
    seen = 0
    for units in strata:
        shuffled = [units[index] for index in rng.permutation(len(units))]
        validation, test = (_share(seen, len(units), share) for share in (validation_fraction, test_fraction))
        validation, test = _leave_one(len(units), validation, test)
        seen += len(units)
        parts[1].update(shuffled[:validation])
        parts[2].update(shuffled[validation : validation + test])
        parts[0].update(shuffled[validation + test :])
    if not all(parts):
        units = list(itertools.chain.from_iterable(strata))
        raise DataError(
            f"splits need at least 3 {by}s, but got {len(units)} ({', '.join(sorted(units)[:5]) or 'no clips'})"
        )
    split = Split(*(tuple(clip for clip in clips if _unit(clip, by) in part) for part in parts))
    require_disjoint(split, by=by)
    return split


def require_disjoint(split: Split, *, by: SplitUnit) -> None:
    """Refuse a split in which two parts share a speaker or a noise recording, with DataError."""
    parts = {
        "train": {_unit(clip, by) for clip in split.train},
        "validation": {_unit(clip, by) for clip in split.validation},
        "test": {_unit(clip, by) for clip in split.test},
    }
    for one, other in itertools.combinations(parts, 2):
        if shared := parts[one] & parts[other]:
            raise DataError(f"splits must share no {by}, but {one} and {other} share {', '.join(sorted(shared)[:5])}")


def _strata(clips: Sequence[Clip], by: SplitUnit) -> list[list[str]]:
    """Speakers by sex or recordings by class; strata of fewer than three units are joined into one, the last."""
    stratum_of: dict[str, str] = {}
    for clip in clips:
        stratum_of.setdefault(_unit(clip, by), clip.label if by == "speaker" else clip.group)
    strata: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(stratum_of):
        strata[stratum_of[unit]].append(unit)
    large = [strata[name] for name in sorted(strata) if len(strata[name]) >= 3]
    small = [unit for name in sorted(strata) if len(strata[name]) < 3 for unit in strata[name]]
    return [*large, small] if small else large


def _share(before: int, count: int, fraction: float) -> int:
    """How many of `count` units, after `before` others, go to a part: at least one, and in sum near the fraction."""
    return max(1, math.floor((before + count) * fraction + 0.5) - math.floor(before * fraction + 0.5))


def _leave_one(count: int, validation: int, test: int) -> tuple[int, int]:
    """Lessen the shares until a unit is left for training; fewer than three units all go to training."""
    if count < 3:
        return 0, 0
    while validation + test >= count:
        if validation >= test:
            validation -= 1
        else:
            test -= 1
    return validation, test


def _unit(clip: Clip, by: SplitUnit) -> str:
    match by:
        case "speaker":
            return clip.group
        case "recording":
            return clip.source
        case _:
            assert_never(by)
