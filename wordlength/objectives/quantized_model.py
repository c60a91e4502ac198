"""Float Keras model → QKeras model with a variable format in every slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import qkeras

from wordlength.errors import ModelError
from wordlength.objectives.report import Weights
from wordlength.space import Candidate, Format, Role, Slot, SlotInfo, find_slots
from wordlength.space.quantizers import FormatQuantizer
from wordlength.space.slots import KERNELS, has_own_activation


@dataclass(frozen=True)
class QuantizedModel:
    """A QKeras model, its formats and its weights.

    `model`: inputs as the float model's → the quantized outputs. `taps`: the same inputs → the values
    that each ACTIVATIONS slot is about to quantize, in `activation_slots` order, then the outputs.
    """

    model: Any
    taps: Any
    slots: tuple[SlotInfo, ...]
    quantizers: Mapping[Slot, FormatQuantizer]

    @property
    def activation_slots(self) -> tuple[Slot, ...]:
        """ACTIVATIONS slots in model order."""
        return tuple(info.slot for info in self.slots if info.slot.role is Role.ACTIVATIONS)

    def assign(self, candidate: Mapping[Slot, Format]) -> None:
        """Give every slot the candidate's format; graphs already traced follow."""
        for slot, quantizer in self.quantizers.items():
            quantizer.assign(candidate[slot])

    def parameters(self, slot: Slot) -> list[Any]:
        """The slot's weight variables (float, not rounded); empty for activations."""
        info = next(info for info in self.slots if info.slot == slot)
        layer = self.model.get_layer(slot.layer)
        kind = type(layer).__name__.removeprefix("Q")
        stems = {name: _STEMS.get((kind, name)) for name, _ in info.tensors}
        return [getattr(layer, f"{stem}_kernel" if stem else name) for name, stem in stems.items()]


def quantize(float_model: Any) -> QuantizedModel:
    """Rebuild a functional or sequential Keras model from QKeras layers, weights copied, all float32.

    Every ACTIVATIONS slot becomes the float activation followed by a quantizing layer
    `<layer>_quantized`. Raises ModelError for layers that cannot be quantized, by name.
    """
    slots = find_slots(float_model)
    quantizers = {info.slot: FormatQuantizer(clip_gradient=info.slot.role is Role.ACTIVATIONS) for info in slots}
    taps: dict[Slot, Any] = {}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if slot not in quantizers:
            return output
        original = float_model.get_layer(layer.name)
        if type(original).__name__ in KERNELS and has_own_activation(original):
            output = keras.layers.Activation(original.activation, name=f"{layer.name}_activation")(output)
        taps[slot] = output
        return qkeras.QActivation(quantizers[slot], name=f"{layer.name}_quantized")(output)

    model = keras.models.clone_model(
        _functional(float_model), clone_function=lambda layer: _quantized_layer(layer, quantizers), call_function=call
    )
    model.set_weights(float_model.get_weights())
    order = [info.slot for info in slots if info.slot.role is Role.ACTIVATIONS]
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return QuantizedModel(
        model, keras.Model(inputs, [*(taps[slot] for slot in order), *model.outputs]), slots, quantizers
    )


def frozen(weights: Weights, float_model: Any, candidate: Candidate) -> QuantizedModel:
    """A model of its own with these weights and formats, for saving."""
    copy = quantize(float_model)
    copy.model.set_weights(list(weights))
    copy.assign(candidate)
    return copy


def _functional(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "_operations_by_depth"):
        raise ModelError(f"a model must be functional or sequential, but {model.name!r} is a {type(model).__name__}")
    return model


def _quantized_layer(layer: Any, quantizers: Mapping[Slot, FormatQuantizer]) -> Any:
    kind = type(layer).__name__
    if kind not in KERNELS:
        return layer.__class__.from_config(layer.get_config())
    stems = {name: _STEMS.get((kind, name), name.removesuffix("_kernel")) for name in KERNELS[kind]}
    arguments = {f"{stem}_quantizer": quantizers[Slot(layer.name, Role.WEIGHTS)] for stem in stems.values()}
    if layer.use_bias:
        arguments["bias_quantizer"] = quantizers[Slot(layer.name, Role.BIASES)]
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
