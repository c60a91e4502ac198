"""Whether a study that is gone on with is still the one that was begun: else its trials would not compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from wordlength.errors import SpecError
from wordlength.objectives.settings import TrainingSettings
from wordlength.search.study_file.space import SpaceSpec
from wordlength.search.study_file.spec import StudySpec


def check_unchanged(known: Mapping[str, Any], spec: StudySpec, data_digest: str) -> None:
    """Raise SpecError if the study was begun with other data or settings: its trials would not compare.

    `known`: what it remembers.
    """
    began, now = known.get("fingerprint"), json.loads(json.dumps(spec.fingerprint()))
    if began is None:
        return
    if "space" in began:
        # Keys that have come since the study began have their defaults, with which it was run.
        began = began | {"space": SpaceSpec.model_validate(began["space"]).model_dump(mode="json")}
    if "training" in began:
        began = began | {"training": asdict(TrainingSettings()) | began["training"]}
    for place, old, new in differences(began, now):
        raise SpecError(
            f"a study keeps its settings, but {place} was {old!r} and is now {new!r}; "
            f"change it back or give the study another name (study {spec.name!r})"
        )
    if known.get("data_digest", data_digest) != data_digest:  # A launch that was killed may have told but a part.
        raise SpecError(
            f"a study keeps its data, but the audio of {spec.name!r} has changed since it began "
            f"(was {known['data_digest'][:12]}, is {data_digest[:12]}); give the study another name"
        )


def check_baseline(known: Mapping[str, Any], name: str, content_digest: str) -> None:
    """Raise SpecError if the study was begun from other float weights: its trials would not compare."""
    began = known.get("baseline_content")
    if began not in (None, content_digest):
        raise SpecError(
            f"a study keeps its float baseline, but that of {name!r} was trained again with another result "
            f"(was {began}, is {content_digest}); bring its cache back or give the study another name"
        )


def differences(old: Any, new: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    """Where two nested maps differ: place as `training.batch_size`, what the first has there, what the second."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys((*old, *new))
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))]
    return [] if old == new else [(place, old, new)]
