"""Float Keras model → QKeras model with a variable format in every slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import qkeras

from wordlength.errors import ModelError
from wordlength.objectives.report import Weights
from wordlength.space import Binary, Candidate, Format, Role, Slot, SlotInfo, find_slots
from wordlength.space.layer_types import LAYER_TYPES, Family
from wordlength.space.quantizers import USUAL_KINDS, FormatQuantizer, Kind, SwitchedActivation
from wordlength.space.rounded_layer import RoundedLayer
from wordlength.space.slots import Anatomy, anatomy, variable_of


@dataclass(frozen=True)
class QuantizedModel:
    """A QKeras model, its formats and its weights.

    `model`: inputs as the float model's → the quantized outputs. `taps`: the same inputs → the values
    that each ACTIVATIONS slot is about to quantize, in `activation_slots` order, then the outputs.
    """

    model: Any
    taps: Any
    slots: tuple[SlotInfo, ...]
    quantizers: Mapping[Slot, tuple[FormatQuantizer, ...]]
    """One for each of the slot's tensors; one for activations."""
    thresholds: Mapping[Slot, Slot]
    """BIASES slot → the ACTIVATIONS slot of its sum, of which it is the threshold where that is binary."""
    anatomy: Mapping[str, Anatomy]
    """Layer → what it is made of in the float model."""
    variables: tuple[Any, ...]
    """The weights in the float model's order: beside branches, that of the QKeras model may be another."""

    def weights(self) -> Weights:
        """The float weights, in the float model's order."""
        return tuple(np.asarray(variable) for variable in self.variables)

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Give it these float weights, in the float model's order."""
        for variable, values in zip(self.variables, weights, strict=True):
            variable.assign(values)

    @property
    def activation_slots(self) -> tuple[Slot, ...]:
        """ACTIVATIONS slots in model order."""
        return tuple(info.slot for info in self.slots if info.slot.role is Role.ACTIVATIONS)

    @property
    def version(self) -> int:
        """Grows when a graph must be traced again: an argument for every traced function."""
        return sum(len(quantizer.kinds) for quantizers in self.quantizers.values() for quantizer in quantizers)

    def admit(self, formats: Iterable[tuple[Slot, Format]]) -> None:
        """Prepare all slots of a role for the formats of one. Graphs of another `version` must be traced again.

        Kinds beyond the usual ones are traced only if they may appear: in every study they would take longer
        to trace than many trials to train.
        """
        admit(self.quantizers, formats)

    def assign(self, candidate: Mapping[Slot, Format]) -> None:
        """Give every slot the candidate's format; graphs already traced follow.

        Raises FormatError for a kind that they may lack: `admit` it first.
        """
        if not any(quantizer.in_use for parts in self.quantizers.values() for quantizer in parts):
            self.admit(candidate.items())
        for info in self.slots:
            fires = candidate[self.thresholds.get(info.slot, info.slot)]
            learns = not (isinstance(fires, Binary) and info.tensors and not fires.learn_threshold)
            assign(self.quantizers[info.slot], info, candidate, learns)

    def parameters(self, slot: Slot) -> list[Any]:
        """The slot's weight variables (float, not rounded); empty for activations."""
        info = next(info for info in self.slots if info.slot == slot)
        if not info.tensors:
            return []
        layer = self.model.get_layer(slot.layer)
        return [layer_parameter(layer, tensor.name) for tensor in info.tensors]


def layer_parameter(layer: Any, tensor: str) -> Any:
    """The weight variable of a QKeras layer that is `tensor` of the Keras layer it was made from."""
    stem = _STEMS.get((type(layer).__name__.removeprefix("Q"), tensor))
    return variable_of(layer.layer if isinstance(layer, RoundedLayer) else layer, f"{stem}_kernel" if stem else tensor)


def admit(quantizers: Mapping[Slot, Iterable[FormatQuantizer]], formats: Iterable[tuple[Slot, Format]]) -> None:
    """Extend the quantizers of a role to the kinds of the formats given for one of its slots."""
    for role, kind in sorted({(slot.role, Kind.of(fmt)) for slot, fmt in formats}):
        for slot, parts in quantizers.items():
            for quantizer in parts if slot.role is role else ():
                quantizer.extend(kind)


