"""A quantized network as a graph of integer operations: the reference that the exported C equals to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wordlength.objectives.integer.grid import Grid, Integers
from wordlength.objectives.integer.merging import Merge
from wordlength.objectives.integer.moving import Move
from wordlength.objectives.integer.parameters import Parameter
from wordlength.objectives.integer.pooling import Pool
from wordlength.objectives.integer.recurrent import Recurrent
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Shape, Sum
from wordlength.space import Fixed

Step = Sum | Round | Pool | Move | Merge | Recurrent
INPUT = -1
"""The source of a step that reads the network's input."""


@dataclass(frozen=True, eq=False)
class IntegerProgram:
    """All steps of a network, in order; the last one gives the output.

    `input_format`: what the float input is rounded to. Tensors are (n, height, width, channels) in int64 here, codes
    of the grid of the step that made them.
    """

    input_format: Fixed
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    parameters: tuple[Parameter, ...]

    @cached_property
    def input_grid(self) -> Grid:
        """The codes of the input."""
        return grid_of(self.input_format)

    @property
    def output_grid(self) -> Grid:
        """The codes of the output."""
        return self.steps[-1].grid

    def encode(self, inputs: npt.ArrayLike) -> Integers:
        """Float inputs (n, *input_shape) → codes of the same shape, rounded and saturated."""
        codes, _ = self.input_format.numbers(self.input_format.encode(inputs, "input"))
        return codes

    def outputs(self, codes: Integers) -> Iterator[tuple[Step, Integers]]:
        """Input codes (n, *input_shape) → every step with its codes (n, *step.shape).

        Codes that no later step reads are let go.
        """
        last_use = {source: number for number, step in enumerate(self.steps) for source in step.sources}
        held = {INPUT: np.asarray(codes, np.int64)}
        for number, step in enumerate(self.steps):
            held[number] = made = step(*(held[source] for source in step.sources))
            for source in set(step.sources):
                if last_use[source] == number:
                    del held[source]
            yield step, made

    def run(self, codes: Integers) -> Integers:
        """Input codes (n, *input_shape) → output codes (n, *output_shape)."""
        *_, (_, made) = self.outputs(codes)
        return made.reshape(-1, *self.output_shape)


def grid_of(fmt: Fixed) -> Grid:
    """All codes of a fixed-point format with one step."""
    return Grid(int(fmt.step_exponents[0]), fmt.lowest_code, fmt.highest_code)


def source_shape(shape: tuple[int | None, ...]) -> Shape:
    """A Keras shape without its batch axis, as height, width and channels."""
    known = tuple(int(size or 0) for size in shape[1:])
    if len(known) > 3:
        # Only the last axis means something to a dense layer.
        return 1, int(np.prod(known[:-1])), known[-1]
    height, width, channels = (*(1,) * (3 - len(known)), *known)
    return height, width, channels
