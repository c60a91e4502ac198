"""Cheap judgements of many candidates: what each format does by itself, and one set of weights for all formats.

The shared weights are trained with another candidate's formats in every step, the narrowest and the widest ones in
turn among them (the sandwich rule of Yu & Huang 2019, "Universally slimmable networks", one sub-network a step), so
that any candidate can be measured with them at once (rung 0), or after a short training of its own (rung 1). What is
measured so orders candidates; the figures of a trial are those of its own two-step training, which knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.errors import TrainingDiverged
from wordlength.objectives.audio.prepared import spread
from wordlength.objectives.evaluate import Evaluator
from wordlength.objectives.report import Weights
from wordlength.space import Candidate, Float32, Format, SearchSpace, Slot

DAMAGE_WINDOWS = 128
PIECES = 20
"""So often a pass over the subset tells how far it is."""
SANDWICH = 4
"""Of so many steps one has the narrowest and one the widest formats."""


class Screener:
    """Judges candidates with an Evaluator's warm data and graphs.

    `mixtures`: how many of the validation mixtures, evenly spread, candidates are measured on; None for all.
    """

    def __init__(self, evaluator: Evaluator, mixtures: int | None = None) -> None:
        self._evaluator = evaluator
        validation = evaluator.data.validation
        numbers = np.arange(len(validation), dtype=np.int32)
        self._mixtures = spread(numbers, mixtures or len(numbers)).tolist()
        self._windows = np.concatenate([validation.frames.windows_of(number) for number in self._mixtures])
        self._few = spread(validation.frames.windows, DAMAGE_WINDOWS)

    def damages(self, alternatives: Sequence[Mapping[Slot, Format]]) -> list[float]:
        """Mean squared change of the float model's outputs when only these slots are rounded, for each alternative."""
        evaluator = self._evaluator
        evaluator.use(evaluator.baseline.weights)
        untouched = {info.slot: Float32() for info in evaluator.quantized.slots}

        def outputs(formats: Mapping[Slot, Format]) -> FloatArray:
            evaluator.assign(Candidate.of((untouched | dict(formats)).items()))
            return evaluator.predictor.outputs(self._few)

        exact = outputs({})
        return [float(np.mean(np.square(outputs(formats) - exact))) for formats in alternatives]

    def train_shared(self, space: SearchSpace, passes: int, seed: int) -> Iterator[float | Weights]:
        """Weights for all formats of the space: from the baseline's, over the representative subset.

        Yields the share that is done, last the weights. Raises TrainingDiverged.
        """
        evaluator = self._evaluator
        evaluator.use(evaluator.baseline.weights)
        ends = [space.extreme(widest) for widest in (False, True)]

        def next_formats(step: int) -> None:
            place = step % SANDWICH
            evaluator.assign(ends[place] if place < len(ends) else space.draw(seed=(seed << 32) + step))

        pieces = min(PIECES, evaluator.trainer.steps(evaluator.subset))
        losses = evaluator.trainer.train(passes, seed, evaluator.subset, next_formats, pieces=pieces)
        for done, _ in enumerate(losses, start=1):
            yield done / (passes * pieces)
        yield evaluator.quantized.weights()

    def assess(self, candidate: Candidate, weights: Weights, share: float, seed: int) -> float | None:
        """The first quality with the shared weights; None if training diverged.

        `share`: of the representative subset that the candidate, fully quantized, is first trained on; 0 for none.
        """
        evaluator = self._evaluator
        evaluator.use(weights)
        evaluator.assign(candidate)
        try:
            if share:
                own = spread(evaluator.subset, max(1, round(share * len(evaluator.subset))))
                for _ in evaluator.trainer.train(1, seed, own):
                    pass
            outputs = evaluator.predictor.outputs(self._windows)
        except TrainingDiverged:
            return None
        return evaluator.meter.primary(outputs, self._mixtures).value if np.isfinite(outputs).all() else None
