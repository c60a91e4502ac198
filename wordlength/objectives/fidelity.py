"""Fidelity of a representative subset: does training on it order formats as training on all windows does?

A few candidates go through two-step training on the subset and, twice, on all training windows: in two orders, since
no subset can agree better with all windows than these do with themselves. Their first quality is compared. What
the activations reach on either is in `reach`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, spearmanr

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.noise import paired_difference, told_apart
from wordlength.objectives.proposals import proposed_candidate
from wordlength.objectives.report import TrialJob, TrialReport
from wordlength.objectives.sensitivity import ranged
from wordlength.space import Candidate, Role

WindowIndex = npt.NDArray[np.int32]

LADDER = (
    ("fixed", 8, 16),
    ("fixed", 2, 8),
    ("po2", 4, 16),
    ("fixed", 4, 8),
    ("po2", 3, 8),
    ("fixed", 3, 16),
    ("fixed", 2, 16),
    ("po2", 4, 8),
    ("fixed", 8, 8),
    ("po2", 3, 16),
    ("fixed", 4, 16),
    ("fixed", 3, 8),
)
"""Kind and bits of the weights, bits of the activations: any first few are spread over the quality there is."""


def ladder(baseline: Baseline, count: int) -> dict[str, Candidate]:
    """The first `count` of LADDER at the proposals, biases fixed with 16 bits; label → candidate."""
    return {
        f"{kind} {bits}, fixed {width}": proposed_candidate(
            baseline,
            {
                Role.WEIGHTS: ranged(kind, bits, Role.WEIGHTS),
                Role.BIASES: ranged("fixed", 16, Role.BIASES),
                Role.ACTIVATIONS: ranged("fixed", width, Role.ACTIVATIONS),
            },
        )
        for kind, bits, width in LADDER[:count]
    }


@dataclass(frozen=True)
class Outcomes:
    """The candidates' reports after training on some windows, by label; of `tried` those that did not diverge."""

    tried: int
    reports: Mapping[str, TrialReport]

    @property
    def seconds(self) -> float:
        """Median duration of a trial."""
        return median([sum(report.seconds.values()) for report in self.reports.values()] or [math.nan])


def train_all(
    evaluate: Callable[[TrialJob, WindowIndex], TrialReport],
    candidates: Mapping[str, Candidate],
    windows: WindowIndex,
    seed: int,
) -> Iterator[Outcomes]:
    """Train every candidate on the windows; yields what there is after each."""
    reports: dict[str, TrialReport] = {}
    for number, (label, candidate) in enumerate(candidates.items()):
        report = evaluate(TrialJob(number, candidate, seed), windows)
        if report.quality is not None:
            reports[label] = report
        yield Outcomes(number + 1, dict(reports))


@dataclass(frozen=True, slots=True)
class RankFidelity:
    """How the qualities after training on a subset compare with those after training on all windows.

    `spearman`, `kendall`: rank correlations, NaN where one side is constant. `mean_difference`: mean absolute
    difference of the qualities, `paired_error`: the mean paired standard error of these differences. Of the
    `clear_pairs` of candidates, which both trainings on all windows put more than two paired standard errors apart
    and in the same order, the subset puts `swapped_pairs` in the other.
    """

    spearman: float
    kendall: float
    mean_difference: float
    paired_error: float
    clear_pairs: int
    swapped_pairs: int


def rank_fidelity(subset: Outcomes, full: Outcomes, again: Outcomes) -> RankFidelity:
    """Compare the candidates that all have; `full` and `again` are two trainings on all windows."""
    labels = [label for label in full.reports if label in subset.reports and label in again.reports]
    ours, theirs, repeated = ([side.reports[label] for label in labels] for side in (subset, full, again))
    given, wanted = ([report.quality for report in side] for side in (ours, theirs))
    differences = [paired_difference(a.gains, b.gains) for a, b in zip(ours, theirs, strict=True)]
    pairs = list(combinations(range(len(labels)), 2))
    clear = [
        pair for pair in pairs if _clear(theirs, pair) and _clear(repeated, pair) and _agree(theirs, repeated, pair)
    ]
    swapped = [pair for pair in clear if not _agree(ours, theirs, pair)]
    return RankFidelity(
        _correlation(spearmanr, given, wanted),
        _correlation(kendalltau, given, wanted),
        float(np.mean([abs(difference) for difference, _ in differences])) if differences else math.nan,
        float(np.mean([error for _, error in differences])) if differences else math.nan,
        len(clear),
        len(swapped),
    )


def _clear(reports: Sequence[TrialReport], pair: tuple[int, int]) -> bool:
    return told_apart(reports[pair[0]].gains, reports[pair[1]].gains)


def _agree(some: Sequence[TrialReport], others: Sequence[TrialReport], pair: tuple[int, int]) -> bool:
    """Whether both put the pair in the same order."""
    differences = [paired_difference(side[pair[0]].gains, side[pair[1]].gains)[0] for side in (some, others)]
    return differences[0] * differences[1] > 0


def _correlation(
    method: Callable[..., tuple[float, float]], given: Sequence[object], wanted: Sequence[object]
) -> float:
    if len(set(given)) < 2 or len(set(wanted)) < 2:
        return math.nan
    return float(method(given, wanted)[0])
