"""Slots: the quantizable tensors of a Keras model, found by layer type.

A slot is one (layer, role). Slots share a format where hardware shares a word length: both kernels of
a separable convolution belong to its layer's WEIGHTS slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import prod
from typing import Any

from wordlength.errors import FormatError, ModelError
from wordlength.space.formats import Format


class Role(StrEnum):
    """What a slot's tensor is to its layer."""

    WEIGHTS = "weights"
    BIASES = "biases"
    ACTIVATIONS = "activations"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One quantizable tensor: written `dense_1.weights`."""

    layer: str
    role: Role

    def __str__(self) -> str:
        return f"{self.layer}.{self.role}"

    @classmethod
    @lru_cache(4096)
    def parse(cls, text: str) -> Slot:
        """Read `layer.role`. Raises ValueError naming the text."""
        layer, _, role = text.rpartition(".")
        if not layer or role not in tuple(Role):
            raise ValueError(f"a slot is written LAYER.weights, .biases or .activations, but got {text!r}")
        return cls(layer, Role(role))


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One stored tensor of a slot: its attribute on the layer, its shape in Keras.

    `channel_axes`: how many trailing axes make up the output channel, 2 for depthwise kernels
    (height, width, input channel, multiplier), else 1.
    """

    name: str
    shape: tuple[int, ...]
    channel_axes: int = 1

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """The shape in which formats see the tensor: its output channels along the last axis, same order."""
        return (*self.shape[: -self.channel_axes], prod(self.shape[-self.channel_axes :]))


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot with what it stores; `tensors` is empty for activations, which are not stored."""

    slot: Slot
    tensors: tuple[TensorInfo, ...]

    @property
    def count(self) -> int:
        """Number of stored elements."""
        return sum(tensor.count for tensor in self.tensors)

    def formats(self, fmt: Format) -> tuple[Format, ...]:
        """The format of each tensor. Raises FormatError naming the slot if `fmt` is for other channels."""
        try:
            return fmt.for_tensors([tensor.packed_shape[-1] for tensor in self.tensors])
        except FormatError as error:
            raise FormatError(f"{error} ({self.slot})") from None


KERNELS: dict[str, tuple[str, ...]] = {
    "Dense": ("kernel",),
    "Conv1D": ("kernel",),
    "Conv2D": ("kernel",),
    "DepthwiseConv2D": ("kernel",),
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
}
"""Layer type → its kernel attributes. A layer type with weights that is not here is an error."""

ACTIVATION_LAYERS = frozenset({"Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"})


def find_slots(model: Any) -> tuple[SlotInfo, ...]:
    """Every quantizable tensor of a built functional or sequential Keras model, in layer order.

    A layer with a kernel has WEIGHTS, BIASES if it has a bias, and ACTIVATIONS unless it is linear and
    an activation layer follows, which then has the ACTIVATIONS slot. Raises ModelError naming a layer
    with weights of unknown type, a nested model, or a layer used twice.
    """
    found: list[SlotInfo] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in KERNELS:
            _require_plain_use(layer)
            kernels = tuple(_kernel(layer, name) for name in KERNELS[kind])
            found.append(SlotInfo(Slot(layer.name, Role.WEIGHTS), kernels))
            if layer.use_bias:
                found.append(SlotInfo(Slot(layer.name, Role.BIASES), (TensorInfo("bias", tuple(layer.bias.shape)),)))
            if has_own_activation(layer) or not _feeds_activation_layer(layer):
                found.append(SlotInfo(Slot(layer.name, Role.ACTIVATIONS), ()))
        elif kind in ACTIVATION_LAYERS:
            _require_plain_use(layer)
            found.append(SlotInfo(Slot(layer.name, Role.ACTIVATIONS), ()))
        elif layer.weights:
            known = ", ".join(sorted(KERNELS))
            raise ModelError(f"layers with weights must be one of {known}, but layer {layer.name!r} is a {kind}")
    if not any(info.tensors for info in found):
        raise ModelError(f"a model to quantize needs a layer with weights, but {model.name!r} has none")
    return tuple(found)


def _kernel(layer: Any, name: str) -> TensorInfo:
    depthwise = name == "depthwise_kernel" or type(layer).__name__.startswith("Depthwise")
    return TensorInfo(name, tuple(getattr(layer, name).shape), 2 if depthwise else 1)


def has_own_activation(layer: Any) -> bool:
    """Whether a kernel layer applies a non-linearity itself."""
    return getattr(layer.activation, "__name__", "") != "linear"


def _feeds_activation_layer(layer: Any) -> bool:
    consumers = [node.operation for node in layer._outbound_nodes]
    return bool(consumers) and all(type(consumer).__name__ in ACTIVATION_LAYERS for consumer in consumers)


def _require_plain_use(layer: Any) -> None:
    if len(layer._inbound_nodes) > 1:
        uses = len(layer._inbound_nodes)
        raise ModelError(f"a layer with a format must be used once, but {layer.name!r} is used {uses} times")
    if getattr(layer, "padding", "") == "causal":
        raise ModelError(f"convolutions must not have causal padding (QKeras fails on it), but {layer.name!r} has")
    if getattr(layer, "groups", 1) != 1:
        raise ModelError(
            f"convolutions must have groups=1 (QKeras has no others), but {layer.name!r} has {layer.groups}"
        )
