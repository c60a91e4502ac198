"""What a network computes, layer by layer, as plain numbers: elements of every map, products, sums.

Counted per window, from a built functional Keras model of the layers in space/layer_types.py; of any other type is a
ModelError, never nothing. Activation functions are not counted. With it costs need no Keras: the facts travel with the
float baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any

from wordlength.errors import ModelError
from wordlength.space.layer_types import LAYER_TYPES, Family
from wordlength.space.slots import anatomy, directions

Counts = dict[str, int]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer, per window.

    `sources`: the layers whose outputs it reads; `elements`: of its output; `products`: of a weight and an activation;
    `elementwise`: other multiplications, of two activations or with a constant; `additions`: biases included; `terms`:
    summands of one output; `state`: elements that it holds besides input and output; `in_place`: whether its output
    takes its first input's place in memory.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    elements: int
    products: int = 0
    elementwise: int = 0
    additions: int = 0
    terms: int = 1
    state: int = 0
    in_place: bool = False


@dataclass(frozen=True)
class NetworkFacts:
    """A network's layers, in the order in which they run."""

    layers: tuple[LayerFacts, ...]

    @cached_property
    def _by_name(self) -> Mapping[str, LayerFacts]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> LayerFacts:
        """By its name."""
        return self._by_name[name]

    def readers(self, name: str) -> tuple[LayerFacts, ...]:
        """The layers that read a layer's output."""
        return tuple(layer for layer in self.layers if name in layer.sources)

    def buffer_owner(self, name: str) -> str:
        """The layer that first wrote the buffer in which a layer's output lies.

        A layer works in place only where no other reads its input.
        """
        layer = self.layer(name)
        if layer.in_place and len(self.readers(layer.sources[0])) == 1:
            return self.buffer_owner(layer.sources[0])
        return name

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-able; inverse of `from_json`."""
        return [asdict(layer) for layer in self.layers]

    @classmethod
    def from_json(cls, plain: Sequence[Mapping[str, Any]]) -> NetworkFacts:
        """Inverse of `to_json`."""
        return cls(tuple(LayerFacts(**{**layer, "sources": tuple(layer["sources"])}) for layer in plain))


@dataclass(frozen=True, slots=True)
class OperationCount:
    """Of one layer or network, per window."""

    multiplications: int = 0
    shifts: int = 0
    additions: int = 0

    def __add__(self, other: OperationCount) -> OperationCount:
        return OperationCount(
            self.multiplications + other.multiplications,
            self.shifts + other.shifts,
            self.additions + other.additions,
        )


def network_facts(model: Any) -> NetworkFacts:
    """Of a built functional Keras model with fixed shapes. Raises ModelError naming a layer of another type."""
    return NetworkFacts(tuple(_facts(layer) for layer in model.layers))


def _facts(layer: Any) -> LayerFacts:
    """Of every call of the layer together: one without slots may be called several times."""
    calls = [node for node in layer._inbound_nodes if node.input_tensors]
    sources = [tensor._keras_history.operation.name for call in calls for tensor in call.input_tensors]
    elements = [prod(_shape(layer, tensor)) for node in layer._inbound_nodes for tensor in node.output_tensors]
    kind = LAYER_TYPES[anatomy(layer).kind]
    return LayerFacts(
        layer.name,
        type(layer).__name__,
        tuple(dict.fromkeys(sources)),
        sum(elements),
        in_place=kind.in_place and len(calls) == 1,
        **_together([_of_call(layer, call) for call in calls]),
    )


def _of_call(layer: Any, call: Any) -> Counts:
    inputs, outputs = (_shape(layer, tensors[0]) for tensors in (call.input_tensors, call.output_tensors))
    if (count := len(call.input_tensors)) > 1:
        return _joined(layer, count, outputs)
    return _counted(layer, inputs, outputs)


def _together(parts: Sequence[Counts]) -> Counts:
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: (max if key == "terms" else sum)(part.get(key, 0) for part in parts) for key in keys}


def _shape(layer: Any, tensor: Any) -> Shape:
    shape = tuple(tensor.shape[1:])
    if any(size is None for size in shape):
        raise ModelError(f"layers must have fixed shapes, but {layer.name!r} has {shape}")
    return shape


def _counted(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    kind = type(layer).__name__
    if kind in COUNTED:
        return COUNTED[kind](layer, inputs, outputs)
    # A known layer that is not in the table: functions are not counted, and values handed on cost nothing.
    assert LAYER_TYPES[kind].family in (Family.FUNCTION, Family.PASSING), kind
    return {}


def _kernel(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Dense and full convolutions: every output sums over the kernel's taps and input channels."""
    return _sums(layer, prod(outputs), prod(layer.kernel.shape[:-1]))


