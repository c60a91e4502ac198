"""The search space: which formats each slot may take, and how a trial chooses one.

Integer bits are not searched as such. The float model's own values give every slot a proposal per kind
and width (an *anchor*: the integer bits, or largest exponent, of least squared error); the search
chooses an *offset* around it. Layers tied into one group share kind, width and offset, each slot
keeping its own anchor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Protocol

from wordlength.errors import FormatError
from wordlength.space.candidate import Candidate
from wordlength.space.formats import MAX_FIXED_BITS, MAX_PO2_BITS, MAX_POSITION, Fixed, Format, PowerOfTwo
from wordlength.space.slots import Role, Slot
from wordlength.strict import STRICT

KINDS = ("fixed", "po2")
_MAX_BITS = {"fixed": MAX_FIXED_BITS, "po2": MAX_PO2_BITS}


class SuggestsParameters(Protocol):
    """The part of `optuna.Trial` that the search space uses."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices."""


@dataclass(frozen=True)
class KindRange:
    """Widths and offsets to search for one kind; both ends belong to the range."""

    __pydantic_config__: ClassVar = STRICT

    bits: tuple[int, int]
    """Smallest and largest width in bits, sign included."""
    offset: tuple[int, int] = (0, 0)
    """Range around the proposed integer bits (fixed) or largest exponent (po2)."""

    def __post_init__(self) -> None:
        for name, (low, high) in (("bits", self.bits), ("offset", self.offset)):
            if low > high:
                raise FormatError(f"{name} must be [low, high] with low <= high, but got [{low}, {high}]")
        if self.bits[0] < 1:
            raise FormatError(f"bits must be at least 1, but got {self.bits[0]}")

    @property
    def widths(self) -> range:
        """Every width in bits."""
        return range(self.bits[0], self.bits[1] + 1)

    @property
    def offsets(self) -> range:
        """Every offset."""
        return range(self.offset[0], self.offset[1] + 1)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every (bits, offset)."""
        return itertools.product(self.widths, self.offsets)


@dataclass(frozen=True)
class SlotRange:
    """The kinds a slot may take, each with its ranges; at least one."""

    __pydantic_config__: ClassVar = STRICT

    fixed: KindRange | None = None
    """Fixed point."""
    po2: KindRange | None = None
    """Power of two."""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise FormatError(f"a searched slot needs at least one of {', '.join(KINDS)}")
        for kind, limits in self.kinds.items():
            if limits.bits[1] > _MAX_BITS[kind]:
                raise FormatError(f"{kind} bits must be between 1 and {_MAX_BITS[kind]}, but got {limits.bits[1]}")

    @property
    def kinds(self) -> dict[str, KindRange]:
        """Kind → range, of the kinds allowed."""
        given = {"fixed": self.fixed, "po2": self.po2}
        return {kind: limits for kind, limits in given.items() if limits is not None}


@dataclass(frozen=True)
class Anchors:
    """Proposed positions: (slot, kind, bits) → integer bits (fixed) or largest exponent (po2)."""

    positions: Mapping[tuple[Slot, str, int], int] = field(default_factory=dict)

    def format(self, slot: Slot, kind: str, bits: int, offset: int) -> Format:
        """The format `offset` positions away from the proposal; positions end at ±32."""
        if (slot, kind, bits) not in self.positions:
            raise FormatError(f"no proposal is known for {slot} as {kind} with {bits} bits")
        position = max(-MAX_POSITION, min(MAX_POSITION, self.positions[slot, kind, bits] + offset))
        return Fixed(bits, position) if kind == "fixed" else PowerOfTwo(bits, position)


@dataclass(frozen=True)
class Group:
    """Slots of one role that share a choice; `name` is a layer's or a tie's."""

    name: str
    slots: tuple[Slot, ...]
    choice: SlotRange | Format

    @property
    def prefix(self) -> str:
        """Start of its parameters' names, as `dense_1.weights`."""
        return f"{self.name}.{self.slots[0].role}"


