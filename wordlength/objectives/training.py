"""Training: one traced step per model, for the float baseline and for both quantized steps.

A batch of windows is copied out of the frames where these lie, for a worker in memory that all of its machine share;
TensorFlow never holds more of them. The loss is the mean squared error: of masks, standardised spectra or scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordlength.arrays import FloatArray
from wordlength.errors import TrainingDiverged
from wordlength.objectives.audio import FrameSet
from wordlength.objectives.settings import TrainingSettings

PREDICTION_BATCH = 128
"""Windows at a time: with more, the layers' outputs leave the core's cache (512 took 15 to 40 % longer)."""
_PREDICTION_VALUES = 1 << 17
"""Features at a time, if that makes fewer windows: those of whole segments are a hundred times as large."""


@dataclass(frozen=True)
class Windows:
    """Batches of a FrameSet. `features`: (frames, bins); `targets`: (frames, outputs)."""

    features: FloatArray
    targets: FloatArray
    current: npt.NDArray[np.int32]
    """Index of every window's current frame."""
    before: int
    after: int
    """Frames of a window before and after its current one."""

    @classmethod
    def of(cls, frames: FrameSet) -> Windows:
        """Without a copy."""
        return cls(frames.features, frames.targets, frames.windows, frames.before, frames.after)

    @property
    def prediction_batch(self) -> int:
        """Windows at a time when a model predicts."""
        values = (self.before + 1 + self.after) * int(self.features.shape[1])
        return max(1, min(PREDICTION_BATCH, _PREDICTION_VALUES // values))

    def inputs(self, current: npt.NDArray[np.int32]) -> tf.Tensor:
        """(batch,) indices of current frames → (batch, before + 1 + after, bins)."""
        frames = np.arange(-self.before, self.after + 1, dtype=np.int32)
        return tf.constant(self.features[current[:, np.newaxis] + frames])

    def wanted(self, current: npt.NDArray[np.int32]) -> tf.Tensor:
        """(batch,) indices of current frames → (batch, outputs) targets."""
        return tf.constant(self.targets[current])

    def prepare(self, current: npt.NDArray[np.int32]) -> None:
        """Called before training on these windows."""


class Trainer:
    """Adam on one model and one set of windows; `reset` before each training makes runs independent.

    `version`: of the model's graph; where it has changed, the next step is traced again.
    """

    def __init__(
        self,
        model: Any,
        windows: Windows,
        batch_size: int,
        learning_rate: float,
        version: Callable[[], int] = lambda: 0,
    ) -> None:
        self.model = model
        self._version = version
        self.windows = windows
        self._batch_size = batch_size
        self._learning_rate = learning_rate
        self.traces = 0
        self._optimizer = keras.optimizers.Adam(learning_rate)
        self._optimizer.build(model.trainable_variables)
        # What Keras keeps beside the weights: of each of its generators a seed, and how often it was drawn from.
        weights = {id(weight) for weight in model.weights}
        self._chances = [variable for variable in model.variables if id(variable) not in weights]
        # No XLA: on the CPU it made a step ten times slower. No autograph: there is no control flow to convert, and a
        # worker that is killed would leave the converted sources behind.
        self._step = tf.function(self._trace_step, jit_compile=False, autograph=False)

    def reset(self, seed: int) -> None:
        """Forget the optimiser's state, without building it again; the model's dropout follows from `seed` alone."""
        for number, chance in enumerate(self._chances):
            chance.assign([np.random.SeedSequence([seed, number]).generate_state(1)[0], 0])
        for variable in self._optimizer.variables:
            if variable is not self._optimizer.learning_rate:
                variable.assign(keras.ops.zeros_like(variable))

    def train(
        self,
        epochs: int,
        seed: int,
        current: npt.NDArray[np.int32] | None = None,
        before_step: Callable[[int], None] = lambda step: None,
        learning_rate: float | None = None,
        pieces: int = 1,
    ) -> Iterator[float]:
        """Train from the model's present weights; yields each epoch's mean loss.

        `current`: the windows to train on (default all). `before_step`: called with the number of each step. The
        order of windows and the model's dropout follow from `seed` alone; the learning rate (default the trainer's)
        falls along a half cosine to a tenth. `pieces`: of each epoch, at most its steps; each is yielded. Raises
        TrainingDiverged.
        """
        self.reset(seed)
        current = self.windows.current if current is None else current
        self.windows.prepare(current)
        batch = min(self._batch_size, len(current))
        per_epoch = self.steps(current)
        highest = self._learning_rate if learning_rate is None else learning_rate
        generator = np.random.default_rng(seed)
        for epoch in range(epochs):
            order = generator.permutation(current)
            losses: list[tf.Tensor] = []
            for number in range(per_epoch):
                step = epoch * per_epoch + number
                before_step(step)
                part = order[number * batch : (number + 1) * batch]
                rate = tf.constant(highest * falling(step / (epochs * per_epoch)), tf.float32)
                losses.append(self._step(self.windows.inputs(part), self.windows.wanted(part), rate, self._version()))
                if (number + 1) * pieces // per_epoch > number * pieces // per_epoch:
                    yield self._mean(losses, epoch + 1)
                    losses = []

    def steps(self, current: npt.NDArray[np.int32]) -> int:
        """Of one epoch over these windows."""
        return len(current) // min(self._batch_size, len(current))

    def _mean(self, losses: list[tf.Tensor], epoch: int) -> float:
        loss = float(tf.reduce_mean(tf.stack(losses)))
        finite = all(bool(tf.reduce_all(tf.math.is_finite(v.value))) for v in self.model.trainable_variables)
        if not (math.isfinite(loss) and finite):
            what = f"loss is {loss}" if not math.isfinite(loss) else "a weight is not finite"
            raise TrainingDiverged(f"training must stay finite, but {what} in epoch {epoch}")
        return loss

    def _trace_step(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rate: tf.Tensor, version: int) -> tf.Tensor:
        self.traces += 1
        self._optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            loss = mean_squared_error(targets, self.model(inputs, training=True))
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss


class Predictor:
    """A model's outputs for windows in order, from one traced graph of fixed batch."""

    def __init__(self, model: Any, windows: Windows, version: Callable[[], int] = lambda: 0) -> None:
        self.windows = windows
        self._version = version
        self.traces = 0
        self._model = model
        self._batch = tf.function(self._trace_batch, jit_compile=False, autograph=False)

    def outputs(self, current: npt.NDArray[np.int32] | None = None) -> FloatArray:
        """(windows,) → (windows, outputs): masks, standardised spectra or scores."""
        current = self.windows.current if current is None else current
        size = self.windows.prediction_batch
        batches = np.pad(current, (0, -len(current) % size), mode="edge").reshape(-1, size)
        parts = [self._batch(self.windows.inputs(part), self._version()).numpy() for part in batches]
        return np.concatenate(parts)[: len(current)]

    def _trace_batch(self, inputs: tf.Tensor, version: int) -> tf.Tensor:
        self.traces += 1
        return self._model(inputs, training=False)


def require_finite(outputs: FloatArray, whose: str) -> None:
    """Raise TrainingDiverged if a model gives what is no number. `whose`: as `the trained model`."""
    if not np.isfinite(outputs).all():
        raise TrainingDiverged(f"{whose}'s outputs must be finite, but some are not")


def falling(progress: float) -> float:
    """A half cosine from 1 at progress 0 to a tenth at progress 1."""
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress))


