"""What workers are asked to do, and what comes back; knows no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wordlength.objectives.report import TrialJob
from wordlength.space import Candidate, Format, SearchSpace, Slot


@dataclass(frozen=True)
class DamagesJob:
    """Find what each of these formats by itself does to the float model: gives their damages. `part`: of all."""

    part: int
    alternatives: tuple[Mapping[Slot, Format], ...]


@dataclass(frozen=True)
class SharedJob:
    """Train one set of weights for all formats of the space: gives the weights."""

    space: SearchSpace
    passes: int
    seed: int


@dataclass(frozen=True)
class AssessJob:
    """Judge a candidate with shared weights, which are submitted beside it: gives (first quality or None,).

    `share`: of the representative subset that it is first trained on, 0 for none.
    """

    candidate: Candidate
    rung: int
    share: float
    mixtures: int
    seed: int


Job = TrialJob | DamagesJob | SharedJob | AssessJob


@dataclass(frozen=True)
class Finished:
    """A job that ended: what it gives (for a trial report and weights), or the reason why it gives nothing."""

    job: Job
    result: Any
    reason: str = ""


@dataclass(frozen=True)
class Retried:
    """A job whose worker died; it goes to another one. `deaths`: of its workers, so far."""

    job: Job
    deaths: int
    reason: str


@dataclass(frozen=True)
class JobProgress:
    """The share of a job that is done; it goes on."""

    job: Job
    share: float


Told = Finished | Retried | JobProgress