def assign(
    quantizers: Iterable[FormatQuantizer], info: SlotInfo, candidate: Mapping[Slot, Format], learns: bool = True
) -> None:
    """Give a slot's quantizers the candidate's formats, tensor by tensor."""
    fmt = candidate[info.slot]
    info.require(fmt)
    formats = info.formats(fmt) if info.tensors else (fmt,)
    for quantizer, part in zip(quantizers, formats, strict=True):
        quantizer.assign(part, learns)


def quantize(float_model: Any) -> QuantizedModel:
    """Rebuild a functional or sequential Keras model from QKeras layers, weights copied, all float32.

    Every ACTIVATIONS slot becomes the float activation (passed over while the slot is binary) followed by a
    quantizing layer `<layer>_quantized`. Raises ModelError for layers that cannot be quantized, by name.
    """
    slots = find_slots(float_model)
    rebuilding = _Rebuilding(float_model, {info.slot: _quantizers(info) for info in slots})
    model = keras.models.clone_model(
        functional(float_model), clone_function=rebuilding.copy, call_function=rebuilding.call
    )
    for parts in rebuilding.quantizers.values():
        for quantizer in parts:
            quantizer.in_use = False  # So far only Keras has asked for shapes.
    order = [info.slot for info in slots if info.slot.role is Role.ACTIVATIONS]
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    made = QuantizedModel(
        model,
        keras.Model(inputs, [*(rebuilding.taps[slot] for slot in order), *model.outputs]),
        slots,
        rebuilding.quantizers,
        _thresholds(float_model, order),
        {layer.name: anatomy(layer) for layer in float_model.layers},
        variables_of(model, float_model),
    )
    made.set_weights(float_model.get_weights())
    return made


def _quantizers(info: SlotInfo) -> tuple[FormatQuantizer, ...]:
    if not info.tensors:
        return (FormatQuantizer(activations=True, kinds=USUAL_KINDS),)
    return tuple(FormatQuantizer(channel_axes=tensor.channel_axes, kinds=USUAL_KINDS) for tensor in info.tensors)


class _Rebuilding:
    """How Keras clones a model: every layer from QKeras, every output that is a slot quantized and tapped before."""

    def __init__(self, float_model: Any, quantizers: Mapping[Slot, tuple[FormatQuantizer, ...]]) -> None:
        self.quantizers = quantizers
        self.taps: dict[Slot, Any] = {}
        self._float_model = float_model

    def copy(self, layer: Any) -> Any:
        """What stands in the layer's place."""
        return quantized_layer(layer, self.quantizers)

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """The quantized output of a copy."""
        kwargs.pop("mask", None)  # There is none: layers that make one are unknown.
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if slot not in self.quantizers:
            return layer(*args, **kwargs)
        (quantizer,) = self.quantizers[slot]
        self.taps[slot] = output = self._activated(layer, quantizer, *args, **kwargs)
        return qkeras.QActivation(quantizer, name=f"{layer.name}_quantized")(output)

    def _activated(self, layer: Any, quantizer: FormatQuantizer, *args: Any, **kwargs: Any) -> Any:
        """The output of a copy, its function passed over while the quantizer is binary."""
        parts = anatomy(self._float_model.get_layer(layer.name))
        if parts.family is Family.FUNCTION:
            return SwitchedActivation(layer, quantizer, name=f"{layer.name}_switched")(*args)
        output = layer(*args, **kwargs)
        if not parts.has_function:
            return output
        function = keras.layers.Activation(parts.core.activation, name=f"{layer.name}_function")
        return SwitchedActivation(function, quantizer, name=f"{layer.name}_activation")(output)


def variables_of(model: Any, float_model: Any) -> tuple[Any, ...]:
    """The weights of a model with the float model's layers, by name, in the float model's order.

    Layers that a QKeras model has beside them may change the order in which Keras finds those of branches.
    """
    found: dict[int, Any] = {}
    for layer in float_model.layers:
        copies = model.get_layer(layer.name).weights if layer.weights else ()
        found |= {id(variable): copy for variable, copy in zip(layer.weights, copies, strict=True)}
    return tuple(found[id(variable)] for variable in float_model.weights)


