"""The quantized network as a QKeras user writes it: QKeras layers with QKeras' own quantizers wherever they fit.

Such a file loads without this package: `import qkeras`, then `keras.models.load_model`. The parameters in it are
already rounded, so a quantizer fits them if it returns exactly what is stored. A quantizer fits activations if it
rounds every float32 as the format does. Two habits of QKeras' decide that:

- A quantizer returns x + (q(x) − x), which is q(x) only where the difference is exact: up to 2^24 steps. Larger
  values are clipped to the format's range first, except after functions that cannot give any. After a relu,
  `fixed<b,i>` is `quantized_relu(b − 1, i)`, which clips by itself.
- It scales before it clips. `quantized_relu` so gives NaN from 2^(128 − bits) on, or from 2^128 steps on if that is
  less: the only float32s not rounded as the format does, and far above what any network gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import keras
import numpy as np
import qkeras

from wordlength.arrays import FloatArray
from wordlength.objectives.function_ranges import range_of
from wordlength.objectives.quantized_model import functional, has_qkeras_layer, qkeras_layer, variables_of
from wordlength.objectives.report import Weights
from wordlength.space import (
    Binary,
    Candidate,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Role,
    Rounding,
    Slot,
    TensorInfo,
    VirtualBitShift,
    find_slots,
)
from wordlength.space.formats import EXACT_BITS
from wordlength.space.layer_types import Family
from wordlength.space.quantizers import FormatQuantizer
from wordlength.space.rounded_layer import RoundedLayer
from wordlength.space.slots import KERNELS, anatomy, directions, variable_of

_MOST_PO2_BITS = 7
"""Where `quantized_po2` still has only powers that are normal float32 numbers, without an exponent's sign."""


@dataclass(frozen=True)
class PlainModel:
    """An inference copy of a quantized network for saving; its parameters are rounded already.

    `model`: layers named as in `quantize`, float32 slots without a quantizer. `custom`: slots with a
    `FormatQuantizer` → why QKeras has none. `wider`: slots whose QKeras quantizer has more bits than the format
    stores → which and why.
    """

    model: Any
    custom: Mapping[Slot, str]
    wider: Mapping[Slot, str]

    @property
    def plain(self) -> bool:
        """Whether the saved file loads without this package, after `import qkeras`."""
        return not self.custom


@dataclass(frozen=True)
class _Choice:
    """A slot's quantizer (None: float32), what comes before it, and what to tell of it."""

    quantizer: Any
    before: Callable[[Any], Any] | None = None
    custom: str = ""
    wider: str = ""


def plain_model(weights: Weights, float_model: Any, candidate: Candidate) -> PlainModel:
    """The model that gives, to the last bit, what `frozen(weights, float_model, candidate)` gives.

    Raises ModelError for layers that cannot be quantized, FormatError for NaN among the weights, naming the slot.
    """
    stored = {id(variable): values for variable, values in zip(float_model.weights, weights, strict=True)}
    chosen: dict[Slot, tuple[_Choice, ...]] = {}
    for info in find_slots(float_model):
        layer, fmt = float_model.get_layer(info.slot.layer), candidate[info.slot]
        if not info.tensors:
            choice = _for_activations(fmt, *_reach(layer))
            state = anatomy(layer).family is Family.RECURRENT
            chosen[info.slot] = (_for_state(layer, fmt, choice) if state else choice,)
            continue
        parts = []
        for tensor, part in zip(info.tensors, info.formats(fmt), strict=True):
            variable = id(variable_of(layer, tensor.name))
            values = np.asarray(stored[variable], np.float32).reshape(tensor.packed_shape)
            stored[variable] = part.round(values, info.slot).reshape(tensor.shape)
            parts.append(_for_parameters(part, tensor, values, stored[variable]))
        chosen[info.slot] = tuple(parts)
    model = _built(float_model, candidate, chosen)
    for copy, variable in zip(variables_of(model, float_model), float_model.weights, strict=True):
        copy.assign(stored[id(variable)])
    custom = {slot: told for slot, parts in chosen.items() for part in parts if (told := part.custom)}
    wider = {slot: told for slot, parts in chosen.items() for part in parts if (told := part.wider)}
    return PlainModel(model, custom, wider)


