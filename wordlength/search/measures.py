"""What the float model itself says of formats, in this process: proposals, sensitivities, fidelity of subsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.fidelity import RankFidelity, ladder, rank_fidelity, train_all
from wordlength.objectives.goals import DEFAULT_GOALS, Goal
from wordlength.objectives.noise import paired_difference
from wordlength.objectives.proposals import Proposal, extent, proposals
from wordlength.objectives.sensitivity import Effect, SlotSensitivity, everything, ranged, sensitivity
from wordlength.objectives.settings import GateSettings
from wordlength.search.home import Home
from wordlength.search.launch import evaluation_settings
from wordlength.search.progress import LaunchDisplay
from wordlength.search.study_file.spec import StudySpec
from wordlength.space import Role, Slot

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.evaluate import Evaluator
    from wordlength.objectives.fidelity import Outcomes, WindowIndex
    from wordlength.objectives.reach import ReachMeter, SlotReach

ALL, AGAIN = "all", "all, again"
"""Names of all training windows, and of the same in another order."""


@dataclass(frozen=True, slots=True)
class SlotProposals:
    """A slot's largest magnitude, the integer bits that hold all its values, and its proposals by width."""

    slot: Slot
    largest: float
    integer_bits: int
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """One width: the first quality with all slots quantized, its effect against float32, and the slots' rows."""

    bits: int
    all_quantized: float
    effect: Effect
    slots: tuple[SlotSensitivity, ...]
    goal: Goal = DEFAULT_GOALS.quality


@dataclass(frozen=True, slots=True)
class FractionRow:
    """What was found for one fraction of the training mixtures, for AGAIN or ALL."""

    name: str
    is_own: bool
    """Whether it is the study's own subset_fraction."""
    mixtures: int
    windows: int
    outcomes: Outcomes
    ranks: RankFidelity
    reach: tuple[SlotReach, ...]


def slot_proposals(
    baseline: Baseline, kind: str, widths: Sequence[int], roles: Sequence[Role], overflow_share: float
) -> list[SlotProposals]:
    """One row per slot of the roles, in model order."""

    def row(slot: Slot) -> SlotProposals:
        asked = [(slot, *ranged(kind, width, slot.role)) for width in widths]
        return SlotProposals(slot, *extent(baseline, slot), tuple(proposals(baseline, asked, overflow_share)))

    return [row(info.slot) for info in baseline.slots if info.slot.role in roles]


def sensitivities(
    spec: StudySpec,
    data: PreparedData,
    baseline: Baseline,
    kind: str,
    widths: Sequence[int],
    roles: Sequence[Role],
    display: LaunchDisplay,
) -> list[Sensitivities]:
    """Slot by slot for every width, with a counted bar each."""
    from wordlength.objectives.evaluate import Evaluator

    evaluator = Evaluator(data, baseline, evaluation_settings(spec))
    return [_of_width(evaluator, baseline, kind, width, roles, display) for width in widths]


def _of_width(
    evaluator: Evaluator, baseline: Baseline, kind: str, bits: int, roles: Sequence[Role], display: LaunchDisplay
) -> Sensitivities:
    candidate = everything(baseline, kind, bits, roles)
    what, total = f"{kind}, {bits} bits", sum(slot.role in roles for slot in candidate)
    display.count(what, 0, total, "all quantized")
    quantized = evaluator.measure_untrained(candidate)
    gains = tuple(quantized.per_mixture.tolist())
    rows = []
    for row in sensitivity(evaluator.measure_untrained, candidate, baseline.gains, gains):
        rows.append(row)
        display.count(what, len(rows), total, str(row.slot))
    return Sensitivities(
        bits, quantized.value, Effect(*paired_difference(gains, baseline.gains)), tuple(rows), baseline.goal
    )


def fidelity(
    spec: StudySpec,
    home: Home,
    data: PreparedData,
    baseline: Baseline,
    fractions: Sequence[float],
    count: int,
    display: LaunchDisplay,
) -> list[FractionRow]:
    """One row per fraction, then AGAIN and ALL; `count` candidates are trained on each."""
    from wordlength.objectives.audio import subsets
    from wordlength.objectives.evaluate import Evaluator
    from wordlength.objectives.reach import float_reach

    chosen = subsets(spec.data, data.train, fractions, home.cache, display.data)
    # An open gate: a candidate that is pruned on one subset only could not be compared.
    settings = replace(evaluation_settings(spec), gate=GateSettings(1, 1, 1))
    evaluator = Evaluator(data, baseline, settings)
    meter = float_reach(
        evaluator.quantized, baseline, data.train, lambda done, total: display.count("float activations", done, total)
    )
    named = {str(fraction): windows for fraction, windows in chosen.items()}
    named |= {AGAIN: data.train.windows, ALL: data.train.windows}
    outcomes: dict[str, Outcomes] = {}
    for name, windows in named.items():
        seed = spec.seed + (name == AGAIN)
        outcomes[name] = _trained(evaluator, baseline, windows, name, count, seed, display)
    own = str(float(spec.data.subset_fraction))
    return [_fraction_row(name, name == own, windows, data, outcomes, meter) for name, windows in named.items()]


def _trained(
    evaluator: Evaluator,
    baseline: Baseline,
    windows: WindowIndex,
    name: str,
    count: int,
    seed: int,
    display: LaunchDisplay,
) -> Outcomes:
    what = f"trained on {name}"
    display.count(what, 0, count)
    steps = train_all(lambda job, part: evaluator.evaluate(job, part)[0], ladder(baseline, count), windows, seed)
    for outcomes in steps:
        display.count(what, outcomes.tried, count)
    return outcomes


def _fraction_row(
    name: str,
    is_own: bool,
    windows: WindowIndex,
    data: PreparedData,
    outcomes: Mapping[str, Outcomes],
    meter: ReachMeter,
) -> FractionRow:
    owners = data.train.mixture_of_window[data.train.windows.searchsorted(windows)]
    ranks = rank_fidelity(outcomes[name], outcomes[ALL], outcomes[AGAIN])
    return FractionRow(
        name, is_own, len(set(owners.tolist())), len(windows), outcomes[name], ranks, meter.reach(windows)
    )


def measured_figures(command: str, spec: StudySpec, baseline: Baseline, figures: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of a command, with the study and the baseline that they belong to."""
    known = {"digest": baseline.digest, **baseline.values, baseline.goal.error_name: baseline.standard_error}
    head = {
        "command": command,
        "study": spec.name,
        "baseline": known | {"memory_bytes": baseline.memory_bytes},
    }
    return head | dict(figures)
