"""An integer program as a chain of layers that hls4ml computes to the last bit; by layer, what it cannot express."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from wordlength.errors import IntegerError
from wordlength.objectives.integer import INPUT, IntegerProgram, Pool, Round, Step, Sum
from wordlength.objectives.integer.functions import Clip, Fire, Line, Ramp, Table
from wordlength.search.export.hls.kernels import kernel_layer
from wordlength.search.export.hls.nodes import Names, Node, Refused
from wordlength.search.export.hls.types import (
    averaging_type,
    exponent_bits,
    parameter_values,
    type_of_format,
    type_of_grid,
    type_of_parameter,
    written,
)
from wordlength.space import Binary, Fixed, Overflow, PowerOfTwo
from wordlength.space.layer_types import LAYER_TYPES

_REACH_BITS = {"sigmoid": 3, "tanh": 2}
"""hls4ml's tables cover −8 … 8 and −4 … 4."""
_FEWER_PLACES = {"sigmoid": 2, "tanh": 0}
"""Places of the argument fewer than of the output: half a step of it then moves the result by half a step at most."""
_FEWEST_PLACES = 6
HLS_LAYERS = frozenset(name for name, kind in LAYER_TYPES.items() if kind.hls4ml)
"""Layer types that hls4ml/ can hold; a layer may still be refused for its settings, formats or place."""


@dataclass(frozen=True)
class Translation:
    """The chain, and the layers that hls4ml cannot express: name → why. The chain is of use if there are none."""

    nodes: tuple[Node, ...]
    refused: Mapping[str, str]


def translate(program: IntegerProgram, float_model: Any) -> Translation:
    """The program of a float model, layer by layer from its input to its output."""
    chain = _Chain(program)
    for layer in float_model.layers:
        chain.add(layer)
    return chain.done()


def _chained(layer: Any) -> None:
    """Raise Refused for a layer that is no link of a chain."""
    if isinstance(layer.input, (list, tuple)) and len(layer.input) > 1:
        raise Refused("hls4ml/ holds chains of layers, but it joins several")
    if len(layer._outbound_nodes) > 1:
        raise Refused(f"hls4ml/ holds chains of layers, but {len(layer._outbound_nodes)} read it")


