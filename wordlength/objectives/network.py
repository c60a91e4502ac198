"""What a network computes, layer by layer, as plain numbers: elements of every map, products, sums.

Counted per window, from a built functional Keras model. A table says how by layer type; a type that is not there is a
ModelError, never nothing. With it costs need no Keras: the facts travel with the float baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any

from wordlength.errors import ModelError


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


def network_facts(model: Any) -> NetworkFacts:
    """Of a built functional Keras model with fixed shapes. Raises ModelError naming a layer of another type."""
    return NetworkFacts(tuple(_facts(layer) for layer in model.layers))


def _facts(layer: Any) -> LayerFacts:
    sources = [tensor._keras_history.operation.name for node in layer._inbound_nodes for tensor in node.input_tensors]
    outputs = _shape(layer, layer.output)
    counted = _counted(layer, _shape(layer, _first(layer.input)), outputs) if sources else {}
    if isinstance(layer.input, (list, tuple)) and sources and (count := len(layer.input)) > 1:
        counted = _joined(layer, count, outputs)
    kind = type(layer).__name__
    in_place = kind in IN_PLACE and bool(sources)
    return LayerFacts(layer.name, kind, tuple(dict.fromkeys(sources)), prod(outputs), in_place=in_place, **counted)


def _first(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, (list, tuple)) else tensors


def _shape(layer: Any, tensor: Any) -> tuple[int, ...]:
    shape = tuple(tensor.shape[1:])
    if any(size is None for size in shape):
        raise ModelError(f"layers must have fixed shapes, but {layer.name!r} has {shape}")
    return shape


Counts = dict[str, int]
Shape = tuple[int, ...]


def _counted(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
    kind = type(layer).__name__
    if kind not in COUNTED:
        raise ModelError(f"operations are counted for {', '.join(sorted(COUNTED))}, but {layer.name!r} is a {kind}")
    return COUNTED[kind](layer, inputs, outputs)


def _nothing(layer: Any, inputs: Shape, outputs: Shape) -> Counts:
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
    parts = [_counted(part, inputs, outputs) for part in (layer.forward_layer, layer.backward_layer)]
    return {key: (max if key == "terms" else sum)(part[key] for part in parts) for key in parts[0]}


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
        case "Concatenate":
            return {}
        case kind:
            raise ModelError(f"operations are not counted for {kind} of {count} inputs ({layer.name!r})")


IN_PLACE = frozenset(
    {"Reshape", "Flatten", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "Activation", "ReLU", "LeakyReLU"}
    | {"ELU", "Softmax", "BatchNormalization"}
)
"""Layers whose output takes their input's place."""

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
    **dict.fromkeys(("Reshape", "Flatten", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D"), _nothing),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D"), _nothing),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), _nothing),
    **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"), _nothing),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"), _nothing),
}
"""Layer type → what it computes per window."""