def _sums(layer: Any, count: int, terms: int) -> Counts:
    return {"products": count * terms, "additions": count * (terms - 1 + bool(layer.use_bias)), "terms": terms}


def _depthwise(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    return _sums(layer, prod(outputs), prod(layer.kernel.shape[:-2]))


def _separable(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Depthwise, which keeps a map of its own, then pointwise."""
    taps, middle = prod(layer.depthwise_kernel.shape[:-2]), layer.pointwise_kernel.shape[-2]
    between = prod(outputs) // outputs[_channel_axis(layer)] * middle
    whole = _sums(layer, prod(outputs), middle)
    return {
        "products": whole["products"] + between * taps,
        "additions": whole["additions"] + between * (taps - 1),
        "terms": max(taps, middle),
        "state": between,
    }


def _channel_axis(layer: Any) -> int:
    return 0 if getattr(layer, "data_format", "") == "channels_first" else -1


def _transposed(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Every input is spread over the kernel's taps; kernel (…, out, in)."""
    *taps, filters, channels = layer.kernel.shape
    places = prod(inputs) // channels
    products = places * prod(taps) * filters * channels
    # Each output begins with its first summand, or with its bias.
    additions = products - prod(outputs) * (not layer.use_bias)
    return {"products": products, "additions": max(additions, 0), "terms": prod(taps) * channels}


def _recurrent(gates: int, elementwise: int, states: int) -> Callable[[Any, Shape, Shape], Counts]:
    """Per step: gates of input and state, then so many products and sums of activations per unit."""

    def counts(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
        steps, features, units = inputs[0], inputs[1], layer.units
        terms = features + units
        return {
            "products": steps * gates * units * terms,
            "elementwise": steps * units * elementwise,
            "additions": steps * units * (gates * (terms - 1 + bool(layer.use_bias)) + elementwise),
            "terms": terms,
            "state": states * units,
        }

    return counts


def _both_ways(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    return _together([_counted(part, inputs, outputs) for part in directions(layer)])


def _by_step(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    found = _counted(layer.layer, inputs[1:], outputs[1:])
    return {key: value if key in ("terms", "state") else inputs[0] * value for key, value in found.items()}


def _scaled(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Batch normalization with fixed moments: a factor and a sum per element."""
    return {"elementwise": prod(outputs), "additions": prod(outputs)}


def _normalized(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Mean, squares and their mean, scaling: about two products and four sums per element."""
    return {"elementwise": 3 * prod(outputs), "additions": 4 * prod(outputs)}


def _averaged(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """A sum of its part of the input per output, and one division as a product."""
    terms = _pool_terms(layer, inputs, outputs)
    return {"elementwise": prod(outputs), "additions": prod(outputs) * (terms - 1), "terms": terms}


def _largest(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    """Comparisons, each as costly as an addition."""
    terms = _pool_terms(layer, inputs, outputs)
    return {"additions": prod(outputs) * (terms - 1)}


def _pool_terms(layer: Any, inputs: Shape, outputs: Shape) -> int:
    size = getattr(layer, "pool_size", None)
    if size is None:  # Global pooling.
        return prod(inputs) // prod(outputs)
    return prod(size) if isinstance(size, tuple) else int(size)


def _joined(layer: Any, count: int, outputs: Shape) -> Counts:
    """Layers of several inputs."""
    each = prod(outputs) * (count - 1)
    match type(layer).__name__:
        case "Add" | "Subtract" | "Maximum" | "Minimum":
            return {"additions": each}
        case "Average":
            return {"additions": each, "elementwise": prod(outputs)}
        case "Multiply":
            return {"elementwise": each}
        case _:
            return {}


COUNTED: Mapping[str, Callable[[Any, Shape, Shape], Counts]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D"), _kernel),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose"), _transposed),
    "SimpleRNN": _recurrent(1, 0, 1),
    "GRU": _recurrent(3, 3, 1),
    "LSTM": _recurrent(4, 3, 2),
    "Bidirectional": _both_ways,
    "TimeDistributed": _by_step,
    "BatchNormalization": _scaled,
    "LayerNormalization": _normalized,
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _averaged),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _averaged),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"), _largest),
}
"""Layer type → what it computes per window; what is not here only hands values on, or applies a function to each."""
