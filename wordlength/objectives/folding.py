"""Batch normalization folded into the kernels beside it: the same function, with parameters that are stored anyway.

In inference a batch normalization is y = a · x + b per channel, a = gamma / √(variance + epsilon), b = beta − a · mean
(Ioffe & Szegedy 2015, algorithm 2). It goes backward into the linear layer that gives x: its kernel's output channels
times a, its bias times a, plus b. Else forward into the layer that reads y, where that is exact: its kernel's input
channels times a, its bias plus what the kernel makes of b. Where zeros are padded it is not: they stay zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from wordlength.errors import ModelError
from wordlength.objectives.affine import Affine, Arrays, backward, forward
from wordlength.space.layer_types import Family
from wordlength.space.slots import Anatomy, anatomy

_KEEP_CHANNELS = frozenset(
    {"Dropout", "Identity", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "ActivityRegularization"}
    | {f"{scope}AveragePooling{rank}D" for scope in ("", "Global") for rank in (1, 2)}
    | {"UpSampling1D", "UpSampling2D"}
)
"""Layers through which factor and shift of a channel go unchanged: weights of a channel's values that add up to 1."""


def folded(model: Any) -> Any:
    """The same function of a functional or sequential model without batch normalization, layer names kept.

    The model itself if there is none. Raises ModelError naming a batch normalization that no kernel can take.
    """
    normalizations = [layer for layer in model.layers if _normalization(layer) is not None]
    if not normalizations:
        return model
    folding = _Folding(model)
    for layer in normalizations:
        folding.fold(layer)
    return folding.rebuilt()


def _normalization(layer: Any) -> Any:
    """The batch normalization that a layer is, or that is in its TimeDistributed; else None."""
    inner = layer.layer if type(layer).__name__ == "TimeDistributed" else layer
    return inner if type(inner).__name__ == "BatchNormalization" else None


class _Folding:
    """What has become of a model's parameters so far, and which normalizations went into the kernels before them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._gone: set[str] = set()
        self._arrays: dict[str, Arrays] = {}
        names = {layer.name for layer in model.layers}
        self._readers = {
            layer.name: [node.operation for node in layer._outbound_nodes if node.operation.name in names]
            for layer in model.layers
        }
        self._results = {tensor._keras_history.operation.name for tensor in model.outputs}

    def fold(self, layer: Any) -> None:
        """Backward if that is exact, else forward. Raises ModelError with both reasons."""
        inner = _normalization(layer)
        before = self._kernel_before(layer)
        axis = inner.axis if isinstance(inner.axis, int) else inner.axis[0]
        if axis % len(layer.output.shape) != len(layer.output.shape) - 1 and axis != -1:
            raise ModelError(f"batch normalization must be along the last axis to be folded, but {layer.name!r} is not")
        affine = Affine.of(inner)
        if isinstance(before, Anatomy):
            self._arrays[before.layer.name] = backward(before, affine, self._arrays_of(before))
            self._gone.add(layer.name)
            return
        if after := self._kernel_after(layer, affine):
            raise ModelError(
                f"batch normalization must stand beside a layer with a kernel that can take it, but {layer.name!r} "
                f"does not: {before}, and {after}"
            )

    def rebuilt(self) -> Any:
        """The model without its batch normalizations, with the parameters so far."""
        from wordlength.objectives.quantized_model import functional

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs.pop("mask", None)
            return args[0] if _normalization(layer) is not None else layer(*args, **kwargs)

        made = keras.models.clone_model(functional(self._model), clone_function=self._copy, call_function=call)
        for layer in self._model.layers:
            if layer.name in self._arrays:
                self._arrays[layer.name].assign(anatomy(made.get_layer(layer.name)))
            elif layer.weights and _normalization(layer) is None:
                made.get_layer(layer.name).set_weights(layer.get_weights())
        return made

    def _copy(self, layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in self._arrays and anatomy(layer).family is Family.KERNEL:
            (config["layer"]["config"] if type(layer).__name__ == "TimeDistributed" else config)["use_bias"] = True
        return layer.__class__.from_config(config)

    def _arrays_of(self, parts: Anatomy) -> Arrays:
        return self._arrays.get(parts.layer.name) or Arrays.of(parts)

    def _kernel_before(self, layer: Any) -> Anatomy | str:
        """The linear layer with a kernel that gives what a batch normalization reads alone; else why there is none."""
        source = layer.input._keras_history.operation
        while type(source).__name__ in _KEEP_CHANNELS or source.name in self._gone:
            if self._read_elsewhere(source):
                return f"others too read {source.name!r} before it"
            source = source.input._keras_history.operation
        parts = None if _normalization(source) is not None else anatomy(source)
        if parts is None or parts.family is not Family.KERNEL:
            return f"{source.name!r} before it is a {type(source).__name__}"
        if parts.has_function:
            return f"{source.name!r} before it has the function {getattr(parts.core.activation, '__name__', '?')}"
        return f"others too read {source.name!r} before it" if self._read_elsewhere(source) else parts

    def _read_elsewhere(self, layer: Any) -> bool:
        return len(self._readers[layer.name]) > 1 or layer.name in self._results

    def _kernel_after(self, layer: Any, affine: Affine) -> str:
        """Fold forward into every reader: empty if all can, else why one cannot."""
        targets: list[tuple[Anatomy, Affine]] = []
        for reader in self._ends(layer, affine):
            if isinstance(reader, str):
                return reader
            targets.append(reader)
        for parts, adapted in targets:
            self._arrays[parts.layer.name] = forward(parts, adapted, self._arrays_of(parts))
        return ""

    def _ends(self, layer: Any, affine: Affine) -> Iterator[tuple[Anatomy, Affine] | str]:
        """Every layer that reads the normalized values, with the affine map of its inputs, or why it cannot take it."""
        if layer.name in self._results:
            yield "it gives the output"
        for reader in self._readers[layer.name]:
            kind = type(reader).__name__
            if kind in _KEEP_CHANNELS:
                yield from self._ends(reader, affine)
            elif kind == "Flatten" and reader.data_format == "channels_last":
                places = int(np.prod(reader.input.shape[1:-1]))
                yield from self._ends(reader, affine.repeated(places))
            elif _normalization(reader) is not None:
                yield f"{reader.name!r} after it is another"
            else:
                yield self._end(anatomy(reader), affine)

    def _end(self, parts: Anatomy, affine: Affine) -> tuple[Anatomy, Affine] | str:
        name, kernel = parts.layer.name, getattr(parts.core, "kernel_size", (1,))
        if parts.family not in (Family.KERNEL, Family.RECURRENT):
            return f"{name!r} after it is a {type(parts.layer).__name__}"
        if "Transpose" in parts.kind:
            return f"{name!r} after it is a {parts.kind}"
        if getattr(parts.core, "padding", "valid") != "valid" and set(kernel) != {1}:
            return f"{name!r} after it pads with zeros"
        if parts.family is Family.RECURRENT and not parts.biases:
            return f"{name!r} after it has no bias"
        return parts, affine