def _built(float_model: Any, candidate: Candidate, chosen: Mapping[Slot, tuple[_Choice, ...]]) -> Any:
    quantizers: dict[Slot, Any] = {slot: tuple(part.quantizer for part in parts) for slot, parts in chosen.items()}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("mask", None)
        if getattr(layer, "padding", "") == "valid" and (before := _causal_padding(float_model, layer.name)):
            args = (before(args[0]), *args[1:])
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if slot not in chosen:
            return layer(*args, **kwargs)
        (choice,) = chosen[slot]
        # A step takes the activation function's place.
        fires, parts = isinstance(candidate[slot], Binary), anatomy(float_model.get_layer(layer.name))
        if parts.family is Family.FUNCTION:
            output = args[0] if fires else layer(*args, **kwargs)
        else:
            output = layer(*args, **kwargs)
            if parts.has_function and not fires:
                output = keras.layers.Activation(parts.core.activation, name=f"{layer.name}_activation")(output)
        if choice.before is not None:
            output = choice.before(output)
        if choice.quantizer is None:
            return output
        return qkeras.QActivation(choice.quantizer, name=f"{layer.name}_quantized")(output)

    return keras.models.clone_model(
        functional(float_model),
        clone_function=lambda layer: _copy(layer, quantizers),
        call_function=call,
    )


def _copy(layer: Any, quantizers: Mapping[Slot, Any]) -> Any:
    """QKeras' layer where it has one; else the Keras layer, to hold what is rounded already."""
    parts = anatomy(layer)
    if parts.family is Family.RECURRENT:
        return _recurrent(layer, quantizers)
    if _is_causal(layer):
        layer = layer.__class__.from_config(layer.get_config() | {"padding": "valid"})
        return qkeras_layer(_constructible(layer, quantizers), quantizers)
    if has_qkeras_layer(parts):
        return qkeras_layer(_constructible(layer, quantizers), quantizers)
    copy = layer.__class__.from_config(layer.get_config())
    if parts.has_function:
        anatomy(copy).core.activation = keras.activations.linear
    return copy


def _is_causal(layer: Any) -> bool:
    return type(layer).__name__ == "Conv1D" and layer.padding == "causal"


def _causal_padding(float_model: Any, name: str) -> Any:
    """The zeros that a causal convolution of the float model begins with: QKeras' own fails on such a padding."""
    original = float_model.get_layer(name)
    if not _is_causal(original):
        return None
    zeros = (original.kernel_size[0] - 1) * original.dilation_rate[0]
    return keras.layers.ZeroPadding1D((zeros, 0), name=f"{name}_padding")


def _recurrent(layer: Any, quantizers: Mapping[Slot, Any]) -> Any:
    """QKeras' recurrent layer, or both of its Bidirectional; the Keras layer where QKeras' has other functions."""
    (state,) = quantizers[Slot(layer.name, Role.ACTIVATIONS)]
    if _taken_for_another(layer):
        copy = layer.__class__.from_config(layer.get_config())
        return RoundedLayer(copy, {}, state, name=layer.name) if state else copy
    weights = quantizers[Slot(layer.name, Role.WEIGHTS)]
    biases = quantizers.get(Slot(layer.name, Role.BIASES), (None, None))
    if not hasattr(layer, "forward_layer"):
        # Not QGRU and its like, which lose their name when they are loaded: their cell in a Keras layer.
        cell = getattr(qkeras, f"Q{type(layer.cell).__name__}")
        made = cell(**layer.cell.get_config() | _recurrent_settings(layer, (*weights, biases[0]), state))
        options = {name: getattr(layer, name) for name in ("return_sequences", "go_backwards", "unroll", "name")}
        return keras.layers.RNN(made, **options)
    forward, backward = (
        getattr(qkeras, f"Q{type(one).__name__}")(
            **one.get_config()
            | _recurrent_settings(one, (*weights[2 * number : 2 * number + 2], biases[number]), state)
        )
        for number, one in enumerate(directions(layer))
    )
    return qkeras.QBidirectional(forward, layer.merge_mode, backward_layer=backward, name=layer.name)


def _taken_for_another(layer: Any) -> str:
    """The function of a recurrent layer whose name QKeras takes for another function; empty where there is none.

    QKeras looks among its own first, and its hard_sigmoid is three times as steep as Keras'.
    """
    config = directions(layer)[0].get_config()
    for name in (config["activation"], config.get("recurrent_activation")):
        if name is None:
            continue
        if not isinstance(name, str):
            return "a function of one's own"
        if qkeras.get_quantizer(name) is not keras.activations.get(name):
            return name
    return ""


