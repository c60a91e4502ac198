"""What a quality is measured on: mixtures, and what the network made of them.

A function of the user's own gets one `Heard` per mixture and gives a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.objectives.audio import Enhancer, MixtureSet


@dataclass(frozen=True)
class Heard:
    """One mixture and the network's outputs for it.

    `clean`, `noisy`, `enhanced`: waveforms, float32 (samples,), at `sample_rate_hz`; `snr_db`: of the mixture.
    `outputs`, `targets`: what the network gave and should have given, float32 (windows, outputs), in time order; where
    it estimates a score there is one output and no `enhanced`. `number`: the mixture's in its set; `noisy_scores`: what
    is known of the noisy mixture already, by objective.
    """

    number: int
    clean: FloatArray
    noisy: FloatArray
    sample_rate_hz: int
    snr_db: float
    outputs: FloatArray
    targets: FloatArray
    enhance: Callable[[], FloatArray] = field(repr=False, compare=False)
    noisy_scores: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def enhanced(self) -> FloatArray:
        """The noisy mixture as the network enhances it, float32 (samples,); computed when first asked for."""
        return self.enhance()


class Listener:
    """Makes sound of a network's outputs for one set of mixtures; noisy spectra are computed once, when needed."""

    def __init__(self, mixtures: MixtureSet) -> None:
        self.mixtures = mixtures

    @cached_property
    def _enhancer(self) -> Enhancer:
        return Enhancer(self.mixtures)

    def heard(self, outputs: FloatArray, numbers: Sequence[int] | None = None) -> list[Heard]:
        """Outputs of all windows in order (windows, outputs), for these mixtures or for all. Raises ValueError."""
        if not np.isfinite(outputs).all():
            raise ValueError("outputs must be finite, but the model's are not")
        frames = self.mixtures.frames
        chosen = range(len(self.mixtures)) if numbers is None else numbers
        windows = [frames.windows_of(number) for number in chosen]
        counts = [len(part) for part in windows]
        if sum(counts) != len(outputs):
            raise ValueError(f"outputs must be of {sum(counts)} windows, but there are {len(outputs)}")
        parts = np.split(outputs, np.cumsum(counts)[:-1])
        return [
            self._of(number, part, frames.targets[window])
            for number, part, window in zip(chosen, parts, windows, strict=True)
        ]

    def _of(self, number: int, outputs: FloatArray, targets: FloatArray) -> Heard:
        clean, noisy = self.mixtures.mixture(number)
        return Heard(
            number,
            clean,
            noisy,
            self.mixtures.signal.features.sample_rate_hz,
            float(self.mixtures.snr_db[number]),
            outputs,
            targets,
            lambda: self._enhancer.enhanced(number, outputs),
            {"stoi_improvement": float(self.mixtures.noisy_stoi[number])},
        )
