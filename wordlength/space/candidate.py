"""A candidate: one format for every slot of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from wordlength.digests import short_digest
from wordlength.errors import FormatError
from wordlength.space.formats import Float32, Format, parse_format
from wordlength.space.slots import Role, Slot


@dataclass(frozen=True)
class Candidate(Mapping[Slot, Format]):
    """Slot → format, immutable and hashable; iterates in the model's layer order.

    Two candidates are equal if every slot has the same format, whatever the order. Raises FormatError,
    naming the slot, for a format that its role cannot have.
    """

    pairs: tuple[tuple[Slot, Format], ...]

    def __post_init__(self) -> None:
        for slot, fmt in self.pairs:
            if reason := unfit(fmt, slot.role):
                raise FormatError(f"{reason} ({slot})")

    @classmethod
    def of(cls, formats: Mapping[Slot, Format] | Iterable[tuple[Slot, Format]]) -> Candidate:
        """From a mapping or pairs. Raises ValueError if a slot appears twice."""
        given = tuple(formats.items() if isinstance(formats, Mapping) else formats)
        if len({slot for slot, _ in given}) != len(given):
            raise ValueError(f"a candidate names each slot once, but got {[str(slot) for slot, _ in given]}")
        return cls(given)

    @classmethod
    def uniform(cls, slots: Iterable[Slot], weights: Format, biases: Format, activations: Format) -> Candidate:
        """The same three formats in every layer."""
        by_role = {Role.WEIGHTS: weights, Role.BIASES: biases, Role.ACTIVATIONS: activations}
        return cls.of((slot, by_role[slot.role]) for slot in slots)

    def __getitem__(self, slot: Slot) -> Format:
        for known, fmt in self.pairs:
            if known == slot:
                return fmt
        raise KeyError(slot)

    def __iter__(self) -> Iterator[Slot]:
        return (slot for slot, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self._chosen == other._chosen

    def __hash__(self) -> int:
        return hash(self._chosen)

    def parameters_only(self) -> Candidate:
        """The candidate of step one: weights and biases as here, activations in float32."""
        return Candidate(tuple((slot, Float32() if slot.role is Role.ACTIVATIONS else fmt) for slot, fmt in self.pairs))

    def __reduce__(self) -> tuple[type[Candidate], tuple[tuple[tuple[Slot, Format], ...]]]:
        return Candidate, (self.pairs,)  # Without what is kept beside it.

    @cached_property
    def _chosen(self) -> frozenset[tuple[Slot, Format]]:
        return frozenset(self.pairs)

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name this choice of formats, independent of slot order."""
        text = json.dumps(dict(sorted(self.to_dict().items())), separators=(",", ":"))
        return short_digest(text.encode())

    def to_dict(self) -> dict[str, str]:
        """`{"dense_1.weights": "po2<4,-1>", …}` in slot order."""
        return {str(slot): str(fmt) for slot, fmt in self.pairs}

    @classmethod
    def from_dict(cls, formats: Mapping[str, str]) -> Candidate:
        """Inverse of `to_dict`. Raises ValueError naming the slot or format."""
        return cls.of((Slot.parse(slot), parse_format(fmt)) for slot, fmt in formats.items())

    def _repr_html_(self) -> str:
        from wordlength.space.html import candidate_html

        return candidate_html(self)

    def to_json(self) -> str:
        """Slots and formats as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """Inverse of `to_json`."""
        return cls.from_dict(json.loads(text))


def unfit(fmt: Format, role: Role) -> str:
    """Why tensors of this role cannot have the format, in one sentence with a hint; empty if they can."""
    reason = fmt.unfit_for_activations if role is Role.ACTIVATIONS else fmt.unfit_for_parameters
    return f"{role} cannot be {fmt.brief}: {reason}" if reason else ""
