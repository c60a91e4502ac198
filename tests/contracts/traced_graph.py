"""One traced TensorFlow graph through which every format of a role goes."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from wordlength.space import Format
from wordlength.space.quantizers import FormatQuantizer


class Answer(NamedTuple):
    """What TensorFlow makes of a matrix of values; all in its shape but the limits, which broadcast to it."""

    rounded: np.ndarray
    gradient: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


class TracedGraph:
    """`graph(fmt, values, upstream)`; fails if a format, or a shape, made TensorFlow trace again."""

    def __init__(self, activations: bool) -> None:
        self.quantizer = FormatQuantizer(activations=activations)
        self.traces = 0
        matrix = tf.TensorSpec([None, None], tf.float32)
        self._graph = tf.function(self._trace, input_signature=[matrix, matrix], jit_compile=False)

    def _trace(self, values: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        self.traces += 1
        with tf.GradientTape() as tape:
            tape.watch(values)
            rounded = self.quantizer(values)
        gradient = tape.gradient(rounded, values, output_gradients=upstream)
        return rounded, gradient, *self.quantizer.limits(values)

    def __call__(
        self, fmt: Format, values: np.ndarray, upstream: np.ndarray | None = None, learns: bool = True
    ) -> Answer:
        self.quantizer.assign(fmt, learns)
        assert self.quantizer.format == fmt
        answer = self._graph(values, np.ones_like(values) if upstream is None else upstream)
        assert self.traces == 1
        return Answer(*(tensor.numpy() for tensor in answer))
