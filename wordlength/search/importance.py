"""Which parts of a candidate decide over the objectives: PED-ANOVA over every complete trial.

Watanabe, Bansal & Hutter 2023: how much a parameter decides whether a trial is among the best tenth, here of at least
five trials.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from wordlength.search.front import FrontPoint
from wordlength.search.plots.importance import Importance
from wordlength.space import Candidate, Fixed, PowerOfTwo

FEWEST_TRIALS = 20
"""Below, the best five are no small part."""
FEWEST_BEST = 5
SHUFFLES = 3


def importance(points: Sequence[FrontPoint]) -> Importance:
    """For every objective by its title: parameter, such as "conv_1.weights bits", → share between 0 and 1.

    Parameters are every slot's kind, bits and integer bits, as far as they vary; uniform references count as well.
    Empty below 20 complete trials, or if nothing varies; without an objective that is the same for all.
    """
    return {name: shares for name, _, shares in _weighed(points, [None])}


def chance(points: Sequence[FrontPoint]) -> dict[str, float]:
    """Objective → the largest share that a parameter gets when the objective is dealt out to the trials at random.

    Mean of three shuffles: shares of this size, or below, say nothing.
    """
    found: dict[str, list[float]] = {}
    for name, _, shares in _weighed(points, range(SHUFFLES)):
        found.setdefault(name, []).append(max(shares.values()))
    return {name: sum(values) / len(values) for name, values in found.items()}


def _weighed(
    points: Sequence[FrontPoint], seeds: Iterable[int | None]
) -> Iterator[tuple[str, int | None, dict[str, float]]]:
    """Objective, seed and shares; with a seed, the objective's values are shuffled."""
    rows = [_parameters(point.candidate) for point in points]
    varied = _varied(rows)
    if len(points) < FEWEST_TRIALS or not varied:
        return
    losses = {goal.title: [-goal.ahead(point.values[goal.name]) for point in points] for goal in points[0].goals.goals}
    study = _study(rows, varied)
    for (name, values), seed in product(losses.items(), seeds):
        if len(set(values)) > 1:
            dealt = values if seed is None else random.Random(seed).sample(values, len(values))
            yield name, seed, _shares(study, list(varied), dealt)


def _varied(rows: Sequence[Mapping[str, int | str]]) -> dict[str, set[int | str]]:
    """Name → its values, for all that are not the same everywhere."""
    values: dict[str, set[int | str]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, set()).add(value)
    return {name: found for name, found in values.items() if len(found) > 1}


def _study(rows: Sequence[Mapping[str, int | str]], varied: Mapping[str, set[int | str]]) -> optuna.Study:
    """The trials with no parameters but those that vary; their values are their places."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # It would announce every study.
    study = optuna.create_study()
    domains = {name: _domain(values) for name, values in varied.items()}
    study.add_trials(
        [
            optuna.create_trial(
                params={name: value for name, value in row.items() if name in domains},
                distributions={name: domains[name] for name in row if name in domains},
                value=float(place),
            )
            for place, row in enumerate(rows)
        ]
    )
    return study


def _shares(study: optuna.Study, names: list[str], losses: Sequence[float]) -> dict[str, float]:
    best = max(0.1, FEWEST_BEST / len(losses))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=best),
            params=names,
            target=lambda trial: losses[trial.number],
        )
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