def _recurrent_settings(layer: Any, parameters: tuple[Any, ...], state: Any) -> dict[str, Any]:
    """`parameters`: quantizers of kernel, recurrent kernel and bias."""
    stems = ("kernel", "recurrent", "bias")
    settings = {f"{stem}_quantizer": one for stem, one in zip(stems, parameters, strict=True)}
    for stem in stems:
        # As in _constructible.
        constraint = getattr(layer, f"{stem}_constraint") or keras.constraints.Constraint()
        settings |= {f"{stem}_constraint": constraint, f"{stem}_initializer": "zeros"}
    return settings | {"state_quantizer": state}


def _constructible(layer: Any, quantizers: Mapping[Slot, Any]) -> Any:
    """The layer, with a constraint (of nothing) and an initializer of its own beside every scale per channel.

    Else QKeras compares the quantizer's `max()` with numbers, which fails for more than one.
    """
    changes: dict[str, Any] = {}
    parts = [
        *zip(KERNELS.get(type(layer).__name__, ()), quantizers.get(Slot(layer.name, Role.WEIGHTS), ()), strict=True),
        *(("bias", quantizer) for quantizer in quantizers.get(Slot(layer.name, Role.BIASES), ())),
    ]
    for name, quantizer in parts:
        if isinstance(quantizer, qkeras.quantized_linear):
            depthwise = (type(layer).__name__, name) == ("DepthwiseConv2D", "kernel")
            stem = "depthwise" if depthwise else name.removesuffix("_kernel")
            constraint = getattr(layer, f"{stem}_constraint") or keras.constraints.Constraint()
            changes |= {f"{stem}_constraint": constraint, f"{stem}_initializer": "zeros"}
    return layer.__class__.from_config(layer.get_config() | changes) if changes else layer


def _for_parameters(fmt: Format, tensor: TensorInfo, values: FloatArray, rounded: FloatArray) -> _Choice:
    """`values`: before rounding, (…, channels); `rounded`: in the tensor's shape."""
    if isinstance(fmt, Float32):
        return _Choice(None)
    for quantizer in _quantizers(fmt, tensor, values, rounded):
        if np.array_equal(keras.ops.convert_to_numpy(quantizer(keras.ops.convert_to_tensor(rounded))), rounded):
            more = quantizer.bits > fmt.width_bits
            told = f"{quantizer.bits} bits: the exponents of quantized_po2 have no offset"
            return _Choice(quantizer, wider=told if more else "")
    custom = FormatQuantizer(fmt, channel_axes=tensor.channel_axes, kinds=())
    return _Choice(custom, custom=_unfit_for_parameters(fmt, rounded))


def _quantizers(fmt: Format, tensor: TensorInfo, values: FloatArray, rounded: FloatArray) -> list[Any]:
    """QKeras quantizers that may return the rounded values, of the format's own width first."""
    match fmt:
        case Fixed():
            return _fixed(fmt.bits, fmt.positions, fmt.signed, tensor)
        case VirtualBitShift() if isinstance(fmt.group, str) or fmt.groups(values.shape) == 1:
            return _fixed(fmt.bits, tuple(fmt.positions(values).tolist()), True, tensor)
        case PowerOfTwo(bits=1):
            return [qkeras.binary(alpha=fmt.highest)]
        case PowerOfTwo(bits=2, zero=True):
            return [qkeras.quantized_bits(2, fmt.max_exponent + 1, symmetric=1, alpha=1.0)]
        case PowerOfTwo() if rounded.all():
            widths = (fmt.bits, *range(fmt.bits + 1, _MOST_PO2_BITS + 1 + (fmt.max_exponent > 0)))
            return [qkeras.quantized_po2(bits, max_value=fmt.highest) for bits in widths]
    return []


def _fixed(bits: int, positions: tuple[int, ...], signed: bool, tensor: TensorInfo) -> list[Any]:
    # Without alpha, a layer would give either of them a scale that follows the weights.
    if len(positions) == 1:
        return [qkeras.quantized_bits(bits, positions[0], keep_negative=signed, alpha=1.0)]
    # quantized_bits with a scale per channel lacks the lowest code.
    scales = np.ldexp(1.0, positions).reshape(tensor.shape[-tensor.channel_axes :]).tolist()
    return [qkeras.quantized_linear(bits, 0, symmetric=0, keep_negative=signed, alpha=scales)]


