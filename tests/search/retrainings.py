"""Retraining without training, and what picks the trials to be retrained."""

import numpy as np

from wordlength import Candidate
from wordlength.search.front import FrontPoint


class StandIn:
    """Retraining without training: `trained` tells of which candidates; `errors` are raised in step one."""

    def __init__(self) -> None:
        self.trained: list[Candidate] = []
        self.errors: dict[Candidate, BaseException] = {}

    def __call__(self, *_: object) -> "StandIn":
        return self

    def float_gains(self):
        from wordlength.objectives.retraining import HeldOutGains

        return HeldOutGains((0.04, 0.06), (0.03, 0.05, 0.01))

    def retrain(self, candidate: Candidate):
        from wordlength.objectives.retraining import HeldOutGains, Retrained, RetrainingProgress

        yield RetrainingProgress(1, 1, 0.5)
        if candidate in self.errors:
            raise self.errors[candidate]
        self.trained.append(candidate)
        yield RetrainingProgress(2, 1, 0.25)
        gains = HeldOutGains((0.03, 0.05), (0.02, 0.04, 0.04))
        yield Retrained((np.ones(2, np.float32),), ((0.5,), (0.25,)), gains, 1.5)


def both(ends: tuple[FrontPoint, FrontPoint]) -> list[str]:
    """Options that pick the two."""
    return [option for point in ends for option in ("--pick", f"trial={point.number}")]
