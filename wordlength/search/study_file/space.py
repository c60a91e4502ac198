"""The `space:` part of a study file, and its translation into a SearchSpace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from wordlength.errors import FormatError, SpecError
from wordlength.space import FixedRange, Format, PowerOfTwoRange, Role, Slot, SlotInfo, SlotRange, parse_format
from wordlength.space.candidate import unfit
from wordlength.space.search_space import Anchors, Group, SearchSpace

STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _to_format(value: Any) -> Any:
    return parse_format(value) if isinstance(value, str) else value


FormatField = Annotated[
    Format,
    BeforeValidator(_to_format),
    PlainSerializer(str),
    WithJsonSchema(
        {"type": "string", "examples": ["fixed<16,2>", "po2<4,-1>", "vbs<4,group=channel>", "binary", "float32"]}
    ),
]
"""A format written as text."""

Choice = Annotated[
    Annotated[SlotRange, Tag("range")] | Annotated[FormatField, Tag("format")],
    Discriminator(lambda value: "format" if isinstance(value, (str, Format)) else "range"),
]
"""What a slot may be: ranges to search, or one format (pinned)."""


def fitting(choice: Any, info: ValidationInfo) -> Any:
    """The choice of a field named after a role. Raises FormatError if the role's tensors cannot have it."""
    role = Role(str(info.field_name))
    reason = unfit(choice, role) if isinstance(choice, Format) else choice.unfit(role) if choice else ""
    if reason:
        raise FormatError(reason)
    return choice


class LayerSpace(BaseModel):
    """Overrides for the layers of one name or pattern; what is left out stays as the study has it."""

    model_config = STRICT

    weights: Choice | None = None
    """The layers' kernels."""
    biases: Choice | None = None
    """The layers' biases."""
    activations: Choice | None = None
    """The layers' outputs after their activation function."""

    _fitting = field_validator(*Role)(fitting)


class SpaceSpec(BaseModel):
    """Which formats the study searches, per role and per layer."""

    model_config = STRICT

    weights: Choice = SlotRange(fixed=FixedRange((2, 8), (-1, 1)), po2=PowerOfTwoRange((2, 5), (-1, 1)))
    """Kernels: ranges to search, or one format."""
    biases: Choice = Field(default_factory=lambda: parse_format("fixed<16,2>"))
    """Biases: one format for all by default, 3.13 as in the paper."""
    activations: Choice = SlotRange(fixed=FixedRange((8, 16), (0, 1)))
    """Layer outputs. They are not stored, so narrow ones cost intelligibility and save no memory."""
    layers: dict[str, LayerSpace] = {}
    """Layer name or pattern (`conv_*`) → overrides; later entries win."""
    tie: dict[str, tuple[str, ...]] = {}
    """Name → layer names or patterns that share every choice (kind, bits, offset)."""

    _fitting = field_validator(*Role)(fitting)


def build_space(spec: SpaceSpec, slots: Iterable[SlotInfo], anchors: Anchors | None = None) -> SearchSpace:
    """The search space over a model's slots.

    Raises SpecError for a pattern that fits no layer, a layer tied twice, ties with different ranges or a
    format for another number of channels.
    """
    infos = tuple(slots)
    order = tuple(info.slot for info in infos)
    layers = tuple(dict.fromkeys(slot.layer for slot in order))
    groups = _tie_names(spec.tie, layers)
    members: dict[tuple[str, Role], list[Slot]] = {}
    for slot in order:
        members.setdefault((groups.get(slot.layer, slot.layer), slot.role), []).append(slot)
    choices = _choices(spec, order, layers)
    for info in infos:
        choice = choices[info.slot]
        if isinstance(choice, Format):
            info.formats(choice)  # Refuses positions for channels that are not there.
    return SearchSpace(
        tuple(Group(name, tuple(tied), _shared(name, tied, choices)) for (name, _), tied in members.items()),
        order,
        anchors or Anchors(),
    )


def _choices(spec: SpaceSpec, order: tuple[Slot, ...], layers: tuple[str, ...]) -> dict[Slot, SlotRange | Format]:
    choices: dict[Slot, SlotRange | Format] = {slot: getattr(spec, slot.role) for slot in order}
    for pattern, override in spec.layers.items():
        for layer in matching(pattern, layers, f"space.layers.{pattern}"):
            for role in Role:
                choice = getattr(override, role)
                if choice is not None and Slot(layer, role) in choices:
                    choices[Slot(layer, role)] = choice
    return choices


def _tie_names(ties: Mapping[str, tuple[str, ...]], layers: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, patterns in ties.items():
        place = f"space.tie.{name}"
        if name in layers:
            raise SpecError(f"a tie must not have a layer's name, but got {name!r} ({place})")
        for layer in dict.fromkeys(layer for pattern in patterns for layer in matching(pattern, layers, place)):
            if layer in names:
                raise SpecError(
                    f"a layer must be in one tie, but {layer!r} is in {names[layer]!r} and {name!r} ({place})"
                )
            names[layer] = name
    return names


def _shared(name: str, tied: list[Slot], choices: Mapping[Slot, SlotRange | Format]) -> SlotRange | Format:
    different = {choices[slot] for slot in tied}
    if len(different) > 1:
        raise SpecError(
            f"tied layers must have the same ranges, but {', '.join(map(str, tied))} differ (space.tie.{name})"
        )
    return choices[tied[0]]


def matching(pattern: str, layers: tuple[str, ...], place: str) -> list[str]:
    """The layers that a name or pattern fits. Raises SpecError, with the place, if none does."""
    found = [layer for layer in layers if fnmatchcase(layer, pattern)]
    if not found:
        near = get_close_matches(pattern, layers, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"layers are {', '.join(layers)}"
        raise SpecError(f"a layer pattern must fit a layer of the model, but got {pattern!r}; {hint} ({place})")
    return found
