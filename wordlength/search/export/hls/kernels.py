"""The Keras layer that hls4ml reads in place of a layer with a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from wordlength.arrays import FloatArray
from wordlength.objectives.integer import Sum
from wordlength.search.export.hls.nodes import Refused
from wordlength.space.layer_types import LAYER_TYPES


@dataclass(frozen=True, eq=False)
class Kernel:
    """Keras' class, what it is made with, and its kernel's values in the shape that this class has.

    `reuse`: multiplications per output, of which hls4ml does one at a time: a factor that divides the inputs is
    always allowed.
    """

    kind: str
    settings: dict[str, Any]
    values: FloatArray
    reuse: int


def kernel_layer(layer: Any, step: Sum, values: FloatArray) -> Kernel:
    """The layer that computes `step`, a sum of the Keras layer. Raises Refused where hls4ml has none."""
    if not LAYER_TYPES[type(layer).__name__].hls4ml:
        raise Refused(f"a {type(layer).__name__} has not been tested in hls4ml")
    axes = len(layer.input.shape) - 2
    settings: dict[str, Any] = {"use_bias": step.bias is not None}
    moves = hasattr(layer, "kernel_size") and step.kernel.info.name != "pointwise_kernel"
    settings |= _movement(layer) if moves else {"kernel_size": (1,) * axes} if axes else {}
    if step.depthwise:
        if values.shape[-1] != 1:
            raise Refused("hls4ml has no depthwise convolutions with a depth_multiplier other than 1")
        settings["depth_multiplier"] = 1
        return Kernel(f"DepthwiseConv{axes}D", settings, values, prod(values.shape[:-2]))
    if not axes:
        return Kernel("Dense", settings | {"units": values.shape[-1]}, values, prod(values.shape[:-1]))
    if axes > 2:
        raise Refused(f"hls4ml has no layers along {axes} axes")
    # A dense layer along several axes is a convolution of one place.
    values = values if moves else values.reshape(*(1,) * axes, *values.shape[-2:])
    return Kernel(f"Conv{axes}D", settings | {"filters": values.shape[-1]}, values, prod(values.shape[:-1]))


def _movement(layer: Any) -> dict[str, Any]:
    """How a kernel moves over the input."""
    if layer.padding == "causal":
        raise Refused("hls4ml has no causal padding that is tested here")
    if any(rate != 1 for rate in layer.dilation_rate):
        raise Refused("hls4ml has no dilated convolutions")
    return {"kernel_size": layer.kernel_size, "strides": layer.strides, "padding": layer.padding}
