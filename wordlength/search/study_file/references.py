"""The `search.uniform:` part of a study file: references, the same formats in all layers but for exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    field_validator,
)

from wordlength.errors import FormatError, SpecError
from wordlength.search.study_file.space import STRICT, fitting, matching
from wordlength.space import AtProposal, Candidate, Fixed, Format, Role, Slot, SlotInfo, Wish, parse_wish

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline

Propose = Callable[[SlotInfo, AtProposal], Format]
"""The format that is proposed for a slot."""


def _to_wish(value: Any) -> Any:
    return parse_wish(value) if isinstance(value, str) else value


WishField = Annotated[
    Wish,
    BeforeValidator(_to_wish),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["fixed:8", "fixed<16,2>", "po2<4,-1>", "binary", "float32"]}),
]
"""A format as text; `fixed:8` for whichever with 8 bits the float model's values propose."""


Label = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]{0,38}[^\s\x00-\x1f])?$")]
"""One line without spaces around it."""


class LayerReference(BaseModel):
    """Overrides for the layers of one name or pattern; what is left out stays as the reference has it."""

    model_config = STRICT

    weights: WishField | None = None
    """The layers' kernels."""
    biases: WishField | None = None
    """The layers' biases."""
    activations: WishField | None = None
    """The layers' outputs."""

    _fitting = field_validator(*Role)(fitting)


class UniformSpec(BaseModel):
    """One format per role in every layer but the exceptions: a reference point, after the first front.

    A format is written `fixed<8,0>`, or `fixed:8`, `po2:4` for that of this width which is proposed for the tensor.
    """

    model_config = STRICT

    weights: WishField
    """All kernels."""
    biases: WishField = Fixed(16, 2)
    """All biases."""
    activations: WishField = Fixed(16, 2)
    """All layer outputs."""
    layers: dict[str, LayerReference] = {}
    """Layer name or pattern (`conv_*`) → overrides; later entries win."""
    label: Label | None = None
    """How it is called in tables and plots, up to 40 characters; by default after the format of its weights."""

    _fitting = field_validator(*Role)(fitting)

    @property
    def title(self) -> str:
        """How it is called."""
        return self.label or f"uniform {self.weights}"

    def candidate(self, slots: Iterable[SlotInfo], propose: Propose) -> Candidate:
        """The formats of every slot. Raises SpecError for a pattern without a layer, FormatError for a misfit."""
        infos = tuple(slots)
        wishes = self._wishes(tuple(info.slot for info in infos))
        found: dict[Slot, Format] = {}
        for info in infos:
            wish = wishes[info.slot]
            found[info.slot] = propose(info, wish) if isinstance(wish, AtProposal) else wish
            info.formats(found[info.slot])
        return Candidate.of(found)

    def _wishes(self, slots: tuple[Slot, ...]) -> dict[Slot, Wish]:
        wishes: dict[Slot, Wish] = {slot: getattr(self, slot.role) for slot in slots}
        layers = tuple(dict.fromkeys(slot.layer for slot in slots))
        for pattern, override in self.layers.items():
            for layer in matching(pattern, layers, f"search.uniform.layers.{pattern}"):
                for role in Role:
                    if (wish := getattr(override, role)) is not None and Slot(layer, role) in wishes:
                        wishes[Slot(layer, role)] = wish
        return wishes


def references(uniform: Iterable[UniformSpec], baseline: Baseline) -> tuple[tuple[Candidate, str], ...]:
    """Every reference and what it is called, at the proposals of the float model's values."""
    from wordlength.objectives.proposals import proposed

    def propose(info: SlotInfo, wish: AtProposal) -> Format:
        return proposed(baseline, info.slot, wish.limits, wish.bits)

    return tuple((one.candidate(baseline.slots, propose), one.title) for one in uniform)


def require_references(uniform: Iterable[UniformSpec], slots: tuple[SlotInfo, ...]) -> None:
    """Refuse references that do not fit the network, before there is a float model. Raises SpecError."""
    for one in uniform:
        try:
            one.candidate(slots, _anywhere)
        except FormatError as error:
            raise SpecError(f"{error} (search.uniform)") from None


def _anywhere(info: SlotInfo, wish: AtProposal) -> Format:
    """Of the width asked for: whether a slot can have it does not depend on the position."""
    channels = sum(tensor.packed_shape[-1] for tensor in info.tensors)
    many = wish.limits.per_channel and channels > 1
    return wish.limits.format(wish.bits, (0,) * channels if many else 0)
