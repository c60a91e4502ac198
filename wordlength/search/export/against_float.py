"""The integers against the QKeras model in float32, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wordlength.errors import BundleError
from wordlength.objectives.integer import INPUT, Grid, IntegerProgram, Integers, Recurrent, Round
from wordlength.search.export.c import Stage, plan
from wordlength.search.export.config import LayerProof
from wordlength.space import Fixed, Overflow, PowerOfTwo
from wordlength.stages import Progress

_AT_ONCE = 50
_FLOAT32_BITS = 23
"""Binary places within which float32 sums err, counted from the largest."""


@dataclass
class _Count:
    """Differences of one layer so far."""

    largest: int = 0
    unequal: int = 0
    of: int = 0

    def add(self, steps: Integers) -> None:
        self.largest = max(self.largest, int(steps.max(initial=0)))
        self.unequal += int(np.count_nonzero(steps))
        self.of += steps.size

    @property
    def share(self) -> float:
        return self.unequal / max(self.of, 1)


@dataclass
class _Row:
    """Differences of one layer, from its own inputs and through the network."""

    alone: _Count = field(default_factory=_Count)
    through: _Count = field(default_factory=_Count)

    def proof(self, layer: str) -> LayerProof:
        return LayerProof(
            layer=layer,
            largest_alone=self.alone.largest,
            unequal_alone=self.alone.share,
            largest=self.through.largest,
            unequal=self.through.share,
        )


def compare_layers(
    model: Any, program: IntegerProgram, codes: Integers, tell: Progress = lambda done, total: None
) -> tuple[LayerProof, ...]:
    """The QKeras model in float32 against the integers, layer by layer, on input codes (n, *input_shape).

    Alone: every layer from the integers' own inputs, so that what differs is this layer's arithmetic: the order of
    float32 sums, divisions, the table; a recurrent layer frame by frame, from the integers' own states. Through the
    network: from the same input frames. A difference counts the representable values between the two.
    """
    comparison = _Comparison(model, program)
    for start in range(0, len(codes), _AT_ONCE):
        comparison.add(codes[start : start + _AT_ONCE])
        tell(min(start + _AT_ONCE, len(codes)), len(codes))
    return comparison.proofs


class _Comparison:
    """The model cut at every stage's output, and what has been counted of its differences."""

    def __init__(self, model: Any, program: IntegerProgram) -> None:
        import keras

        self._model, self._program, self._stages = model, program, plan(program)
        self._tensors = {INPUT: model.inputs[0]} | {
            number: _tensor(model, stage) for number, stage in enumerate(self._stages)
        }
        self._whole = keras.Model(model.inputs[0], [self._tensors[number] for number in range(len(self._stages))])
        self._alone = {
            number: keras.Model([self._tensors[source] for source in _read(stage)], self._tensors[number])
            for number, stage in enumerate(self._stages)
            if not stage.recurrent
        }
        self._rows = [_Row() for _ in self._stages]

    @property
    def proofs(self) -> tuple[LayerProof, ...]:
        return tuple(row.proof(stage.name) for stage, row in zip(self._stages, self._rows, strict=True))

    def add(self, codes: Integers) -> None:
        """Count what differs on some more input codes."""
        held = self._outputs(codes)
        chained = self._whole(self._floats(INPUT, codes))
        chained = chained if isinstance(chained, (list, tuple)) else [chained]
        for number, (stage, row) in enumerate(zip(self._stages, self._rows, strict=True)):
            row.through.add(_apart(stage, held[number], np.asarray(chained[number])))
            if stage.recurrent:
                row.alone.add(_frames_apart(self._model, stage, stage.recurrent, held[stage.sources[0]]))
            else:
                found = self._alone[number]([self._floats(source, held[source]) for source in _read(stage)])
                row.alone.add(_apart(stage, held[number], np.asarray(found)))

    def _outputs(self, codes: Integers) -> Mapping[int, Integers]:
        """Codes of the input and of every stage's output, by the integer reference."""
        last = {id(stage.last): number for number, stage in enumerate(self._stages)}
        outputs = self._program.outputs(codes)
        return {INPUT: codes} | {last[id(step)]: made for step, made in outputs if id(step) in last}

    def _floats(self, number: int, codes: Integers) -> Any:
        """What the codes of a stage's output, or of the input, stand for, in the shape that the model has."""
        grid: Grid = self._program.input_grid if number == INPUT else self._stages[number].last.grid
        return grid.to_float(codes).astype(np.float32).reshape(-1, *self._tensors[number].shape[1:])


