"""The formats and the published results of Klein, Kantic & Blume 2021, whose network the case study is."""

from __future__ import annotations

from dataclasses import dataclass

from wordlength.objectives.goals import DEFAULT_GOALS
from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.space import Candidate, Fixed, Format, PowerOfTwo, Role

PAPER = "Klein, Kantic & Blume 2021"
NETWORK = "irm_cnn"
"""The case study's network: of no other did the paper try anything."""
NETWORK_BYTES = 1_875_812
"""The paper's in float32: one of another size is another."""


@dataclass(frozen=True, slots=True)
class Published:
    """A result as the paper prints it; measured on its own corpora, so its height compares with no study's."""

    name: str
    quality: float
    cost: int


PUBLISHED = (
    Published("float32", 0.074, NETWORK_BYTES),
    Published("4-bit power of two", 0.067, 236_506),
)

_PAPERS = {Fixed(16, 2): "the paper’s 3.13", PowerOfTwo(4, -1): "the paper’s"}
"""Format of the weights → what the paper made of it, with biases and activations in 3.13."""


def published(baseline: FloatPoint) -> tuple[Published, ...]:
    """The paper's results where the study has the paper's objectives and its network at its size; else none."""
    same = baseline.network == NETWORK and baseline.memory_bytes == NETWORK_BYTES
    return PUBLISHED if same and baseline.goals.plane == DEFAULT_GOALS else ()


def uniform_formats(candidate: Candidate) -> dict[Role, Format] | None:
    """Role → the one format of all its slots; None if a role has two or the candidate no weights."""
    found: dict[Role, Format] = {}
    for slot, fmt in candidate.pairs:
        if found.setdefault(slot.role, fmt) != fmt:
            return None
    return found if Role.WEIGHTS in found else None


def paper_mark(candidate: Candidate, network: str) -> str:
    """What the paper calls this choice of formats ("the paper’s 3.13"); empty for all that it did not try.

    `network`: what the study's is called.
    """
    formats = uniform_formats(candidate) if network == NETWORK else None
    if formats is None or any(formats.get(role, Fixed(16, 2)) != Fixed(16, 2) for role in Role if role != "weights"):
        return ""
    return _PAPERS.get(formats[Role.WEIGHTS], "")


def point_name(point: FrontPoint, network: str) -> str:
    """A trial's label, or that it is uniform, and whether the paper tried it; empty for any other candidate."""
    formats = uniform_formats(point.candidate)
    name = point.label or (f"uniform {formats[Role.WEIGHTS].brief}" if formats else "")
    mark = paper_mark(point.candidate, network)
    return f"{name} ({mark})" if mark else name
