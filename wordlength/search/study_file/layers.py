"""What `wordlength init` proposes for a network: which layers share their formats, and which ranges are searched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wordlength.space import Role, SlotInfo

FLOAT_BYTES = 4
SMALL_SHARE = 0.01
"""A layer with less of the network's parameters is small: narrow formats save next to nothing there."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that has slots. `tensors`: the shapes of its parameters; none of a layer that only has outputs."""

    name: str
    kind: str
    roles: tuple[Role, ...]
    tensors: tuple[tuple[int, ...], ...]
    parameters: int

    @property
    def bytes(self) -> int:
        """Of its parameters in float32."""
        return FLOAT_BYTES * self.parameters


def layers_of(model: Any, slots: Iterable[SlotInfo]) -> tuple[Layer, ...]:
    """The layers of a float network that have slots, in the network's order."""
    of: dict[str, list[SlotInfo]] = {}
    for info in slots:
        of.setdefault(info.slot.layer, []).append(info)
    return tuple(
        Layer(
            name,
            type(model.get_layer(name)).__name__,
            tuple(info.slot.role for info in infos),
            tuple(tensor.shape for info in infos for tensor in info.tensors),
            sum(info.count for info in infos),
        )
        for name, infos in of.items()
    )


def repeated(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    """Tie's name → layers of one type with parameters of the same shapes: the blocks that a network repeats."""
    layers = tuple(layers)
    blocks: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in layers:
        if layer.tensors:
            blocks.setdefault((layer.kind, layer.roles, layer.tensors), []).append(layer)
    taken = {layer.name for layer in layers}
    ties: dict[str, tuple[str, ...]] = {}
    for alike in blocks.values():
        if len(alike) > 1:
            first = alike[0]
            name = f"{first.kind.lower()}_{'x'.join(map(str, first.tensors[0]))}"
            while name in taken:
                name += "_tied"
            taken.add(name)
            ties[name] = tuple(layer.name for layer in alike)
    return ties


def small(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Layers whose parameters are next to none of the network's."""
    layers = tuple(layers)
    total = sum(layer.parameters for layer in layers)
    return tuple(layer.name for layer in layers if layer.tensors and layer.parameters < SMALL_SHARE * total)


def table(layers: Iterable[Layer]) -> list[str]:
    """A line for each layer, below a heading."""
    rows = [("layer", "type", "parameters", "bytes", "what has a format")]
    rows += [
        (layer.name, layer.kind, f"{layer.parameters:,}", f"{layer.bytes:,}", ", ".join(layer.roles))
        for layer in layers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]}"
        for row in rows
    ]
