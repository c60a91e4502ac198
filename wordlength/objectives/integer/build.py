"""Float Keras model + candidate → integer program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.functions import CURVES, MOST_FRACTION_BITS, Clip, Fire, Function, Table
from wordlength.objectives.integer.grid import Grid
from wordlength.objectives.integer.parameters import Parameter
from wordlength.objectives.integer.pooling import Pool
from wordlength.objectives.integer.program import INPUT, IntegerProgram, Step, grid_of, source_shape
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Geometry, Shape, Sum
from wordlength.space import Binary, Candidate, Fixed, Format, PowerOfTwo, Role, Slot, find_slots
from wordlength.space.layer_types import LAYER_TYPES, Family
from wordlength.space.slots import KERNELS, has_own_activation, variable_of

_POOLS = {
    **{f"{scope}AveragePooling{rank}D": True for scope in ("", "Global") for rank in (1, 2)},
    **{f"{scope}MaxPooling{rank}D": False for scope in ("", "Global") for rank in (1, 2)},
}
"""Layer type → whether it averages."""
_CLIPS = {"linear": Clip(), "relu": Clip(0.0), "relu6": Clip(0.0, 6.0)}
_PO2_PLACES = 3
"""Binary places that a table needs below the smallest power, so that the nearest power is found."""


def parameters_of(float_model: Any, candidate: Mapping[Slot, Format]) -> tuple[Parameter, ...]:
    """Every stored tensor of a float model with its weights, rounded to the candidate's formats, in slot order."""
    return tuple(
        Parameter.of(
            info.slot, tensor, fmt, np.asarray(variable_of(float_model.get_layer(info.slot.layer), tensor.name))
        )
        for info in find_slots(float_model)
        for tensor, fmt in zip(info.tensors, info.formats(candidate[info.slot]), strict=True)
    )


def integer_program(
    float_model: Any, candidate: Candidate, input_format: Fixed, parameters: tuple[Parameter, ...] | None = None
) -> IntegerProgram:
    """The integer operations of a float model in the candidate's formats.

    `input_format`: of the float input, one step for all. `parameters`: by default the model's weights. Raises
    IntegerError naming the layer if a format, a function or a layer type cannot be computed with integers of at most
    64 bits.
    """
    from wordlength.objectives.quantized_model import functional

    float_model = functional(float_model)
    if len(float_model.inputs) != 1 or len(float_model.outputs) != 1:
        raise IntegerError(
            f"a network must have one input and one output to be computed with integers, but {float_model.name!r} has "
            f"{len(float_model.inputs)} and {len(float_model.outputs)}"
        )
    parameters = parameters_of(float_model, candidate) if parameters is None else parameters
    builder = _Builder(candidate, {parameter.name: parameter for parameter in parameters}, input_format)
    for layer in float_model.layers:
        builder.add(layer)
    last = builder.places[float_model.outputs[0]._keras_history.operation.name]
    if last != len(builder.steps) - 1:
        raise IntegerError(f"the last layer must give the output, but {float_model.name!r} has others behind it")
    program = IntegerProgram(
        input_format,
        tuple(float_model.inputs[0].shape[1:]),
        tuple(float_model.outputs[0].shape[1:]),
        tuple(builder.steps),
        parameters,
    )
    if not isinstance(program.steps[-1], Round):
        raise IntegerError(f"the output must have a format, but layer {float_model.layers[-1].name!r} gives none")
    return program


