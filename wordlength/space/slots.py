"""Slots: the quantizable tensors of a Keras model, found by layer type.

A slot is one (layer, role). Slots share a format where hardware shares a word length: both kernels of
a separable convolution belong to its layer's WEIGHTS slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import Any

from wordlength.errors import FormatError, ModelError
from wordlength.space.formats import Binary, Format
from wordlength.space.layer_types import LAYER_TYPES, Family, LayerType, of_family


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

    `name`: its path where a layer holds others, `cell.kernel`. `channel_axes`: how many trailing axes make up the
    output channel, 2 for depthwise kernels (height, width, input channel, multiplier), else 1; the channels of a
    transposed convolution's kernel are those of its input, which Keras has last. `place`: among the model's weights.
    """

    name: str
    shape: tuple[int, ...]
    channel_axes: int = 1
    place: int = field(default=0, compare=False)

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
    """A slot with what it stores; `tensors` is empty for activations, which are not stored.

    `no_binary`: why it cannot be binary; empty if it can.
    """

    slot: Slot
    tensors: tuple[TensorInfo, ...]
    no_binary: str = ""

    @property
    def count(self) -> int:
        """Number of stored elements."""
        return sum(tensor.count for tensor in self.tensors)

    def require(self, fmt: Format) -> None:
        """Raise FormatError naming the slot if its layer cannot have the format, whatever the role."""
        if self.no_binary and isinstance(fmt, Binary):
            raise FormatError(f"{self.slot} cannot be binary: {self.no_binary}")

    def formats(self, fmt: Format) -> tuple[Format, ...]:
        """The format of each tensor. Raises FormatError as `require`, and if `fmt` is for other channels."""
        self.require(fmt)
        try:
            return fmt.for_tensors([tensor.packed_shape[-1] for tensor in self.tensors])
        except FormatError as error:
            raise FormatError(f"{error} ({self.slot})") from None


KERNELS: dict[str, tuple[str, ...]] = {
    name: kind.weights for name, kind in LAYER_TYPES.items() if kind.family is Family.KERNEL
}
"""Layer type with a kernel → its kernel attributes."""

ACTIVATION_LAYERS = of_family(Family.FUNCTION)
_LEAVES_ITS_OUTPUT = (Family.KERNEL, Family.SCALE, Family.MERGE)
"""Families whose linear output an activation layer that follows alone quantizes."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a layer is made of, wrappers looked through.

    `core`: the layer in a TimeDistributed, else the layer itself. `weights`, `biases`: paths of its tensors from the
    layer that the model has, those that are not there left out.
    """

    layer: Any
    core: Any
    family: Family
    weights: tuple[str, ...]
    biases: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The core's layer type."""
        return type(self.core).__name__

    @property
    def has_function(self) -> bool:
        """Whether a layer with a kernel applies a non-linearity itself."""
        from keras import activations

        # By itself: a user's function may have this name, too.
        return self.family is Family.KERNEL and self.core.activation is not activations.linear


def anatomy(layer: Any) -> Anatomy:
    """Look into a layer. Raises ModelError naming a layer of unknown type, or a wrapper of what it cannot wrap."""
    kind, known = type(layer).__name__, _type_of(layer)
    if known.family is not Family.WRAPPER:
        return _anatomy(layer, layer, known, ("",))
    inner = layer.layer if kind == "TimeDistributed" else layer.forward_layer
    found, both = _type_of(inner, layer.name), kind == "Bidirectional"
    prefixes = ("forward_layer.", "backward_layer.") if both else ("layer.",)
    if found.family not in ((Family.RECURRENT,) if both else (Family.KERNEL, Family.PASSING, Family.AVERAGE)):
        raise ModelError(f"a {kind} cannot be of a {type(inner).__name__}, but layer {layer.name!r} is")
    return _anatomy(layer, layer if both else inner, found, prefixes)


def _anatomy(layer: Any, core: Any, known: LayerType, prefixes: tuple[str, ...]) -> Anatomy:
    def there(paths: tuple[str, ...]) -> tuple[str, ...]:
        # A name of Keras' that is None belongs to a layer without bias, scale or centre.
        every = (prefix + path for prefix in prefixes for path in paths)
        return tuple(path for path in every if variable_of(layer, path) is not None)

    return Anatomy(layer, core, known.family, there(known.weights), there(known.biases))


def _type_of(layer: Any, wrapper: str = "") -> LayerType:
    kind = type(layer).__name__
    if kind not in LAYER_TYPES or not type(layer).__module__.startswith("keras."):
        known = ", ".join(sorted(LAYER_TYPES))
        raise ModelError(f"layers must be one of {known}, but layer {wrapper or layer.name!r} is a {kind}")
    return LAYER_TYPES[kind]


def variable_of(layer: Any, path: str) -> Any:
    """The variable at a tensor's path; None if the layer has none."""
    holder, _, name = path.rpartition(".")
    return getattr(attrgetter(holder)(layer) if holder else layer, name, None)


def directions(layer: Any) -> tuple[Any, ...]:
    """The passes over time of a recurrent layer: itself, or the two layers of a Bidirectional, forward first."""
    return (layer.forward_layer, layer.backward_layer) if hasattr(layer, "forward_layer") else (layer,)


