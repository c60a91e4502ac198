"""A factor and a shift per channel, taken into the parameters of the layer before or behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wordlength.arrays import DoubleArray
from wordlength.space.layer_types import Family
from wordlength.space.slots import Anatomy, variable_of


@dataclass(frozen=True, eq=False)
class Affine:
    """y = factor · x + shift, (channels,) each."""

    factor: DoubleArray
    shift: DoubleArray

    @classmethod
    def of(cls, layer: Any) -> Affine:
        """What a batch normalization does once training is over."""
        mean, variance = (np.asarray(one, np.float64) for one in (layer.moving_mean, layer.moving_variance))
        factor = 1 / np.sqrt(variance + layer.epsilon)
        factor = factor if layer.gamma is None else factor * np.asarray(layer.gamma, np.float64)
        shift = -mean * factor
        return cls(factor, shift if layer.beta is None else shift + np.asarray(layer.beta, np.float64))

    def repeated(self, places: int) -> Affine:
        """That of so many places, flattened with the channels last."""
        return Affine(np.tile(self.factor, places), np.tile(self.shift, places))


@dataclass(frozen=True, eq=False)
class Arrays:
    """A layer's parameters in float64: kernels as its anatomy has them, and biases, zeros where it had none."""

    kernels: tuple[DoubleArray, ...]
    biases: tuple[DoubleArray, ...]

    @classmethod
    def of(cls, parts: Anatomy) -> Arrays:
        """The layer's own."""
        kernels = tuple(np.asarray(variable_of(parts.layer, path), np.float64) for path in parts.weights)
        biases = tuple(np.asarray(variable_of(parts.layer, path), np.float64) for path in parts.biases)
        return cls(kernels, biases or (np.zeros(parts.layer.output.shape[-1]),))

    def assign(self, parts: Anatomy) -> None:
        """Give them to a layer that has a bias."""
        for path, values in zip((*parts.weights, *parts.biases), (*self.kernels, *self.biases), strict=True):
            variable_of(parts.layer, path).assign(values.astype(np.float32))


def backward(parts: Anatomy, affine: Affine, arrays: Arrays) -> Arrays:
    """Parameters with which a linear layer gives factor · x + shift in place of x."""
    *others, last = arrays.kernels
    (bias,) = arrays.biases
    if "Transpose" in parts.kind:
        scaled = last * affine.factor[:, None]
    elif parts.kind.startswith("Depthwise"):
        scaled = last * affine.factor.reshape(last.shape[-2:])
    else:
        scaled = last * affine.factor
    return Arrays((*others, scaled), (bias * affine.factor + affine.shift,))


def forward(parts: Anatomy, affine: Affine, arrays: Arrays) -> Arrays:
    """Parameters with which a layer that pads no zeros gives for x what it gave for factor · x + shift."""
    if parts.family is Family.RECURRENT:
        return _forward_recurrent(affine, arrays)
    first, *others = arrays.kernels
    (bias,) = arrays.biases
    # (inputs, outputs) of all of the kernel's places, in answer to the shift: depthwise, per input alone.
    answer = (first * affine.shift[:, None]).sum(tuple(range(first.ndim - 2)))
    depthwise = others or parts.kind.startswith("Depthwise")
    moved = answer.reshape(-1) if depthwise else answer.sum(0)
    for pointwise in others:
        moved = moved @ pointwise.reshape(pointwise.shape[-2:])
    return Arrays((first * affine.factor[:, None], *others), (bias + moved,))


def _forward_recurrent(affine: Affine, arrays: Arrays) -> Arrays:
    kernels, biases = list(arrays.kernels), list(arrays.biases)
    for direction, bias in enumerate(biases):
        kernel = kernels[2 * direction]  # The recurrent one follows it.
        moved = affine.shift @ kernel
        kernels[2 * direction] = kernel * affine.factor[:, None]
        # A GRU that resets after its sum has a second bias, of the state.
        biases[direction] = bias + moved if bias.ndim == 1 else np.stack([bias[0] + moved, bias[1]])
    return Arrays(tuple(kernels), tuple(biases))
