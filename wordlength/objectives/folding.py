"""Batch normalization folded into the kernels beside it: the same function, with parameters that are stored anyway.

In inference a batch normalization is y = a · x + b per channel, a = gamma / √(variance + epsilon), b = beta − a · mean
(Ioffe & Szegedy 2015, section 3.1). It goes backward into the linear layer that gives x: its kernel's output channels
times a, its bias times a, plus b. Or forward into the layer that reads y, where that is exact: its kernel's input
channels times a, its bias plus the kernel's answer to b. That is not so where zeros are padded, which stay zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wordlength.errors import ModelError
from wordlength.space.layer_types import Family, of_family
from wordlength.space.slots import KERNELS, anatomy

Array = npt.NDArray[np.float64]

_NORMALIZATION = "BatchNormalization"
_BY_CHANNEL = frozenset({"Dropout", "Identity", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise"}) | frozenset(
    name for name in of_family(Family.PASSING, Family.AVERAGE) if name.startswith(("Average", "GlobalAverage", "Up"))
)
"""Layers through which a factor and a shift of every channel go unchanged, as their weights add up to 1."""
_MOVED = {
    "Dense": ("kernel", lambda kernel: kernel),
    "Conv1D": ("kernel", lambda kernel: kernel),
    "Conv2D": ("kernel", lambda kernel: kernel),
    "DepthwiseConv1D": ("kernel", lambda kernel: kernel),
    "DepthwiseConv2D": ("kernel", lambda kernel: kernel),
    "SeparableConv1D": ("depthwise_kernel", lambda kernel: kernel),
    "SeparableConv2D": ("depthwise_kernel", lambda kernel: kernel),
}


@dataclass(frozen=True)
class _Affine:
    """y = factor · x + shift, (channels,) each."""

    factor: Array
    shift: Array

    @classmethod
    def of(cls, layer: Any) -> _Affine:
        """What a batch normalization does once training is over."""
        mean, variance = (np.asarray(one, np.float64) for one in (layer.moving_mean, layer.moving_variance))
        factor = 1 / np.sqrt(variance + layer.epsilon)
        factor = factor if layer.gamma is None else factor * np.asarray(layer.gamma, np.float64)
        shift = -mean * factor
        return cls(factor, shift if layer.beta is None else shift + np.asarray(layer.beta, np.float64))