def find_slots(model: Any) -> tuple[SlotInfo, ...]:
    """Every quantizable tensor of a built functional or sequential Keras model, in layer order.

    A layer has WEIGHTS and BIASES if it has such tensors. It has ACTIVATIONS if it gives values that its inputs do
    not have, unless it is linear and activation layers alone follow, which then have them. Raises ModelError naming
    layer and reason for whatever no format can be given to.
    """
    for operation in getattr(model, "operations", ()):
        _require_layer(operation)
    places = {id(variable): place for place, variable in enumerate(model.weights)}
    found: list[SlotInfo] = []
    for layer in model.layers:
        parts = anatomy(layer)
        _require_quantizable(parts)
        found += _slots_of(parts, places)
    if not any(info.tensors for info in found):
        raise ModelError(f"a model to quantize needs a layer with weights, but {model.name!r} has none")
    return tuple(found)


def _slots_of(parts: Anatomy, places: dict[int, int]) -> Iterator[SlotInfo]:
    name = parts.layer.name
    for role, paths in ((Role.WEIGHTS, parts.weights), (Role.BIASES, parts.biases)):
        if paths:
            yield SlotInfo(Slot(name, role), tuple(_tensor(parts, path, places) for path in paths))
    if _has_values_of_its_own(parts):
        state = parts.family is Family.RECURRENT
        yield SlotInfo(Slot(name, Role.ACTIVATIONS), (), _NO_BINARY_STATE if state else "")


_NO_BINARY_STATE = "the state of a recurrent layer is its memory, and its function lies within"


def _tensor(parts: Anatomy, path: str, places: dict[int, int]) -> TensorInfo:
    variable = variable_of(parts.layer, path)
    depthwise = path.endswith("depthwise_kernel") or (parts.kind.startswith("Depthwise") and path.endswith("kernel"))
    return TensorInfo(path, tuple(variable.shape), 2 if depthwise else 1, places[id(variable)])


def _has_values_of_its_own(parts: Anatomy) -> bool:
    if parts.family in _LEAVES_ITS_OUTPUT:
        return parts.has_function or not _feeds_activation_layer(parts.layer)
    return parts.family in (Family.RECURRENT, Family.FUNCTION)


def _feeds_activation_layer(layer: Any) -> bool:
    consumers = [node.operation for node in layer._outbound_nodes]
    return bool(consumers) and all(type(consumer).__name__ in ACTIVATION_LAYERS for consumer in consumers)


def _require_layer(operation: Any) -> None:
    from keras import Layer

    if not isinstance(operation, Layer):
        kind = type(operation).__name__
        raise ModelError(
            f"a network must be made of layers, but {operation.name!r} is the operation {kind} of keras.ops; "
            "write it as a layer, + as layers.Add()"
        )


def _require_quantizable(parts: Anatomy) -> None:
    for breaks, told in _REFUSALS:
        if breaks(parts):
            uses = len(parts.layer._inbound_nodes)
            raise ModelError(told.format(name=parts.layer.name, core=parts.core, kind=parts.kind, uses=uses))


def _recurrent_parts(parts: Anatomy) -> tuple[Any, ...]:
    return directions(parts.core) if parts.family is Family.RECURRENT else ()


_SLOTTED = frozenset(Family) - {Family.PASSING, Family.AVERAGE, Family.INPUT}
_REFUSALS: tuple[tuple[Callable[[Anatomy], Any], str], ...] = (
    (
        lambda parts: parts.family is Family.FOLDED,
        "batch normalization must be folded before it is quantized (objectives/folding.py), but {name!r} is not",
    ),
    (
        lambda parts: parts.family in _SLOTTED and len(parts.layer._inbound_nodes) > 1,
        "a layer with a format must be used once, but {name!r} is used {uses} times",
    ),
    (
        lambda parts: getattr(parts.core, "groups", 1) != 1,
        "convolutions must have groups=1 (QKeras has no others), but {name!r} has {core.groups}",
    ),
    (
        lambda parts: getattr(parts.core, "lora_enabled", False),
        "kernels must not be split by LoRA, but that of {name!r} is",
    ),
    (
        lambda parts: getattr(parts.core, "interpolation", "nearest") != "nearest",
        "upsampling must repeat values (interpolation='nearest'), but {name!r} has {core.interpolation!r}",
    ),
    (
        lambda parts: any(one.stateful for one in _recurrent_parts(parts)),
        "a recurrent layer must start every window anew, but {name!r} is stateful",
    ),
    (
        lambda parts: any(one.return_state for one in _recurrent_parts(parts)),
        "a recurrent layer must give its output alone, but {name!r} gives its state too (return_state)",
    ),
    (
        lambda parts: len({type(one) for one in _recurrent_parts(parts)}) > 1,
        "both directions must be of one type, but {name!r} has two",
    ),
    (
        lambda parts: getattr(parts.layer, "merge_mode", "concat") is None,
        "both directions must be merged, but {name!r} has merge_mode=None",
    ),
)
"""What a layer of a known type must not be → what is said of it."""
