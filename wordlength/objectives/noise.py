"""How sure a mean over mixtures is: standard errors, paired differences, what can be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DISTINCT = 2.0
"""Paired standard errors beyond which a difference counts as real: about 95 % of chance differences stay below."""


def standard_error(values: npt.ArrayLike) -> float:
    """Of the mean of independent values (n,): sample standard deviation / √n; 0 for one value."""
    array = np.asarray(values, np.float64)
    return float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else 0.0


def paired_difference(gains: Sequence[float], reference: Sequence[float]) -> tuple[float, float]:
    """Mean of gains − reference, both (mixtures,) on the same mixtures, and the standard error of that mean.

    What makes a mixture hard is the same for both and cancels, so this error is far smaller than either's own.
    """
    differences = np.subtract(gains, reference)
    return float(differences.mean()), standard_error(differences)


def told_apart(gains: Sequence[float], reference: Sequence[float]) -> bool:
    """Whether the two means differ by more than DISTINCT paired standard errors."""
    difference, error = paired_difference(gains, reference)
    return abs(difference) > DISTINCT * error
