"""Float Keras model + candidate → integer program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.activation import function_of, named_function, places_of
from wordlength.objectives.integer.grid import Grid
from wordlength.objectives.integer.layout import kernel_geometry, pair, pool_geometry, shapes_of, sides
from wordlength.objectives.integer.merging import Join, Merge
from wordlength.objectives.integer.moving import Move
from wordlength.objectives.integer.parameters import Parameter
from wordlength.objectives.integer.pooling import Pool
from wordlength.objectives.integer.program import INPUT, IntegerProgram, Step, grid_of, source_shape
from wordlength.objectives.integer.recurrent import Cell, Direction, Recurrent, gate_places, state_grid
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Geometry, Shape, Sum
from wordlength.space import Candidate, Fixed, Format, Role, Slot, find_slots
from wordlength.space.layer_types import LAYER_TYPES, Family, of_family
from wordlength.space.slots import ACTIVATION_LAYERS, KERNELS, Anatomy, anatomy, directions

_KEEPING = of_family(Family.INPUT) | {name for name in of_family(Family.PASSING) if LAYER_TYPES[name].in_place}
"""Layers that leave the values and their order in memory as they are."""
_POOLS = {
    **{f"{scope}AveragePooling{rank}D": True for scope in ("", "Global") for rank in (1, 2)},
    **{f"{scope}MaxPooling{rank}D": False for scope in ("", "Global") for rank in (1, 2)},
}
"""Layer type → whether it averages."""


def parameters_of(float_model: Any, candidate: Mapping[Slot, Format]) -> tuple[Parameter, ...]:
    """Every stored tensor of a float model with its weights, rounded to the candidate's formats, in slot order."""
    return tuple(
        Parameter.of(info.slot, tensor, fmt, np.asarray(float_model.weights[tensor.place]))
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
    for layer in _in_order(float_model):
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
    if not program.steps:
        raise IntegerError(f"a network must compute something, but {float_model.name!r} hands its input on")
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
        parts = anatomy(layer)
        _require_plain(parts)
        if parts.kind in _KEEPING:
            self.places[layer.name] = INPUT if parts.kind == "InputLayer" else self._source(layer)
            return
        if parts.kind not in _MAKERS:
            raise IntegerError(f"layer {layer.name!r} is a {parts.kind}, which has no integer arithmetic yet")
        place = INPUT
        for step in _MAKERS[parts.kind](self, parts):
            place = self._append(step)
        if parts.family is Family.RECURRENT:
            self.places[layer.name] = place  # The states have the format already.
            return
        slot = Slot(layer.name, Role.ACTIVATIONS)
        if slot in self._candidate:
            function = parts.family is Family.FUNCTION
            place = self._source(layer) if function else place
            shape = source_shape(layer.input.shape) if place == INPUT else self.steps[place].shape
            fmt = self._candidate[slot]
            place = self._append(Round(layer.name, function_of(parts, fmt), fmt, place, self._grid(place), shape))
        self.places[layer.name] = place

    def _append(self, step: Step) -> int:
        step.check()  # Before the next one asks for its grid.
        self.steps.append(step)
        return len(self.steps) - 1

    def _source(self, layer: Any) -> int:
        return self.places[layer.input._keras_history.operation.name]

    def _grid(self, place: int) -> Grid:
        return self._input if place == INPUT else self.steps[place].grid

    def sums(self, parts: Anatomy) -> Iterator[Sum]:
        """A layer with a kernel: one step for each."""
        layer, core = parts.layer, parts.core
        moves = hasattr(core, "kernel_size")
        place, ends = self._source(layer), None
        source, made = source_shape(layer.input.shape), source_shape(layer.output.shape)
        for number, path in enumerate(parts.weights):
            last = number == len(parts.weights) - 1
            kernel = self._parameters[f"{layer.name}.weights.{path}"]
            depthwise = kernel.info.channel_axes == 2
            # Not a dense or pointwise kernel.
            geometry = kernel_geometry(core, *shapes_of(layer)) if moves and not number else Geometry()
            shape = made if last else (*made[:2], kernel.info.packed_shape[-1])
            bias = self._bias(parts) if last else None
            step = Sum(layer.name, kernel, bias, geometry, depthwise, place, self._grid(place), source, shape, ends)
            yield step
            place, source, ends = len(self.steps) - 1, shape, step.ends

    def _bias(self, parts: Anatomy) -> Parameter | None:
        return self._parameters[f"{parts.layer.name}.biases.{parts.biases[0]}"] if parts.biases else None

    def pool(self, parts: Anatomy) -> Iterator[Pool]:
        """Average or maximum of windows."""
        place, (source, made) = self._source(parts.layer), shapes_of(parts.layer)
        geometry, shape = pool_geometry(parts.core, source, made)
        yield Pool(parts.layer.name, _POOLS[parts.kind], geometry, place, self._grid(place), source, shape)

    def move(self, parts: Anatomy) -> Iterator[Move]:
        """Padding, cropping, repetition, another order of the axes."""
        place, (source, made) = self._source(parts.layer), shapes_of(parts.layer)
        yield Move(parts.layer.name, place, self._grid(place), source, made, **_movement(parts))

    def merge(self, parts: Anatomy) -> Iterator[Merge]:
        """Several inputs as one."""
        layer = parts.layer
        shapes = [tensor.shape for tensor in layer.input]
        if len({len(shape) for shape in shapes}) > 1 or len(shapes[0]) > 4:
            raise IntegerError(f"inputs of {layer.name!r} must have the same number of axes, at most 3")
        places = tuple(self.places[tensor._keras_history.operation.name] for tensor in layer.input)
        axis = range(len(shapes[0]))[getattr(layer, "axis", -1)] + 3 - len(shapes[0])
        made = source_shape(layer.output.shape)
        grids, sources = tuple(self._grid(place) for place in places), tuple(source_shape(shape) for shape in shapes)
        yield Merge(layer.name, Join(parts.kind), places, grids, sources, made, axis)

    def recur(self, parts: Anatomy) -> Iterator[Recurrent]:
        """One direction, or two side by side."""
        layer, (source, made) = parts.layer, shapes_of(parts.layer)
        passes = directions(parts.core)
        if len(passes) > 1 and parts.core.merge_mode != "concat":
            raise IntegerError(
                f"directions must lie side by side to be computed with integers, but {layer.name!r} has "
                f"merge_mode={parts.core.merge_mode!r}"
            )
        place = self._source(layer)
        biases = parts.biases or (None,) * len(passes)
        pieces = [
            self._direction(parts, rnn, (*parts.weights[2 * number : 2 * number + 2], biases[number]), place, source)
            for number, rnn in enumerate(passes)
        ]
        yield Recurrent(layer.name, place, tuple(pieces), made)

    def _direction(
        self, parts: Anatomy, rnn: Any, paths: tuple[str | None, ...], place: int, source: Shape
    ) -> Direction:
        layer, cell = parts.layer, Cell(type(rnn).__name__)
        if cell is Cell.GRU and not rnn.reset_after:
            raise IntegerError(
                f"a GRU must have reset_after=True to be computed with integers, but layer {layer.name!r} has not"
            )
        fmt = self._candidate[Slot(layer.name, Role.ACTIVATIONS)]
        kernel, recurrent = (self._parameters[f"{layer.name}.weights.{path}"] for path in paths[:2])
        bias = self._parameters[f"{layer.name}.biases.{paths[2]}"] if paths[2] else None
        places = places_of(layer, fmt)
        name, kept, width = layer.name, state_grid(layer.name, fmt), len(cell.gates) * rnn.units
        fed = Sum(name, kernel, bias, Geometry(), False, place, self._grid(place), source, (1, source[1], width))
        row = {"bias": bias, "bias_row": 1} if cell is Cell.GRU else {"bias": None}
        held = Sum(
            layer=name,
            kernel=recurrent,
            geometry=Geometry(),
            depthwise=False,
            source=place,
            source_grid=kept,
            source_shape=(1, 1, rnn.units),
            shape=(1, 1, width),
            **row,
        )
        gate = getattr(rnn, "recurrent_activation", rnn.activation)
        opens, gives = (named_function(name, function.__name__, places) for function in (gate, rnn.activation))
        in_order, wide = parts.kind == "Bidirectional", gate_places(places)
        return Direction(name, cell, fed, held, opens, gives, wide, fmt, rnn.go_backwards, in_order)

    def nothing(self, parts: Anatomy) -> Iterator[Step]:
        """An activation layer: its rounding alone."""
        yield from ()


def _movement(parts: Anatomy) -> dict[str, Any]:
    core = parts.core
    match parts.kind:
        case "ZeroPadding1D" | "ZeroPadding2D":
            return {"before": sides(core.padding)}
        case "Cropping1D" | "Cropping2D":
            above, left = sides(core.cropping)
            return {"before": (-above, -left)}
        case "UpSampling1D" | "UpSampling2D":
            return {"repeat": pair(core.size)}
        case "RepeatVector":
            return {"repeat": (1, core.n)}
    if core is not parts.layer:
        raise IntegerError(
            f"layer {parts.layer.name!r} is a {parts.kind} over time, which has no integer arithmetic yet"
        )
    first = 3 - len(core.dims)
    return {"axes": (*range(first), *(first + axis - 1 for axis in core.dims))}


_MOVES = tuple(f"{what}{rank}D" for what in ("ZeroPadding", "Cropping", "UpSampling") for rank in (1, 2))
_MAKERS: dict[str, Callable[[_Builder, Anatomy], Iterable[Step]]] = {
    **dict.fromkeys(KERNELS, _Builder.sums),
    **dict.fromkeys(_POOLS, _Builder.pool),
    **dict.fromkeys((*_MOVES, "RepeatVector", "Permute"), _Builder.move),
    **dict.fromkeys(Join, _Builder.merge),
    **dict.fromkeys((*Cell, "Bidirectional"), _Builder.recur),
    **dict.fromkeys(ACTIVATION_LAYERS - {"Softmax"}, _Builder.nothing),
}
"""Layer type → what makes its steps, before the rounding of its ACTIVATIONS slot."""
INTEGER_LAYERS = frozenset({*_KEEPING, *_MAKERS, "TimeDistributed"})
"""Layer types with integer arithmetic; a layer may still be refused for its settings or formats."""


def _in_order(float_model: Any) -> Iterator[Any]:
    """The layers, activation layers right behind what they read: sums are rounded as soon as they are made."""
    moved: set[str] = set()
    for layer in float_model.layers:
        waiting = [layer] if layer.name not in moved else []
        while waiting:
            next_one = waiting.pop(0)
            moved.add(next_one.name)
            yield next_one
            followers = [node.operation for node in next_one._outbound_nodes]
            waiting += [one for one in followers if type(one).__name__ in ACTIVATION_LAYERS and one.name not in moved]


def _require_plain(parts: Anatomy) -> None:
    layer = parts.layer
    if len(layer._inbound_nodes) > 1:
        raise IntegerError(f"layer {layer.name!r} must be used once to be computed with integers")
    if getattr(parts.core, "data_format", None) not in (None, "channels_last"):
        raise IntegerError(f"layer {layer.name!r} must have its channels last to be computed with integers")
    if None in layer.output.shape[1:]:
        raise IntegerError(f"layer {layer.name!r} must have a known shape to be computed with integers")