def _unfit_for_parameters(fmt: Format, rounded: FloatArray) -> str:
    match fmt:
        case Fixed(bits=1):
            return "one signed bit is −1 or 1 in QKeras"
        case VirtualBitShift():
            return "QKeras has no scale per block of values"
        case PowerOfTwo() if not rounded.all():
            return "quantized_po2 has no zero"
        case PowerOfTwo():
            return "quantized_po2 has one power for all magnitudes below 1e-7"
    return "QKeras gives other values"


def _for_activations(fmt: Format, lowest: float, highest: float) -> _Choice:
    """For values from `lowest` to `highest`."""
    match fmt:
        case Float32():
            return _Choice(None)
        case Binary():
            # Not qkeras.binary, which gives 1 for 0.
            return _Choice(qkeras.quantized_relu(1, 1), before=keras.ops.sign)
        case PowerOfTwo(bits=1):
            return _Choice(qkeras.binary(alpha=fmt.highest), before=_clipped(fmt.lowest, fmt.highest))
        case Fixed(rounding=Rounding.HALF_EVEN, overflow=Overflow.SATURATE) if fmt.bits > fmt.signed:
            return _for_fixed_activations(fmt, lowest, highest)
    return _Choice(FormatQuantizer(fmt, activations=True, kinds=()), custom=_unfit_for_activations(fmt))


def _for_state(layer: Any, fmt: Format, choice: _Choice) -> _Choice:
    """A recurrent layer rounds its state itself: nothing can come before its quantizer."""
    name = _taken_for_another(layer)
    if choice.quantizer is None or (choice.before is None and not name):
        return choice
    told = f"QKeras' recurrent layers take {name} for another" if name else ""
    return _Choice(
        FormatQuantizer(fmt, activations=True, kinds=()),
        custom=told or "QKeras' recurrent layers cannot clip their state first",
    )


def _for_fixed_activations(fmt: Fixed, lowest: float, highest: float) -> _Choice:
    (position,) = fmt.positions
    magnitude_bits = fmt.bits - fmt.signed
    quantizer = qkeras.quantized_bits(fmt.bits, position, keep_negative=fmt.signed, alpha=1.0)
    if magnitude_bits > EXACT_BITS:
        return _Choice(quantizer, before=_clipped(fmt.lowest, fmt.highest_code_float32 * fmt.step))
    if max(-lowest, highest) <= 2**EXACT_BITS * fmt.step:
        return _Choice(quantizer)
    if lowest >= 0 or not fmt.signed:
        # It takes 2^position of a whole number in int32.
        return _Choice(qkeras.quantized_relu(magnitude_bits, position if 0 <= position <= 30 else float(position)))
    return _Choice(quantizer, before=_clipped(fmt.lowest, fmt.highest))


def _clipped(lowest: float, highest: float) -> Callable[[Any], Any]:
    return partial(keras.ops.clip, x_min=lowest, x_max=highest)


def _unfit_for_activations(fmt: Format) -> str:
    match fmt:
        case PowerOfTwo():
            return "quantized_po2 takes log2 in float32, which errs next to √2"
        case Fixed(rounding=Rounding.HALF_EVEN, overflow=Overflow.SATURATE):
            return "one signed bit is −1 or 1 in QKeras"
    return "QKeras rounds ties to even and saturates"


def _reach(layer: Any) -> tuple[float, float]:
    """The lowest and highest value that the layer's activation function can give."""
    parts = anatomy(layer)
    if parts.family is Family.RECURRENT:
        return _reach_of_states(layer)
    layer = parts.core
    match type(layer).__name__:
        case "ReLU" if not layer.negative_slope:
            return 0.0, inf if layer.max_value is None else layer.max_value
        case "Softmax":
            return 0.0, 1.0
    return range_of(getattr(layer, "activation", None))


def _reach_of_states(layer: Any) -> tuple[float, float]:
    """Of all states and of what both directions merge into."""
    inner = directions(layer)[0]
    lowest, highest = range_of(inner.activation)
    largest = max(-lowest, highest)
    if hasattr(inner.cell, "unit_forget_bias"):
        # An LSTM's cell state grows by one function value a step, and by what rounding adds.
        steps = layer.input.shape[1]
        largest = 2 * steps * largest if steps and inner.recurrent_activation in _WEIGHING else inf
    return (-2 * largest, 2 * largest) if inner is not layer else (-largest, largest)


_WEIGHING = (keras.activations.sigmoid, keras.activations.hard_sigmoid)