def mean_squared_error(wanted: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Over a batch of targets and outputs, both (batch, outputs) → scalar."""
    return tf.reduce_mean(tf.square(wanted - given))


@dataclass(frozen=True)
class FloatTraining:
    """The float baseline's training: the weights of its best epoch and what it went through.

    `losses`: mean squared error per epoch; `scores`: the first quality on the validation mixtures per epoch, so
    that more is better; `best_epoch` counts from 1.
    """

    weights: tuple[FloatArray, ...]
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int


def train_baseline(
    model: Any, train: Windows, settings: TrainingSettings, seed: int, score: Callable[[], float]
) -> Iterator[FloatTraining]:
    """Train the float model; yields the state after every epoch and leaves the model at its best one.

    The best epoch has the largest `score()`, which measures the model as it stands: the error on unheard speakers
    turns upwards epochs before their intelligibility falls. It ends early once as many epochs
    as `baseline_patience` says, if not 0, have brought no larger score. Raises TrainingDiverged.
    """
    losses: list[float] = []
    scores: list[float] = []
    best: tuple[Any, ...] = ()
    trainer = Trainer(model, train, settings.batch_size, settings.learning_rate)
    for loss in trainer.train(settings.baseline_epochs, seed):
        losses.append(loss)
        scores.append(score())
        if int(np.argmax(scores)) == len(scores) - 1:
            best = tuple(model.get_weights())
        best_epoch = 1 + int(np.argmax(scores))
        yield FloatTraining(best, tuple(losses), tuple(scores), best_epoch)
        if 0 < settings.baseline_patience <= len(scores) - best_epoch:
            break
    model.set_weights(list(best))