@dataclass(frozen=True)
class SearchSpace:
    """Every slot's allowed formats. `order` is the model's slot order."""

    groups: tuple[Group, ...]
    order: tuple[Slot, ...]
    anchors: Anchors = field(default_factory=Anchors)

    def needed_anchors(self) -> tuple[tuple[Slot, str, int], ...]:
        """Every (slot, kind, bits) that a suggestion may ask the anchors for."""
        return tuple(
            (slot, kind, bits)
            for group in self.groups
            if isinstance(group.choice, SlotRange)
            for kind, limits in group.choice.kinds.items()
            for bits in limits.widths
            for slot in group.slots
        )

    def suggest(self, trial: SuggestsParameters) -> Candidate:
        """Let `trial` choose kind, bits and offset of every group."""
        formats: dict[Slot, Format] = {}
        for group in self.groups:
            if isinstance(group.choice, Format):
                formats |= dict.fromkeys(group.slots, group.choice)
                continue
            kinds = group.choice.kinds
            name = group.prefix
            kind = trial.suggest_categorical(f"{name}.kind", tuple(kinds)) if len(kinds) > 1 else next(iter(kinds))
            bits = trial.suggest_int(f"{name}.{kind}.bits", *kinds[kind].bits)
            offset = trial.suggest_int(f"{name}.{kind}.offset", *kinds[kind].offset)
            formats |= {slot: self.anchors.format(slot, kind, bits, offset) for slot in group.slots}
        return Candidate.of((slot, formats[slot]) for slot in self.order)

    def sweep(self) -> Iterator[Candidate]:
        """One candidate per kind and width of the weights, in all layers, exactly at the proposals.

        Other searched slots take their widest format at the offset nearest to the proposal; a layer whose
        weights do not allow the kind or width takes its nearest width.
        """
        weights = [group for group in self.groups if group.slots[0].role is Role.WEIGHTS]
        ranges = [group.choice.kinds for group in weights if isinstance(group.choice, SlotRange)]
        choices = {(kind, bits) for kinds in ranges for kind, limits in kinds.items() for bits in limits.widths}
        for kind, bits in sorted(choices):
            formats: dict[Slot, Format] = {}
            for group in self.groups:
                wanted = (kind, bits) if group in weights else (None, MAX_FIXED_BITS)
                formats |= self._nearest(group, *wanted)
            yield Candidate.of((slot, formats[slot]) for slot in self.order)

    def parameters(self, candidate: Candidate) -> dict[str, int | str] | None:
        """The parameters with which `suggest` returns `candidate`; None if it lies outside the space."""
        if set(candidate) != set(self.order):
            return None
        parameters: dict[str, int | str] = {}
        for group in self.groups:
            found = self._group_parameters(group, candidate)
            if found is None:
                return None
            parameters |= found
        return parameters

    def contains(self, candidate: Candidate) -> bool:
        """Whether some suggestion gives `candidate`."""
        return self.parameters(candidate) is not None

    def count(self) -> int:
        """Number of different suggestions; an upper bound on candidates where positions end at ±32."""
        return prod(
            sum(sum(1 for _ in limits.pairs()) for limits in group.choice.kinds.values())
            for group in self.groups
            if isinstance(group.choice, SlotRange)
        )

    def _nearest(self, group: Group, kind: str | None, bits: int) -> dict[Slot, Format]:
        """The group's formats with kind and width as near to the wanted ones as its ranges allow."""
        if isinstance(group.choice, Format):
            return dict.fromkeys(group.slots, group.choice)
        kinds = group.choice.kinds
        chosen = kind if kind in kinds else next(iter(kinds))
        width = min(kinds[chosen].widths, key=lambda width: abs(width - bits))
        offset = min(kinds[chosen].offsets, key=abs)
        return {slot: self.anchors.format(slot, chosen, width, offset) for slot in group.slots}

    def _group_parameters(self, group: Group, candidate: Candidate) -> dict[str, int | str] | None:
        wanted = [candidate[slot] for slot in group.slots]
        if isinstance(group.choice, Format):
            return {} if all(fmt == group.choice for fmt in wanted) else None
        kinds = group.choice.kinds
        for kind, limits in kinds.items():
            for bits, offset in limits.pairs():
                if wanted == [self.anchors.format(slot, kind, bits, offset) for slot in group.slots]:
                    chosen: dict[str, int | str] = {f"{group.prefix}.kind": kind} if len(kinds) > 1 else {}
                    return chosen | {
                        f"{group.prefix}.{kind}.bits": bits,
                        f"{group.prefix}.{kind}.offset": offset,
                    }
        return None
