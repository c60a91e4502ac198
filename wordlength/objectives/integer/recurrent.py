"""Recurrent layers: a state that goes from frame to frame in the format of the layer's output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.functions import GUARD_BITS, Clip, Function, Ramp, Table
from wordlength.objectives.integer.grid import Grid, Integers
from wordlength.objectives.integer.rounding import Round
from wordlength.objectives.integer.sums import Shape, Sum
from wordlength.space import Fixed, Format

_ONE = (1, 1, 1)


class Cell(StrEnum):
    """What a frame does to the state; by the names of Keras' layers."""

    SIMPLE = "SimpleRNN"
    GRU = "GRU"
    LSTM = "LSTM"

    @property
    def gates(self) -> str:
        """One letter for each part of the kernels, in Keras' order; "h" is the candidate."""
        return {Cell.SIMPLE: "h", Cell.GRU: "zrh", Cell.LSTM: "ifho"}[self]


@dataclass(frozen=True, eq=False)
class Direction:
    """One pass over the frames, forward or backward in time.

    `inputs`: the kernel's sums of every frame; `states`: the recurrent kernel's, of one state. Both have a part for
    each of the cell's gates. `gate`, `candidate`: functions with results in 0 … 1 and −1 … 1, but any for the
    candidate of a SimpleRNN. `places`: binary places of a gate. `format`: the state's, an LSTM's cell state's too.
    """

    layer: str
    cell: Cell
    inputs: Sum
    states: Sum
    gate: Function
    candidate: Function
    places: int
    format: Format
    backward: bool
    in_order: bool
    """Whether outputs lie where their frames do; else in the order in which they are made."""

    @property
    def units(self) -> int:
        """Elements of the state."""
        return self.states.source_shape[2]

    @property
    def frames(self) -> int:
        """How many frames pass."""
        return self.inputs.shape[1]

    @property
    def one(self) -> int:
        """A gate that is wide open."""
        return 1 << self.places

    @cached_property
    def shifts(self) -> tuple[int, int]:
        """How far sums of input and state are shifted left to be added."""
        return _aligned(self.inputs.exponent, self.states.exponent)

    @cached_property
    def reset_shifts(self) -> tuple[int, int]:
        """The same for the candidate of a GRU, where the reset gate multiplies the state's sums."""
        return _aligned(self.inputs.exponent, self.states.exponent - self.places)

    @cached_property
    def mixed_shifts(self) -> tuple[int, int]:
        """How far gate · state and gate · candidate are shifted left to be added."""
        return _aligned(self.kept.exponent - self.places, -2 * self.places)

    @cached_property
    def kept(self) -> Grid:
        """The codes of the state."""
        return state_grid(self.layer, self.format)

    @property
    def start(self) -> int:
        """The code that the state begins with: 0 rounded, which is the smallest power where a format has no zero."""
        return int(Round(self.layer, Clip(), self.format, 0, Grid(0, 0, 0), _ONE)(np.zeros(1, np.int64))[0])

    @cached_property
    def rounds(self) -> dict[str, Round]:
        """What ends in a rounding: a gate's letter, "c" (an LSTM's cell state), "t" (its function), "state"."""
        made = {name: self._gate(name) for name in self.cell.gates if self.cell is not Cell.SIMPLE}
        if self.cell is Cell.SIMPLE:
            return {"state": Round(self.layer, self.candidate, self.format, 0, self._argument("h"), _ONE)}
        mixed = self._mixed()
        if self.cell is Cell.GRU:
            return {**made, "state": Round(self.layer, Clip(), self.format, 0, mixed, _ONE)}
        made["c"] = Round(self.layer, Clip(), self.format, 0, mixed, _ONE)
        made["t"] = Round(self.layer, self.candidate, Fixed(self.places + 2, 1), 0, mixed, _ONE)
        given = Grid(-2 * self.places, -self.one * self.one, self.one * self.one)
        return {**made, "state": Round(self.layer, Clip(), self.format, 0, given, _ONE)}

    @cached_property
    def error(self) -> float:
        """How far a frame's state may lie from exact functions of the same sums before it is rounded."""
        half = 2.0 ** -(self.places + 1)
        gate, candidate = (_error(function) + half for function in (self.gate, self.candidate))
        match self.cell:
            case Cell.SIMPLE:
                return candidate - half
            case Cell.GRU:
                # z · h + (1 − z) · candidate, where r moves the candidate's argument by as much as it lets through.
                passed = max(-self.states.grid.lowest, self.states.grid.highest) * 2.0**self.states.exponent
                return 2 * gate + candidate + passed * gate
            case Cell.LSTM:
                largest = max(-self.kept.lowest, self.kept.highest) * 2.0**self.kept.exponent
                return (largest + 2) * gate + 2 * candidate

    def check(self) -> None:
        """Raise IntegerError if a gate is no gate, or a 64-bit word cannot hold what is computed."""
        if self.cell is not Cell.SIMPLE:
            for function, lowest in ((self.gate, 0.0), (self.candidate, -1.0)):
                if not lowest <= function.ends[0] <= function.ends[1] <= 1:
                    raise IntegerError(
                        f"gates of {self.layer} must lie in 0 … 1 and its other functions in −1 … 1, but one does not"
                    )
        self.inputs.check()
        self.states.check()
        for step in self.rounds.values():
            step.source_grid.require_word(f"sums of {self.layer}")
            step.check()

    def __call__(self, codes: Integers) -> Integers:
        """(n, *inputs.source_shape) codes → (n, frames, units): the states in the order in which they are made."""
        return np.stack([state for _, state in self.steps(codes)], 1)

    def steps(self, codes: Integers) -> Iterator[tuple[tuple[Integers, ...], Integers]]:
        """What each frame begins with, an LSTM's cell state last, and the state that it ends with: (n, units)."""
        sums = self.inputs(codes)[:, 0]
        state = cell = np.full((len(sums), self.units), self.start, np.int64)
        for frame in range(self.frames)[:: -1 if self.backward else 1]:
            begun = (state, cell) if self.cell is Cell.LSTM else (state,)
            state, cell = self._next(sums[:, frame], state, cell)
            yield begun, state

    def _next(self, given: Integers, state: Integers, cell: Integers) -> tuple[Integers, Integers]:
        names = self.cell.gates
        fed = dict(zip(names, np.split(given, len(names), -1), strict=True))
        held = dict(zip(names, np.split(self.states(state)[:, 0, 0], len(names), -1), strict=True))
        rounds, (ahead, behind) = self.rounds, self.shifts
        summed = {name: (fed[name] << ahead) + (held[name] << behind) for name in names}
        if self.cell is Cell.SIMPLE:
            return rounds["state"](summed["h"]), cell
        if self.cell is Cell.GRU:
            update, reset = rounds["z"](summed["z"]), rounds["r"](summed["r"])
            ahead, behind = self.reset_shifts
            candidate = rounds["h"]((fed["h"] << ahead) + (reset * held["h"] << behind))
            return rounds["state"](self._mix(update * state, (self.one - update) * candidate)), cell
        gates = {name: rounds[name](summed[name]) for name in names}
        mixed = self._mix(gates["f"] * cell, gates["i"] * gates["h"])
        return rounds["state"](gates["o"] * rounds["t"](mixed)), rounds["c"](mixed)

    def _mix(self, kept: Integers, new: Integers) -> Integers:
        ahead, behind = self.mixed_shifts
        return (kept << ahead) + (new << behind)

    def _gate(self, name: str) -> Round:
        function, fmt = self.gate, Fixed(self.places + 1, 1, signed=False)
        if name == "h":
            function, fmt = self.candidate, Fixed(self.places + 2, 1)
        return Round(self.layer, function, fmt, 0, self._argument(name), _ONE)

    def _argument(self, name: str) -> Grid:
        """Where a gate's argument lies."""
        fed, held = self.inputs.grid, self.states.grid
        if self.cell is Cell.GRU and name == "h":
            # The reset gate lets nothing through at least.
            held = Grid(held.exponent - self.places, min(held.lowest, 0) * self.one, max(held.highest, 0) * self.one)
        return _total(fed, held)

    def _mixed(self) -> Grid:
        """Where gate · state + gate · candidate lies."""
        gated = Grid(
            self.kept.exponent - self.places, *(end * self.one for end in (self.kept.lowest, self.kept.highest))
        )
        return _total(gated, Grid(-2 * self.places, -self.one * self.one, self.one * self.one))


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One direction, or two whose outputs lie side by side; all states, or the last one of each direction."""

    layer: str
    source: int
    directions: tuple[Direction, ...]
    shape: Shape

    @property
    def sources(self) -> tuple[int, ...]:
        """The steps that it reads."""
        return (self.source,)

    @property
    def source_shape(self) -> Shape:
        """Frames along the width."""
        return self.directions[0].inputs.source_shape

    @property
    def sequences(self) -> bool:
        """Whether every frame has an output."""
        return self.shape[1] > 1 or self.source_shape[1] == 1

    @property
    def format(self) -> Format:
        """Of the states, which are the outputs."""
        return self.directions[0].format

    @property
    def error(self) -> float:
        """The largest of the directions' errors."""
        return max(one.error for one in self.directions)

    @property
    def grid(self) -> Grid:
        """The codes of the states."""
        return self.directions[0].rounds["state"].grid

    def check(self) -> None:
        """Raise IntegerError if a direction cannot be computed."""
        for direction in self.directions:
            direction.check()

    def __call__(self, codes: Integers) -> Integers:
        """(n, *source_shape) codes → (n, *shape) codes."""
        made = [direction(codes) for direction in self.directions]
        if self.sequences:
            parts = [
                states[:, ::-1] if one.backward and one.in_order else states
                for one, states in zip(self.directions, made, strict=True)
            ]
        else:
            parts = [states[:, -1:] for states in made]
        return np.concatenate(parts, -1)[:, None]


def state_grid(layer: str, fmt: Format) -> Grid:
    """The codes of a state in a format. Raises IntegerError for a format that integers have not."""
    step = Round(layer, Clip(), fmt, 0, Grid(0, 0, 0), _ONE)
    step.check()
    return Grid(step.grid.exponent, min(step.grid.lowest, 0), max(step.grid.highest, 0))


def gate_places(places: int) -> int:
    """Binary places of a gate, where the state has so many."""
    return places + GUARD_BITS


def _error(function: Function) -> float:
    """Of a table; straight lines are exact."""
    match function:
        case Table():
            return function.error
        case Ramp():
            return function.table.error
    return 0.0


def _aligned(one: int, other: int) -> tuple[int, int]:
    return one - min(one, other), other - min(one, other)


def _total(one: Grid, other: Grid) -> Grid:
    ahead, behind = _aligned(one.exponent, other.exponent)
    lowest = (one.lowest << ahead) + (other.lowest << behind)
    return Grid(one.exponent - ahead, lowest, (one.highest << ahead) + (other.highest << behind))
