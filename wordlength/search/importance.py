"""Which parts of a candidate decide over the objectives: PED-ANOVA over every complete trial.

Watanabe, Bansal & Hutter 2023: how much a parameter decides whether a trial is among the best tenth.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from wordlength.search.front import FrontPoint
from wordlength.space import Candidate, Fixed, PowerOfTwo

FEWEST_TRIALS = 20
"""Below, the best tenth is one trial."""

Importance = Mapping[str, Mapping[str, float]]
"""Objective → parameter → share; an objective's shares sum to 1."""


def importance(points: Sequence[FrontPoint]) -> Importance:
    """For "STOI improvement" and "memory": parameter, such as "conv_1.weights bits", → share between 0 and 1.

    Parameters are every slot's kind, bits and integer bits, as far as they vary; uniform references count as well.
    Empty below 20 complete trials, or if nothing varies.
    """
    rows = [_parameters(point.candidate) for point in points]
    varied = _varied(rows)
    if len(points) < FEWEST_TRIALS or not varied:
        return {}
    losses = {
        "STOI improvement": [-point.stoi_improvement for point in points],
        "memory": [float(point.memory_bytes) for point in points],
    }
    return {name: _shares(rows, varied, values) for name, values in losses.items()}


def _varied(rows: Sequence[Mapping[str, int | str]]) -> dict[str, set[int | str]]:
    """Name → its values, for all that are not the same everywhere."""
    values: dict[str, set[int | str]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, set()).add(value)
    return {name: found for name, found in values.items() if len(found) > 1}


def _shares(
    rows: Sequence[Mapping[str, int | str]], varied: Mapping[str, set[int | str]], losses: Sequence[float]
) -> dict[str, float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # It would announce every study.
    study = optuna.create_study()
    domains = {name: _domain(values) for name, values in varied.items()}
    study.add_trials(
        [
            optuna.create_trial(
                params={name: value for name, value in row.items() if name in domains},
                distributions={name: domains[name] for name in row if name in domains},
                value=loss,
            )
            for row, loss in zip(rows, losses, strict=True)
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=list(domains))
    return dict(found)


def _domain(values: set[int | str]) -> IntDistribution | CategoricalDistribution:
    numbers = [value for value in values if isinstance(value, int)]
    if numbers:
        return IntDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(sorted(map(str, values)))


def _parameters(candidate: Candidate) -> dict[str, int | str]:
    """A format's kind and numbers, each under a name of its own."""
    found: dict[str, int | str] = {}
    for slot, fmt in candidate.pairs:
        found[f"{slot} kind"] = type(fmt).__name__
        found[f"{slot} bits"] = fmt.width_bits
        if isinstance(fmt, Fixed):
            found[f"{slot} integer bits"] = max(fmt.positions)
        elif isinstance(fmt, PowerOfTwo):
            found[f"{slot} largest exponent"] = fmt.max_exponent
    return found
