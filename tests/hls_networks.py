"""Networks of everything that hls4ml has, and their hls4ml/ folders."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from wordlength.objectives.integer import IntegerProgram, integer_program
from wordlength.search.export.hls import write_project
from wordlength.space import Candidate, Fixed, find_slots

INPUT = Fixed(12, 3)
PLAIN = {"weights": "fixed<5,0>", "biases": "fixed<8,1>", "activations": "fixed<7,2>"}


def plane() -> keras.Model:
    """Two-dimensional, of everything that hls4ml has."""
    inputs = keras.Input((8, 9), name="frames")
    x = layers.Reshape((8, 9, 1))(inputs)
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.MaxPooling2D((1, 2), name="largest")(x)
    x = layers.SeparableConv2D(4, 3, strides=2, padding="same", activation="relu6", name="sep")(x)
    x = layers.DepthwiseConv2D(2, padding="same", use_bias=False, name="depth")(x)
    x = layers.ReLU(max_value=8, name="limited")(x)
    x = layers.Conv2D(4, (1, 2), activation="relu", name="wide")(x)
    x = layers.AveragePooling2D((3, 1), name="thirds")(x)
    x = layers.Dense(3, name="each")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(6, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(5, activation="sigmoid", name="mask")(x))


def line() -> keras.Model:
    """One-dimensional, with names that C++ does not allow and a curve before the last layer."""
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="first-conv")(inputs)
    x = layers.SeparableConv1D(5, 3, name="sep.1")(x)
    x = layers.Activation("relu", name="int")(x)
    x = layers.AveragePooling1D(2, name="pool")(x)
    x = layers.Dense(3, activation="relu", use_bias=False, name="each")(x)
    x = layers.GlobalAveragePooling1D(name="all")(x)
    x = layers.Dense(6, activation="tanh", name="c")(x)
    return keras.Model(inputs, layers.Dense(4, name="out")(x))


def program_of(model: keras.Model, **formats: str) -> IntegerProgram:
    """Random weights; formats by role, or by slot with `__` for the dot."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(0.05, 0.5, variable.shape) * (rng.random(variable.shape) > 0.1)
        variable.assign(values.astype(np.float32))
    by_slot = {name.replace("__", "."): text for name, text in formats.items()}
    chosen = {
        str(info.slot): by_slot.get(str(info.slot), (PLAIN | formats)[info.slot.role]) for info in find_slots(model)
    }
    return integer_program(model, Candidate.from_dict(chosen), INPUT)


def frames(program: IntegerProgram) -> np.ndarray:
    """Small numbers, and those at the ends of the input's range."""
    rng, shape = np.random.default_rng(1), program.input_shape
    low, high = program.input_grid.lowest, program.input_grid.highest
    ends = [np.full(shape, low), np.full(shape, high), *rng.choice([low, high], (4, *shape))]
    return np.concatenate([rng.integers(low // 4, high // 4, (14, *shape)), ends]).astype(np.int64)


def written(folder: Path, model: keras.Model, **formats: str) -> tuple[IntegerProgram, Path]:
    program = program_of(model, **formats)
    assert write_project(folder / "hls4ml", program, model, frames(program), "a test") == {}
    return program, folder / "hls4ml"


def chain(shape: tuple[int, ...], *parts: layers.Layer) -> keras.Model:
    inputs = values = keras.Input(shape, name="frames")
    for part in parts:
        values = part(values)
    return keras.Model(inputs, values)


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""