def _read(stage: Stage) -> tuple[int, ...]:
    """Its sources, one that is read twice named once."""
    return tuple(dict.fromkeys(stage.sources))


def _frames_apart(model: Any, stage: Stage, step: Recurrent, codes: Integers) -> Integers:
    """How far every frame's state lies from what the model's cell makes of the same input and state, any shape.

    `codes`: the layer's input, (n, *source_shape).
    """
    from wordlength.space.rounded_layer import RoundedLayer
    from wordlength.space.slots import directions

    layer, quantized = model.get_layer(step.layer), model.get_layer(f"{step.layer}_quantized")
    layer = layer.layer if isinstance(layer, RoundedLayer) else layer  # Its parameters are rounded already.
    rnns = directions(layer)
    apart: list[Integers] = []
    codes = codes.reshape(-1, *step.source_shape)[:, 0]
    for one, rnn in zip(step.directions, rnns, strict=True):
        inputs = one.inputs.source_grid.to_float(codes[:, :: -1 if one.backward else 1]).astype(np.float32)
        for frame, (begun, ended) in enumerate(one.steps(codes[:, None])):
            states = [one.kept.to_float(state).astype(np.float32) for state in begun]
            made, _ = rnn.cell(inputs[:, frame], states)
            apart.append(_apart(stage, ended, np.asarray(quantized(made))))
    return np.concatenate(apart, axis=None)


def require_close(program: IntegerProgram, rows: Sequence[LayerProof]) -> None:
    """Raise BundleError, naming the layer, if one lies further from float32 than float32 accounts for."""
    for stage, row in zip(plan(program), rows, strict=True):
        if row.largest_alone > (allowed := allowed_steps(stage)):
            raise BundleError(
                f"layer {row.layer} must lie within {allowed} of its format's steps from float32, "
                f"but lies {row.largest_alone} away"
            )


def allowed_steps(stage: Stage) -> int:
    """How far a layer may lie from float32, from equal inputs: one step, more where float32 itself holds no more.

    A float32 sum errs by about 2^−23 of its largest part; an output finer than that cannot be expected of it. The gates
    of a recurrent layer add the bound of theirs.
    """
    last = stage.last
    if isinstance(last, Round | Recurrent) and isinstance(last.format, PowerOfTwo):
        return 1
    gates = stage.recurrent.error if stage.recurrent else 0.0
    return 1 + int((_largest(stage) * 2.0**-_FLOAT32_BITS + gates) * 2.0**-last.grid.exponent)


def _largest(stage: Stage) -> float:
    """The largest magnitude that the layer's float32 sums, or its pooled values, can have."""
    if stage.recurrent:
        # An input's sum and a state's add up.
        parts = [(one.inputs.accumulator, one.states.accumulator) for one in stage.recurrent.directions]
        return max(sum(max(-grid.lowest, grid.highest) * 2.0**grid.exponent for grid in pair) for pair in parts)
    grid = stage.sums[-1].accumulator if stage.sums else (stage.merge or stage.last).grid
    return max(-grid.lowest, grid.highest) * 2.0**grid.exponent


def _tensor(model: Any, stage: Stage) -> Any:
    rounded = isinstance(stage.last, Round | Recurrent)
    return model.get_layer(f"{stage.last.layer}_quantized" if rounded else stage.last.layer).output


def _apart(stage: Stage, codes: Integers, found: Any) -> Integers:
    """How many representable values lie between the two, any shape."""
    step, fmt = stage.last, getattr(stage.last, "format", None)
    there = np.rint(np.ldexp(found.astype(np.float64).reshape(codes.shape), -step.grid.exponent)).astype(np.int64)
    if isinstance(fmt, PowerOfTwo):
        # Codes are powers themselves: their place among the powers counts, down to what float32 tells apart.
        least = math.log2(max(_largest(stage), 1e-300)) - _FLOAT32_BITS - step.grid.exponent
        codes, there = (_place_among_powers(side, max(0, math.ceil(least)), fmt) for side in (codes, there))
    apart = np.asarray(np.abs(codes - there), np.int64)
    if isinstance(fmt, Fixed) and fmt.overflow is Overflow.WRAP:
        # Behind the highest value comes the lowest.
        apart = np.minimum(apart, 2**fmt.bits - apart)
    return apart


def _place_among_powers(codes: Integers, least: int, fmt: PowerOfTwo) -> Any:
    """Powers counted from 0, those below 2^least as 0; without a zero, the smallest of both signs are neighbours."""
    powers = np.maximum(np.frexp(np.abs(codes).astype(np.float64))[1] - least, 0)
    return np.where(codes < 0, (0 if fmt.zero or least else 1) - powers, powers)