def _thresholds(float_model: Any, activations: list[Slot]) -> dict[Slot, Slot]:
    """Whose threshold each bias is: that of its layer's output, or of the activation layer that follows."""
    found: dict[Slot, Slot] = {}
    for layer in float_model.layers:
        followers = [layer.name, *(node.operation.name for node in layer._outbound_nodes)]
        slots = [slot for name in followers if (slot := Slot(name, Role.ACTIVATIONS)) in activations]
        parts = anatomy(layer)
        if slots and parts.family is Family.KERNEL and parts.biases:
            found[Slot(layer.name, Role.BIASES)] = slots[0]
    return found


def frozen(weights: Weights, float_model: Any, candidate: Candidate) -> QuantizedModel:
    """A model of its own with these weights and formats, for saving."""
    copy = quantize(float_model)
    copy.set_weights(weights)
    copy.assign(candidate)
    return copy


def functional(model: Any) -> Any:
    """A functional or sequential model as a functional one. Raises ModelError for any other."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "_operations_by_depth"):
        raise ModelError(f"a model must be functional or sequential, but {model.name!r} is a {type(model).__name__}")
    return model


def quantized_layer(layer: Any, quantizers: Mapping[Slot, tuple[FormatQuantizer, ...]]) -> Any:
    """A layer whose tensors these quantizers round, QKeras' own where it has one; a copy of a layer without tensors.

    A layer with a kernel has no function then: it is to follow.
    """
    parts = anatomy(layer)
    if has_qkeras_layer(parts):
        return qkeras_layer(layer, quantizers)
    copy = layer.__class__.from_config(layer.get_config())
    weights, biases = (quantizers.get(Slot(layer.name, role), ()) for role in (Role.WEIGHTS, Role.BIASES))
    by_path = dict(zip((*parts.weights, *parts.biases), (*weights, *biases), strict=True))
    if not by_path:
        return copy
    if parts.family is Family.KERNEL:
        anatomy(copy).core.activation = keras.activations.linear
    state = quantizers[Slot(layer.name, Role.ACTIVATIONS)][0] if parts.family is Family.RECURRENT else None
    return RoundedLayer(copy, by_path, state, name=layer.name)


def has_qkeras_layer(parts: Anatomy) -> bool:
    """Whether QKeras has a layer of this type with a kernel that computes what Keras' does."""
    known = LAYER_TYPES[parts.kind]
    plain = parts.core is parts.layer and getattr(parts.layer, "padding", "") != "causal"
    return plain and parts.family is Family.KERNEL and known.qkeras


def qkeras_layer(layer: Any, quantizers: Mapping[Slot, tuple[Any, ...]]) -> Any:
    """The QKeras copy of a layer with a kernel, its tensors with these quantizers."""
    kind = type(layer).__name__
    stems = {name: _STEMS.get((kind, name), name.removesuffix("_kernel")) for name in LAYER_TYPES[kind].weights}
    kernels = zip(stems.values(), quantizers[Slot(layer.name, Role.WEIGHTS)], strict=True)
    arguments: dict[str, Any] = {f"{stem}_quantizer": quantizer for stem, quantizer in kernels}
    if layer.use_bias:
        (arguments["bias_quantizer"],) = quantizers[Slot(layer.name, Role.BIASES)]
    config = {key: value for key, value in layer.get_config().items() if key not in _NOT_IN_QKERAS}
    copy = getattr(qkeras, f"Q{kind}")(**config | {"activation": None} | arguments)
    for stem in (*stems.values(), "bias"):
        # QKeras adds constraints that clip at ±max(1, highest) and scales initial values by the format;
        # the format here changes later, so both are put back to the float layer's own.
        for attribute in (f"{stem}_constraint", f"{stem}_initializer"):
            setattr(copy, attribute, getattr(layer, attribute))
    return copy


_STEMS = {("DepthwiseConv2D", "kernel"): "depthwise"}
"""(layer type, kernel attribute) → the stem of its Keras arguments, where it is not the attribute's own."""
_NOT_IN_QKERAS = frozenset({"groups", "quantization_config", "lora_rank", "lora_alpha"})
