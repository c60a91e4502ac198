"""The search space: which formats each slot may take, and how a trial chooses one.

Integer bits are not searched as such. The float model's own values give every slot a proposal per kind
and width (an *anchor*: the integer bits, or largest exponent, of least squared error); the search
chooses an *offset* around it. Layers tied into one group share kind, width and offset, each slot
keeping its own anchor.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Protocol

from wordlength.errors import FormatError
from wordlength.space.candidate import Candidate
from wordlength.space.formats import MAX_FIXED_BITS, MAX_POSITION, Format
from wordlength.space.ranges import KindRange, Position, SlotRange
from wordlength.space.slots import Role, Slot


def _evenly(values: Sequence[int], most: int) -> Sequence[int]:
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


class SuggestsParameters(Protocol):
    """The part of `optuna.Trial` that the search space uses."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices."""


@dataclass(frozen=True)
class _Chance:
    """Suggests at random."""

    generator: random.Random

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self.generator.randint(low, high)

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        return self.generator.choice(choices)


@dataclass(frozen=True)
class Anchors:
    """Proposed positions: (slot, kind, bits) → integer bits (fixed) or largest exponent (po2)."""

    positions: Mapping[tuple[Slot, str, int], Position] = field(default_factory=dict)

    def format(self, slot: Slot, limits: KindRange, bits: int, offset: int = 0) -> Format:
        """The format `offset` positions away from the proposal; positions end at ±32."""
        if not limits.anchored:
            return limits.format(bits, 0)
        if (slot, limits.kind, bits) not in self.positions:
            raise FormatError(f"no proposal is known for {slot} as {limits.kind} with {bits} bits")
        proposed = self.positions[slot, limits.kind, bits]
        if isinstance(proposed, int):
            return limits.format(bits, max(-MAX_POSITION, min(MAX_POSITION, proposed + offset)))
        return limits.format(bits, tuple(max(-MAX_POSITION, min(MAX_POSITION - 1, p + offset)) for p in proposed))


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

    @property
    def searched(self) -> tuple[Slot, ...]:
        """The slots with more than one format to choose from, in model order."""
        free = {slot for group in self.groups if isinstance(group.choice, SlotRange) for slot in group.slots}
        return tuple(slot for slot in self.order if slot in free)

    def needed_anchors(self) -> tuple[tuple[Slot, KindRange, int], ...]:
        """Every (slot, range of a kind, bits) that a suggestion may ask the anchors for."""
        return tuple(
            (slot, limits, bits)
            for group in self.groups
            if isinstance(group.choice, SlotRange)
            for limits in group.choice.kinds.values()
            if limits.anchored
            for bits in limits.widths
            for slot in group.slots
        )

    def examples(self) -> tuple[tuple[Slot, Format], ...]:
        """Formats of every kind that a slot may take, its narrowest and its widest; positions are no proposals."""
        return tuple(
            (slot, fmt)
            for group in self.groups
            for slot in group.slots
            for fmt in (
                [group.choice]
                if isinstance(group.choice, Format)
                else [fmt for limits in group.choice.kinds.values() for fmt in limits.ends()]
            )
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
            limits = kinds[kind]
            chosen = {
                part: trial.suggest_int(f"{name}.{kind}.{part}", values[0], values[-1])
                for part, values in limits.searched.items()
            }
            formats |= {slot: self._format(slot, limits, chosen) for slot in group.slots}
        return Candidate.of((slot, formats[slot]) for slot in self.order)

    def sweep(self) -> Iterator[Candidate]:
        """One candidate per kind and width of the weights, in all layers, exactly at the proposals.

        Other searched slots take the widest format of their first kind at the offset nearest to the proposal; a
        layer whose weights do not allow the kind or width takes its nearest width.
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

    def draw(self, seed: int) -> Candidate:
        """A candidate by chance; every parameter evenly over its range, as a random sampler suggests them."""
        return self.suggest(_Chance(random.Random(seed)))

    def extreme(self, widest: bool) -> Candidate:
        """The candidate of every slot's narrowest, or widest, format of all its kinds, at the proposals."""
        formats: dict[Slot, Format] = {}
        for group in self.groups:
            kinds = {} if isinstance(group.choice, Format) else group.choice.kinds
            ends = {kind: limits.widths[-1] if widest else -limits.widths[0] for kind, limits in kinds.items()}
            kind = max(ends, key=lambda kind: ends[kind], default=None)
            formats |= self._nearest(group, kind, MAX_FIXED_BITS if widest else 1)
        return Candidate.of((slot, formats[slot]) for slot in self.order)

    def at_proposals(self, group: Group, most: int = 8) -> tuple[dict[Slot, Format], ...]:
        """The group's formats at the proposals, for every kind and width; of a kind with more widths, `most` of them.

        Those are evenly spread, the narrowest and the widest among them.
        """
        if isinstance(group.choice, Format):
            return (dict.fromkeys(group.slots, group.choice),)
        return tuple(
            self._nearest(group, kind, bits)
            for kind, limits in group.choice.kinds.items()
            for bits in _evenly(limits.widths, most)
        )

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
            sum(sum(1 for _ in limits.choices()) for limits in group.choice.kinds.values())
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
        return {slot: self.anchors.format(slot, kinds[chosen], width, offset) for slot in group.slots}

    def _format(self, slot: Slot, limits: KindRange, chosen: Mapping[str, int]) -> Format:
        return self.anchors.format(slot, limits, chosen.get("bits", limits.widths[0]), chosen.get("offset", 0))

    def _group_parameters(self, group: Group, candidate: Candidate) -> dict[str, int | str] | None:
        wanted = [candidate[slot] for slot in group.slots]
        if isinstance(group.choice, Format):
            return {} if all(fmt == group.choice for fmt in wanted) else None
        kinds = group.choice.kinds
        for kind, limits in kinds.items():
            for chosen in limits.choices():
                if wanted == [self._format(slot, limits, chosen) for slot in group.slots]:
                    found: dict[str, int | str] = {f"{group.prefix}.kind": kind} if len(kinds) > 1 else {}
                    return found | {f"{group.prefix}.{kind}.{part}": value for part, value in chosen.items()}
        return None
