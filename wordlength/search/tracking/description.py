"""What a study says of itself to whoever opens its run: settings, data, code, float baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wordlength.objectives.settings import AnalysisSettings
from wordlength.search.front import FloatPoint
from wordlength.space import Slot, SlotInfo


@dataclass(frozen=True)
class DataSet:
    """One part of a study's data: `context` is training, validation or test; `profile` holds hours, speakers and so on.

    `digest`: names the content, at most 36 characters; `source`: where the audio came from, in words.
    """

    name: str
    digest: str
    source: str
    context: str
    profile: Mapping[str, Any]

    @property
    def profile_json(self) -> str:
        """As MLflow shows it beside the data set's name."""
        return json.dumps(dict(self.profile))


@dataclass(frozen=True)
class Description:
    """A study as its parent run tells it, and what its trials' runs need of it.

    `slots`: every tensor that has a format; `searched`: those whose format the study varies; `precision_limit`: the
    analysis' own, a share; `params`, `tags`, `metrics`: the run's; `files`: artifact name → text, such as the study
    file; `settings`: lines of the run's note.
    """

    baseline: FloatPoint
    slots: tuple[SlotInfo, ...] = ()
    searched: tuple[Slot, ...] = ()
    precision_limit: float = AnalysisSettings.precision_limit
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[DataSet] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