class _Builder:
    """Steps so far, and which of them a layer's output is."""

    def __init__(self, candidate: Candidate, parameters: Mapping[str, Parameter], input_format: Fixed) -> None:
        self.steps: list[Step] = []
        self.places: dict[str, int] = {}
        self._candidate = candidate
        self._parameters = parameters
        self._input = grid_of(input_format)

    def add(self, layer: Any) -> None:
        """Append the steps of one layer."""
        kind = type(layer).__name__
        if not LAYER_TYPES[kind].integers:
            raise IntegerError(f"layer {layer.name!r} is a {kind}, which has no integer arithmetic yet")
        _require_plain(layer)
        if LAYER_TYPES[kind].family in (Family.INPUT, Family.PASSING) and kind not in _POOLS:
            self.places[layer.name] = INPUT if kind == "InputLayer" else self._source(layer)
            return
        steps: Iterable[Step] = ()
        if kind in KERNELS:
            steps = self._sums(layer)
        elif kind in _POOLS:
            steps = [self._pool(layer)]
        place = self._source(layer)
        for step in steps:
            step.check()
            self.steps.append(step)
            place = len(self.steps) - 1
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if slot in self._candidate:
            shape = self.steps[place].shape if place != INPUT else source_shape(layer.input.shape)
            fmt = self._candidate[slot]
            self.steps.append(Round(layer.name, _function(layer, fmt), fmt, place, self._grid(place), shape))
            self.steps[-1].check()  # Before the next one asks for its grid.
            place = len(self.steps) - 1
        self.places[layer.name] = place

    def _source(self, layer: Any) -> int:
        inputs = layer.input
        if isinstance(inputs, (list, tuple)):
            raise IntegerError(f"layer {layer.name!r} has {len(inputs)} inputs, which have no integer arithmetic yet")
        return self.places[inputs._keras_history.operation.name]

    def _grid(self, place: int) -> Grid:
        return self._input if place == INPUT else self.steps[place].grid

    def _sums(self, layer: Any) -> Iterator[Sum]:
        kernels = KERNELS[type(layer).__name__]
        place, shape, ends = self._source(layer), source_shape(layer.input.shape), None
        for number, name in enumerate(kernels):
            last = number == len(kernels) - 1
            kernel = self._parameters[f"{layer.name}.weights.{name}"]
            depthwise = kernel.info.channel_axes == 2
            moves = number == 0 and hasattr(layer, "kernel_size")  # Not a dense or pointwise kernel.
            geometry = _geometry(layer, layer.kernel_size, layer.dilation_rate) if moves else Geometry()
            made = source_shape(layer.output.shape) if last else _depthwise_shape(layer, kernel)
            bias = self._parameters.get(f"{layer.name}.biases") if last else None
            step = Sum(layer.name, kernel, bias, geometry, depthwise, place, self._grid(place), shape, made, ends)
            yield step
            place, shape, ends = len(self.steps) - 1, made, step.ends

    def _pool(self, layer: Any) -> Pool:
        shape = source_shape(layer.input.shape)
        place = self._source(layer)
        if hasattr(layer, "pool_size"):
            geometry = _geometry(layer, layer.pool_size, 1)
            made = source_shape(layer.output.shape)
        else:
            geometry, made = Geometry(shape[:2], shape[:2]), (1, 1, shape[2])
        average = _POOLS[type(layer).__name__]
        return Pool(layer.name, average, geometry, place, self._grid(place), shape, made)


def _pair(numbers: Any) -> tuple[int, int]:
    """One number per axis as height and width; one-dimensional layers have a height of 1."""
    known = tuple(numbers) if isinstance(numbers, (list, tuple)) else (numbers,)
    return (1, int(known[0])) if len(known) == 1 else (int(known[0]), int(known[1]))


def _geometry(layer: Any, kernel: Any, dilation: Any) -> Geometry:
    size, strides = _pair(kernel), _pair(layer.strides)
    dilations = _pair(dilation) if isinstance(dilation, (list, tuple)) else (1, 1)
    if len(tuple(kernel)) == 1:
        strides, dilations = (1, strides[1]), (1, dilations[1])
    before = [0, 0]
    if layer.padding == "causal":
        before[1] = (size[1] - 1) * dilations[1]
    elif layer.padding == "same":
        inputs, outputs = source_shape(layer.input.shape), source_shape(layer.output.shape)
        for axis in range(2):
            reach = (outputs[axis] - 1) * strides[axis] + (size[axis] - 1) * dilations[axis] + 1
            before[axis] = max(reach - inputs[axis], 0) // 2
    return Geometry(size, strides, dilations, (before[0], before[1]))


def _depthwise_shape(layer: Any, kernel: Parameter) -> Shape:
    height, width, _ = source_shape(layer.output.shape)
    return height, width, kernel.info.packed_shape[-1]


def _function(layer: Any, fmt: Format) -> Function:
    if isinstance(fmt, Binary):
        return Fire()
    name = _function_name(layer)
    if name in _CLIPS:
        return _CLIPS[name]
    if name == "ReLU" and not layer.negative_slope and not layer.threshold:
        return Clip(0.0, math.inf if layer.max_value is None else float(layer.max_value))
    if name in CURVES:
        match fmt:
            case Fixed():
                places = -int(fmt.step_exponents[0])
            case PowerOfTwo():
                places = _PO2_PLACES - fmt.min_exponent
            case _:
                raise IntegerError(f"outputs of {layer.name} must have whole numbers for codes, but are {fmt}")
        return Table(name, min(max(places, 1), MOST_FRACTION_BITS))
    known = ", ".join((*_CLIPS, *CURVES))
    raise IntegerError(f"layer {layer.name!r} has the function {name}, but integer arithmetic knows {known} only")


def _function_name(layer: Any) -> str:
    kind = type(layer).__name__
    if kind in KERNELS and not has_own_activation(layer):
        return "linear"
    return getattr(getattr(layer, "activation", None), "__name__", kind)


def _require_plain(layer: Any) -> None:
    if len(layer._inbound_nodes) > 1:
        raise IntegerError(f"layer {layer.name!r} must be used once to be computed with integers")
    if getattr(layer, "data_format", None) not in (None, "channels_last"):
        raise IntegerError(f"layer {layer.name!r} must have its channels last to be computed with integers")
    if None in layer.output.shape[1:]:
        raise IntegerError(f"layer {layer.name!r} must have a known shape to be computed with integers")