class _Chain:
    """Nodes so far, and what their values are."""

    def __init__(self, program: IntegerProgram) -> None:
        self._program = program
        self._roundings = {
            step.source: step for step in program.steps if isinstance(step, Round) and self._of_sum(step)
        }
        self._numbers = {id(step): number for number, step in enumerate(program.steps)}
        self._nodes: list[Node] = []
        self._refused: dict[str, str] = {}
        self._names = Names()
        self._scale = 0
        """The last node's values are 2^scale times what they stand for: behind a binary output, until a kernel."""
        self._scaled_by = self._flattened_by = ""
        """Layers whose output the next one must be able to read."""

    def add(self, layer: Any) -> None:
        """Append the nodes of one layer, or note why it has none."""
        try:
            _chained(layer)
            self._nodes.extend(self._translated(layer))
        except (Refused, IntegerError) as error:
            self._refused[layer.name] = str(error)
            self._scale, self._flattened_by = 0, ""

    def done(self) -> Translation:
        """What has become of all layers."""
        if self._scale:
            self._refused[self._scaled_by] = "a binary output must go into a layer with a kernel, which takes its scale"
        if self._flattened_by:
            self._refused[self._flattened_by] = "what is flattened must go into a dense layer"
        return Translation(tuple(self._nodes), self._refused)

    def _translated(self, layer: Any) -> Iterator[Node]:
        kind = type(layer).__name__
        steps = [step for step in self._program.steps if step.layer == layer.name]
        if kind == "InputLayer":
            types = {"result": type_of_format(self._program.input_format)}
            yield Node(self._names.new(layer.name), layer.name, kind, types, {"shape": self._program.input_shape})
        elif kind in ("Flatten", "Reshape"):
            yield from self._reshaped(layer)
        elif steps and self._flattened_by and kind != "Dense":
            raise Refused(f"it reads what {self._flattened_by} has flattened, which only a dense layer can")
        elif kind not in HLS_LAYERS and (steps or layer.input.shape != layer.output.shape):
            raise Refused(f"hls4ml/ has no {kind}")
        for step in steps:
            match step:
                case Sum():
                    yield self._sum(layer, step)
                case Pool():
                    yield self._pool(layer, step)
                case Round():
                    yield from self._rounded(layer, step)
                case _:
                    raise Refused(f"hls4ml/ has no {kind}")

    def _of_sum(self, step: Round) -> bool:
        return step.source != INPUT and isinstance(self._program.steps[step.source], Sum)

    def _reshaped(self, layer: Any) -> Iterator[Node]:
        source, target = tuple(layer.input.shape[1:]), tuple(layer.output.shape[1:])
        if source == target:
            return
        if self._flattened_by:
            raise Refused(f"it reads what {self._flattened_by} has flattened, which only a dense layer can")
        if len(target) == 1:
            self._flattened_by = layer.name
        elif source[-1] % target[-1] and target[-1] % source[-1]:
            raise Refused(
                f"streams of {source[-1]} channels cannot be regrouped by {target[-1]}: one must divide the other"
            )
        types = {"result": self._nodes[-1].types["result"]}
        yield Node(self._names.new(layer.name), layer.name, "Reshape", types, {"target_shape": target})

    def _sum(self, layer: Any, step: Sum) -> Node:
        kernel = kernel_layer(layer, step, parameter_values(step.kernel, -self._scale))
        powers = isinstance(step.kernel.format, PowerOfTwo)
        node = Node(
            name=self._names.new(layer.name + ("_depthwise" if step.kernel.info.name == "depthwise_kernel" else "")),
            layer=layer.name,
            kind=kernel.kind,
            types={
                "weight": type_of_parameter(step.kernel, -self._scale),
                **({"bias": type_of_parameter(step.bias)} if step.bias else {}),
                "accum": type_of_grid(step.accumulator),
                "result": type_of_grid(step.grid),
            },
            settings=kernel.settings,
            weights=(kernel.values, parameter_values(step.bias)) if step.bias else (kernel.values,),
            exponent_bits=exponent_bits(kernel.values, self._nodes[-1].types["result"]) if powers else 0,
            reuse=kernel.reuse,
        )
        self._scale, self._flattened_by = 0, ""
        return self._rounding_sum(node, step)

    def _rounding_sum(self, node: Node, step: Sum) -> Node:
        """The node, with the rounding that follows its sums where no function comes between."""
        rounding = self._roundings.get(self._numbers[id(step)])
        match rounding:
            case None:
                return replace(node, step=step)
            case Round(function=Fire()):
                return self._firing(node, rounding)
            case Round(function=Table() as table, format=Fixed()):
                argument = _argument(rounding, table)
                types = {**node.types, "result": type_of_format(_fixed(argument))}
                return replace(node, types=types, step=step, rounding=argument)
            case Round(function=Clip(lowest=lowest), format=Fixed() as fmt) if lowest != 0:
                return replace(node, types={**node.types, "result": type_of_format(fmt)}, step=rounding)
        return node

    def _firing(self, node: Node, step: Round) -> Node:
        """One bit in the place of the sum's last one: saturating, it is 0 up to 0 and 1 from the first step on."""
        self._scale, self._scaled_by = step.source_grid.exponent, step.layer
        types = {**node.types, "result": written(1, self._scale, False, ",AP_TRN,AP_SAT")}
        return replace(node, types=types, step=step, scale=self._scale)

    def _rounded(self, layer: Any, step: Round) -> Iterator[Node]:
        """The nodes of a function, and of a rounding that no sum does on its way out."""
        of_sum, fmt = self._of_sum(step), step.format
        if not of_sum and self._scale:
            raise Refused(f"it reads the binary output of {self._scaled_by}, which only a layer with a kernel can")
        if isinstance(fmt, Binary):
            if not of_sum:
                yield self._firing(self._activation(layer, step, "linear", ""), step)
            return
        if not isinstance(fmt, Fixed):
            raise Refused(f"hls4ml has no outputs in powers of two, but they are {fmt}")
        match step.function:
            case Line() | Ramp():
                raise Refused("hls4ml/ has the functions linear, relu, sigmoid and tanh only")
            case Table() as table:
                yield from self._tabled(layer, step, table, fmt)
            case Clip(lowest=lowest) if lowest not in (0, -math.inf):
                raise Refused(f"hls4ml has no function that begins at {lowest:g}")
            case Clip(lowest=lowest, highest=highest):
                if math.isfinite(highest) and step.grid.highest < fmt.highest_code:
                    raise Refused(f"hls4ml has no function that ends at {highest:g}")
                if lowest == 0:
                    yield self._activation(layer, step, "relu", type_of_format(fmt))
                elif not of_sum and self._nodes[-1].types["result"] != type_of_format(fmt):
                    yield self._activation(layer, step, "linear", type_of_format(fmt))

    def _tabled(self, layer: Any, step: Round, table: Table, fmt: Fixed) -> Iterator[Node]:
        if fmt.overflow is Overflow.WRAP and not fmt.lowest <= table.lowest < 1 <= fmt.highest:
            raise Refused(f"hls4ml's {table.name} lies a step away at places, where {fmt} may wrap")
        argument = _argument(step, table)
        if not self._of_sum(step) and step.source_grid.exponent < argument.exponent:
            # A table that is asked between two of its places cuts off what lies beyond them.
            node = self._activation(layer, step, "linear", type_of_format(_fixed(argument)), "_argument")
            yield replace(node, step=self._program.steps[step.source], rounding=argument)
        typed = type_of_format(fmt)
        node = self._activation(layer, step, table.name, typed)
        size = 2 ** (_REACH_BITS[table.name] + 1 - argument.exponent)
        yield replace(node, types={**node.types, "table": typed}, table_size=size)

    def _activation(self, layer: Any, step: Step, function: str, result: str, suffix: str = "") -> Node:
        own = hasattr(layer, "kernel") or hasattr(layer, "pointwise_kernel")
        name = self._names.new(layer.name + (suffix or (f"_{function}" if own else "")))
        return Node(name, layer.name, "Activation", {"result": result}, {"activation": function}, step=step)

    def _pool(self, layer: Any, step: Pool) -> Node:
        kind, count = type(layer).__name__, prod(step.geometry.kernel)
        if step.geometry.strides != step.geometry.kernel:
            raise Refused("hls4ml's pooling has strides of the pool's size only")
        if (step.counts != count).any():
            raise Refused("hls4ml's pooling has no padding")
        if getattr(layer, "keepdims", False):
            raise Refused("hls4ml's global pooling keeps no axes of one place")
        result = type_of_grid(step.grid, self._scale)
        if not step.exact:
            if count & -count > 2**8:
                raise Refused(f"hls4ml's averages over {count} values cannot be rounded half even")
            result = result.replace(">", ",AP_RND_CONV,AP_WRAP>")
        accum = averaging_type(step, self._scale) if step.average else result
        pooled = {"pool_size": layer.pool_size} if hasattr(layer, "pool_size") else {}
        types = {"accum": accum, "result": result}
        return Node(self._names.new(layer.name), layer.name, kind, types, pooled, step=step, scale=self._scale)


def _argument(step: Round, table: Table) -> Round:
    """The rounding to the places of hls4ml's table."""
    reach = _REACH_BITS[table.name]
    places = max(table.fraction_bits - _FEWER_PLACES[table.name], _FEWEST_PLACES)
    argument = Round(step.layer, Clip(), Fixed(reach + places + 1, reach), step.source, step.source_grid, step.shape)
    argument.check()
    return argument


def _fixed(step: Round) -> Fixed:
    assert isinstance(step.format, Fixed)
    return step.format
