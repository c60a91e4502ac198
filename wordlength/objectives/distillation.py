"""Distillation: the float model's outputs among what is learned (Hinton, Vinyals & Dean 2015).

With a squared error, learning a mixture of two targets is learning both at once: the loss against
(1 − share) · ideal + share · float differs from the mixture of both losses by a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordlength.arrays import FloatArray
from wordlength.objectives.audio import FrameSet
from wordlength.objectives.training import Predictor, Windows


@dataclass(frozen=True)
class DistilledWindows(Windows):
    """Windows whose targets are mixed with the outputs of `teacher`, each when it is first trained on.

    `known`: (frames,) whether a frame's target is in `mixed`, (frames, outputs); the others keep their own. Frames that
    are never trained on take no memory: their part of `mixed` is never written to.
    """

    teacher: Any
    share: float
    known: npt.NDArray[np.bool_]
    mixed: FloatArray

    def wanted(self, current: npt.NDArray[np.int32]) -> tf.Tensor:
        """(batch,) indices of current frames → (batch, outputs) targets."""
        return tf.constant(np.where(self.known[current, np.newaxis], self.mixed[current], self.targets[current]))

    def prepare(self, current: npt.NDArray[np.int32]) -> None:
        """Mix the targets of these windows."""
        missing = np.unique(current[~self.known[current]])
        if len(missing):
            taught = Predictor(self.teacher, self).outputs(missing)
            self.mixed[missing] = mixed(self.targets[missing], taught, self.share)
            self.known[missing] = True


def windows_to_learn(frames: FrameSet, teacher: Any, share: float) -> Windows:
    """Training windows; their targets are the data's, or mixed with so much of the teacher's outputs."""
    ideal = Windows.of(frames)
    if not share:
        return ideal
    known = np.zeros(len(ideal.targets), np.bool_)
    mixed_so_far = np.zeros(ideal.targets.shape, np.float32)
    return DistilledWindows(**vars(ideal), teacher=teacher, share=share, known=known, mixed=mixed_so_far)


def mixed(ideal: npt.NDArray[Any], taught: npt.NDArray[Any], share: float) -> FloatArray:
    """(1 − share) · ideal + share · taught, all (windows, outputs)."""
    target: FloatArray = ideal + np.float32(share) * (taught - ideal)
    return target
