"""Ranges: what a study may try for one slot, kind by kind."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from wordlength.errors import FormatError
from wordlength.space.candidate import unfit
from wordlength.space.formats import Binary, Fixed, Format, Overflow, PowerOfTwo, Rounding, VirtualBitShift
from wordlength.space.slots import Role
from wordlength.strict import STRICT

Position = int | tuple[int, ...]
"""Integer bits or largest exponent; a tuple has one for every output channel."""


@dataclass(frozen=True)
class KindRange(ABC):
    """What may vary within one kind of format. Raises FormatError if an end of a range has no format."""

    __pydantic_config__: ClassVar = STRICT
    kind: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ("bits", "offset")
    """Names of what the search chooses."""

    @property
    def widths(self) -> range:
        """Every width in bits."""
        return self._values("bits", 1)

    @property
    def offsets(self) -> range:
        """Every distance from the proposed position."""
        return self._values("offset", 0)

    @property
    def per_channel(self) -> bool:
        """Whether every output channel has a position of its own."""
        return False

    @abstractmethod
    def format(self, bits: int, position: Position) -> Format:
        """The format of this width at this position."""

    @property
    def anchored(self) -> bool:
        """Whether formats have a position that the float model's values propose."""
        return "offset" in self.parameters

    @property
    def searched(self) -> dict[str, range]:
        """What the search chooses: parameter → its values."""
        values = {"bits": self.widths, "offset": self.offsets}
        return {name: values[name] for name in self.parameters}

    def choices(self) -> Iterator[dict[str, int]]:
        """Every combination of the parameters."""
        for combination in itertools.product(*self.searched.values()):
            yield dict(zip(self.parameters, combination, strict=True))

    def ends(self) -> tuple[Format, ...]:
        """The narrowest format and, if that is another, the widest; their positions are no proposals."""
        position = (0, 0) if self.per_channel else 0
        return tuple(self.format(bits, position) for bits in dict.fromkeys((self.widths[0], self.widths[-1])))

    def unfit(self, role: Role) -> str:
        """Why tensors of this role cannot have these formats; empty if they can."""
        return unfit(self.ends()[0], role)

    def __post_init__(self) -> None:
        for name in self.parameters:
            low, high = getattr(self, name)
            if low > high:
                raise FormatError(f"{name} must be [low, high] with low <= high, but got [{low}, {high}]")
        self.ends()  # Raises.

    def _values(self, parameter: str, alone: int) -> range:
        """From low to high, both included, or the one value of a parameter that is not searched."""
        low, high = getattr(self, parameter) if parameter in self.parameters else (alone, alone)
        return range(low, high + 1)


@dataclass(frozen=True)
class FixedRange(KindRange):
    """Fixed point."""

    kind: ClassVar[str] = "fixed"

    bits: tuple[int, int]
    """Smallest and largest width in bits, sign included."""
    offset: tuple[int, int] = (0, 0)
    """Range around the proposed integer bits."""
    per_channel: bool = False
    """Integer bits of its own for every output channel of a kernel; each costs 6 stored bits."""
    rounding: Rounding = Rounding.HALF_EVEN
    """half_even, half_up or floor."""
    overflow: Overflow = Overflow.SATURATE
    """saturate or wrap."""

    def format(self, bits: int, position: Position) -> Format:
        return Fixed(bits, position, rounding=self.rounding, overflow=self.overflow)


@dataclass(frozen=True)
class PowerOfTwoRange(KindRange):
    """Power of two."""

    kind: ClassVar[str] = "po2"

    bits: tuple[int, int]
    """Smallest and largest width in bits, sign included."""
    offset: tuple[int, int] = (0, 0)
    """Range around the proposed largest exponent."""
    zero: bool = False
    """Whether the lowest exponent code means zero."""

    def format(self, bits: int, position: Position) -> Format:
        assert isinstance(position, int)
        return PowerOfTwo(bits, position, self.zero)


def _group(value: object) -> object:
    """The value, if it can be a group: else a union would answer twice, and take true for 1."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise FormatError(f"vbs group must be tensor, channel or a block's length, but got {value!r}")
    return value


@dataclass(frozen=True)
class VirtualBitShiftRange(KindRange):
    """Virtual bit shift: fixed point whose shift follows the values of each group."""

    kind: ClassVar[str] = "vbs"
    parameters: ClassVar[tuple[str, ...]] = ("bits",)

    bits: tuple[int, int]
    """Smallest and largest width in bits, sign included."""
    group: Annotated[str | int, BeforeValidator(_group)] = "tensor"
    """Values that share a shift: tensor, channel, or a block of so many; each costs 4 stored bits."""

    def format(self, bits: int, position: Position) -> Format:
        return VirtualBitShift(bits, self.group)


@dataclass(frozen=True)
class BinaryRange(KindRange):
    """Binary activations."""

    kind: ClassVar[str] = "binary"
    parameters: ClassVar[tuple[str, ...]] = ()

    steepness: float = Binary.steepness
    """Of the surrogate gradient."""
    learn_threshold: bool = True
    """Whether the preceding bias, which is the threshold, is trained."""

    def format(self, bits: int, position: Position) -> Format:
        return Binary(self.steepness, self.learn_threshold)


@dataclass(frozen=True)
class SlotRange:
    """The kinds a slot may take, each with its ranges; at least one."""

    __pydantic_config__: ClassVar = STRICT

    fixed: FixedRange | None = None
    """Fixed point."""
    po2: PowerOfTwoRange | None = None
    """Power of two."""
    vbs: VirtualBitShiftRange | None = None
    """Virtual bit shift (weights and biases)."""
    binary: BinaryRange | None = None
    """Heaviside steps in place of the activation function (activations)."""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise FormatError(f"a searched slot needs at least one of {', '.join(part.name for part in fields(self))}")

    @property
    def kinds(self) -> dict[str, KindRange]:
        """Kind → range, of the kinds allowed."""
        given = {part.name: getattr(self, part.name) for part in fields(self)}
        return {kind: limits for kind, limits in given.items() if limits is not None}

    def unfit(self, role: Role) -> str:
        """Why tensors of this role cannot have one of these kinds; empty if they can have all."""
        return next((reason for limits in self.kinds.values() if (reason := limits.unfit(role))), "")
