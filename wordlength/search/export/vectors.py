"""Test vectors: input frames, and what every layer makes of them, as whole numbers.

One file per tensor: codes without gaps, frame after frame, each in the smallest C integer that holds the tensor's
grid, the lowest byte first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wordlength.objectives.integer import Grid, IntegerProgram, Integers
from wordlength.search.export.c import plan

INPUT_FILE = "input.bin"
_AT_ONCE = 50
"""Frames whose layers are held in memory together."""


def number_type(grid: Grid) -> np.dtype[np.signedinteger | np.unsignedinteger]:
    """NumPy's type of a tensor's file."""
    return np.dtype(f"<{'i' if grid.signed else 'u'}{grid.word_bits // 8}")


def layer_outputs(program: IntegerProgram, codes: Integers) -> Iterator[tuple[str, Grid, Integers]]:
    """Input codes (n, …) → name, grid and codes (n, …) of every stage, in order; some frames at a time."""
    names = {id(stage.last): stage.name for stage in plan(program)}
    for start in range(0, len(codes), _AT_ONCE):
        for step, made in program.outputs(codes[start : start + _AT_ONCE]):
            if id(step) in names:
                yield names[id(step)], step.grid, made


def write_vectors(program: IntegerProgram, codes: Integers, folder: Path) -> None:
    """Write the input's codes (n, *input_shape) and every layer's to a new folder."""
    folder.mkdir(parents=True)
    codes.astype(number_type(program.input_grid)).tofile(folder / INPUT_FILE)
    for name, grid, made in layer_outputs(program, codes):
        with (folder / f"{name}.bin").open("ab") as file:
            file.write(made.astype(number_type(grid)).tobytes())


def read_inputs(program: IntegerProgram, folder: Path) -> npt.NDArray[np.int64]:
    """The input's codes, (n, *input_shape)."""
    held = np.fromfile(folder / INPUT_FILE, number_type(program.input_grid))
    return held.astype(np.int64).reshape(-1, *program.input_shape)
