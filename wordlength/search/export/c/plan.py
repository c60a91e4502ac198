"""How a program becomes C functions: one for each layer, and the memory that they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from wordlength.errors import IntegerError
from wordlength.objectives.integer import INPUT, Grid, IntegerProgram, Merge, Move, Pool, Recurrent, Round, Step, Sum

DEPTH = "    "
"""One level of indentation."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One C function: sums (two for a separable convolution) or a merge and their rounding, or one other step alone.

    `name`: the layer's, as far as C allows it; the function is `layer_<name>`, its vectors are `<name>.bin`.
    `sources`: the stages whose outputs it reads, or INPUT.
    """

    name: str
    steps: tuple[Step, ...]
    sources: tuple[int, ...]

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Its sums of products, in order."""
        return tuple(step for step in self.steps if isinstance(step, Sum))

    @property
    def merge(self) -> Merge | None:
        """What it merges, if it does."""
        first = self.steps[0]
        return first if isinstance(first, Merge) else None

    @property
    def recurrent(self) -> Recurrent | None:
        """The recurrent layer that it is, if it is one."""
        last = self.steps[-1]
        return last if isinstance(last, Recurrent) else None

    @property
    def last(self) -> Round | Pool | Move | Merge | Recurrent:
        """What gives the output."""
        last = self.steps[-1]
        assert not isinstance(last, Sum)
        return last

    @property
    def count(self) -> int:
        """Outputs of a frame."""
        return prod(self.last.shape)


def plan(program: IntegerProgram) -> tuple[Stage, ...]:
    """The program's stages, in order. Raises IntegerError for a sum that more than one rounding reads."""
    stages: list[Stage] = []
    made: dict[int, int] = {INPUT: INPUT}
    pending: list[Step] = []
    names = {"input"}  # The name of the input's own vectors.
    for number, step in enumerate(program.steps):
        follows = bool(pending) and step.sources == (number - 1,)
        if (pending and not follows) or (not pending and any(source not in made for source in step.sources)):
            raise IntegerError(f"sums of {step.layer} must be rounded once and at once to be written in C")
        pending.append(step)
        if not _waits(step):
            sources = tuple(made[source] for source in pending[0].sources)
            stages.append(Stage(_identifier(step.layer, names), tuple(pending), sources))
            made[number] = len(stages) - 1
            pending = []
    return tuple(stages)


def _waits(step: Step) -> bool:
    """Whether a rounding must follow."""
    return isinstance(step, Sum) or (isinstance(step, Merge) and not step.join.passes)


def _identifier(layer: str, taken: set[str]) -> str:
    """The layer's name in the letters that C and every file system allow, unlike any taken before."""
    stem = re.sub(r"\W", "_", layer, flags=re.ASCII)
    name, number = stem, 2
    while name.lower() in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name.lower())
    return name


def c_type(grid: Grid) -> str:
    """The smallest C integer that holds the grid."""
    return f"{'' if grid.signed else 'u'}int{grid.word_bits}_t"


def accumulator_bits(step: Sum | Pool | Merge) -> int:
    """32 or 64: the word that holds all sums."""
    grid = step.accumulator
    # Not −2^31 itself: a magnitude of 2^31 on the way to it would not fit.
    return 32 if grid.lowest > -(2**31) and grid.highest < 2**31 else 64


def buffers(stages: Sequence[Stage]) -> dict[int, int]:
    """Stage → number of the buffer that holds its output, as few as possible; the last stage writes to the caller's."""
    last_use = {source: number for number, stage in enumerate(stages) for source in stage.sources}
    chosen: dict[int, int] = {}
    for number in range(len(stages) - 1):
        busy = {chosen[earlier] for earlier in chosen if last_use.get(earlier, -1) >= number}
        chosen[number] = next(place for place in range(len(stages)) if place not in busy)
    return chosen


@dataclass
class Scratch:
    """Memory that functions share: unions by name, of arrays by C type, each as long as the longest user needs."""

    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def need(self, union: str, kind: str, count: int) -> str:
        """Reserve `count` elements of a C type; the C expression of the array."""
        lengths = self.sizes.setdefault(union, {})
        lengths[kind] = max(lengths.get(kind, 0), count)
        return f"{union}.as_{kind.removesuffix('_t')}"

    @property
    def bytes(self) -> int:
        """All unions together."""
        return sum(
            max(length * bits_of(kind) // 8 for kind, length in lengths.items()) for lengths in self.sizes.values()
        )

    def declarations(self) -> list[str]:
        """The C definitions."""
        return [
            line
            for union, lengths in self.sizes.items()
            for line in (
                "static union {",
                *(f"    {kind} as_{kind.removesuffix('_t')}[{length}];" for kind, length in lengths.items()),
                f"}} {union};",
            )
        ]


def bits_of(kind: str) -> int:
    """Width of a C integer type."""
    return int(re.sub(r"\D", "", kind))


def numbers(values: Iterable[object], per_line: int = 12) -> list[str]:
    """The lines of an array's elements."""
    texts = [str(value) for value in values]
    return [f"{DEPTH}{', '.join(texts[start : start + per_line])}," for start in range(0, len(texts), per_line)]
