"""Sums of products: what dense and convolutional layers are before their activation function, exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.grid import MOST_BITS, Grid, Integers
from wordlength.objectives.integer.parameters import Parameter

Shape = tuple[int, int, int]
"""Height, width, channels: a tensor of lower rank has heights (and widths) of 1."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a kernel meets its input: two numbers each, for height and width.

    A dense layer is a 1 × 1 convolution. `before`: zeros that padding adds above and to the left. `transposed`: input
    and output change places: an input meets the outputs that a convolution of the outputs would take it from.
    """

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    transposed: bool = False

    def taps(self) -> Iterator[tuple[int, int]]:
        """Every place of the kernel."""
        return ((row, column) for row in range(self.kernel[0]) for column in range(self.kernel[1]))

    def meets(self, tap: int, axis: int, size: int, out: int) -> tuple[slice, slice]:
        """Where a tap of the kernel lies within the input, along one axis: outputs, and the inputs that they meet."""
        if self.transposed:
            inputs, outputs = replace(self, transposed=False).meets(tap, axis, out, size)
            return outputs, inputs
        stride, first = self.strides[axis], tap * self.dilation[axis] - self.before[axis]
        start = max(0, -(first // stride))
        stop = min(out, (size - 1 - first) // stride + 1)
        if stop <= start:
            return slice(0, 0), slice(0, 0)
        begin = start * stride + first
        return slice(start, stop), slice(begin, begin + (stop - start - 1) * stride + 1, stride)


@dataclass(frozen=True, eq=False)
class Sum:
    """One kernel's sums of products, and the bias: whole numbers, nothing rounded.

    A product is the input's code times the kernel's code, shifted left as far as the code's exponent lies above the
    kernel's last bit. `depthwise`: every input channel has sums of its own.
    """

    layer: str
    kernel: Parameter
    bias: Parameter | None
    geometry: Geometry
    depthwise: bool
    source: int
    source_grid: Grid
    source_shape: Shape
    shape: Shape
    source_ends: tuple[Integers, Integers] | None = None
    """Lowest and highest input of every channel, where they are known."""
    bias_row: int = 0
    """Which row of a bias that holds several, as a recurrent layer's does."""

    @property
    def sources(self) -> tuple[int, ...]:
        """The steps that it reads."""
        return (self.source,)

    @property
    def product_exponent(self) -> int:
        """Exponent of a product's last bit."""
        return self.source_grid.exponent + self.kernel.exponent

    @property
    def exponent(self) -> int:
        """Exponent of the sum's last bit."""
        used = [] if self.silent else [self.product_exponent]
        used += [self._used_bias.exponent] if self._used_bias else []
        return min(used, default=self.product_exponent)

    @property
    def product_shift(self) -> int:
        """How far the sum of products is shifted left before the bias is added."""
        return 0 if self.silent else self.product_exponent - self.exponent

    @cached_property
    def silent(self) -> bool:
        """Whether every product is 0: there is nothing to multiply, or nothing to shift."""
        return not self.kernel.integers.any() or self.source_grid.lowest == self.source_grid.highest == 0

    @property
    def bias_shift(self) -> int:
        """How far the bias is shifted left."""
        return self._used_bias.exponent - self.exponent if self._used_bias else 0

    @cached_property
    def _used_bias(self) -> Parameter | None:
        return self.bias if self.bias is not None and self.bias.integers.any() else None

    @cached_property
    def weights(self) -> Integers:
        """The kernel, (height, width, inputs, outputs): outputs per input if depthwise."""
        integers = self.kernel.integers
        weights = integers.reshape(*self.geometry.kernel, *integers.shape[-2:])
        # Keras has the channels of a transposed convolution's input last.
        return np.asarray(np.swapaxes(weights, -1, -2) if self.geometry.transposed else weights)

    @cached_property
    def biases(self) -> Integers:
        """(outputs,) shifted to the sum's last bit; zeros without a bias. Raises IntegerError beyond a 64-bit word."""
        if self._used_bias is None:
            return np.zeros(self.shape[2], np.int64)
        integers = self._used_bias.integers.reshape(-1, self.shape[2])[self.bias_row]
        bits = int(np.abs(integers).max()).bit_length() + self.bias_shift
        if bits > MOST_BITS - 2:
            raise IntegerError(
                f"biases of {self.layer} must fit {MOST_BITS} bits at the sums' last bit, but need {bits + 1}"
            )
        return np.asarray(integers << self.bias_shift, np.int64)

    @cached_property
    def grid(self) -> Grid:
        """Where the sums lie, by interval arithmetic over these weights: no input within its grid leaves it."""
        lows, highs = self.ends
        return Grid(self.exponent, int(lows.min()), int(highs.max()))

    @cached_property
    def accumulator(self) -> Grid:
        """Where the sums and everything on the way to them lie: the word that computes them must hold it."""
        lows, highs = self._product_ends
        return Grid(self.exponent, min(int(lows.min()), self.grid.lowest), max(int(highs.max()), self.grid.highest))

    @property
    def ends(self) -> tuple[Integers, Integers]:
        """Lowest and highest sum of every output channel, (outputs,) each."""
        lows, highs = self._product_ends
        return lows + self.biases, highs + self.biases

    @cached_property
    def _product_ends(self) -> tuple[Integers, Integers]:
        """Lowest and highest sum of products per output channel, zero included: padding meets zeros.

        Any partial sum lies between the two. Raises IntegerError beyond a 64-bit word.
        """
        low, high = self.source_ends or (np.array([self.source_grid.lowest]), np.array([self.source_grid.highest]))
        low, high = np.minimum(low, 0)[:, None], np.maximum(high, 0)[:, None]
        # By input and output channel; a depthwise kernel's outputs each have one input.
        weights = np.abs(self.weights.astype(np.float64)).sum((0, 1))
        largest = np.maximum(-low, high) * weights
        largest = largest if self.depthwise else largest.sum(0)
        if max(float(largest.max()) * 2.0**self.product_shift, float(weights.max())) > 2.0 ** (MOST_BITS - 1):
            raise IntegerError(f"sums of {self.layer} must fit {MOST_BITS} bits, but need more")
        rising, falling = (cut(self.weights, 0).sum((0, 1)) for cut in (np.maximum, np.minimum))
        lows, highs = rising * low + falling * high, rising * high + falling * low
        if not self.depthwise:
            lows, highs = lows.sum(0), highs.sum(0)
        return lows.reshape(-1) << self.product_shift, highs.reshape(-1) << self.product_shift

    def check(self) -> None:
        """Raise IntegerError if a 64-bit word cannot hold what is computed."""
        self.accumulator.require_word(f"sums of {self.layer}")

    def __call__(self, codes: Integers) -> Integers:
        """(n, *source_shape) codes → (n, *shape) sums."""
        codes = codes.reshape(-1, *self.source_shape)
        total = np.zeros((len(codes), *self.shape), np.int64)
        for row, column in self.geometry.taps():
            to_rows, rows = self.geometry.meets(row, 0, self.source_shape[0], self.shape[0])
            to_columns, columns = self.geometry.meets(column, 1, self.source_shape[1], self.shape[1])
            met, weights = codes[:, rows, columns], self.weights[row, column]
            products = (met[..., None] * weights).reshape(*met.shape[:3], -1) if self.depthwise else met @ weights
            total[:, to_rows, to_columns] += products
        return (total << self.product_shift) + self.biases

    def products(self) -> int:
        """How many products a frame takes, those with the padding's zeros left out; none if all are 0."""
        if self.silent:
            return 0
        met = [0, 0]
        for axis in range(2):
            for tap in range(self.geometry.kernel[axis]):
                outputs, _ = self.geometry.meets(tap, axis, self.source_shape[axis], self.shape[axis])
                met[axis] += outputs.stop - outputs.start
        per_place = self.shape[2] if self.depthwise else self.source_shape[2] * self.shape[2]
        return met[0] * met[1] * per_place
