"""What measures a cost: a number that follows from network and candidate alone, without data.

A function of the user's own gets a `Costed` and gives a number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from wordlength.objectives.goals.goal import Goal
from wordlength.objectives.network import LayerFacts, NetworkFacts
from wordlength.space import Candidate, Float32, Format, Role, Slot, SlotInfo


@dataclass(frozen=True)
class Costed:
    """A network and the candidate it is to be stored and computed in."""

    slots: tuple[SlotInfo, ...]
    network: NetworkFacts
    candidate: Candidate

    @cached_property
    def _formats(self) -> dict[Slot, Format]:
        # Looking slots up in a candidate is slow.
        return dict(self.candidate.pairs)

    def weights(self, layer: LayerFacts) -> Format:
        """The format of a layer's kernels; float32 where it has none."""
        return self._formats.get(Slot(layer.name, Role.WEIGHTS), Float32())

    def map_format(self, name: str) -> Format:
        """The format in which a layer's output is stored; float32 for the network's input.

        A layer that rounds nothing itself hands its input on, in the widest format of those it reads; a linear one
        before an activation layer is stored as that layer's output, into which it is computed.
        """
        slot = Slot(name, Role.ACTIVATIONS)
        if slot in self._formats:
            return self._formats[slot]
        layer = self.network.layer(name)
        if Slot(name, Role.WEIGHTS) in self._formats:
            formats = [self.map_format(reader.name) for reader in self.network.readers(name)]
        else:
            formats = [self.map_format(source) for source in layer.sources]
        return max(formats, key=lambda fmt: fmt.width_bits, default=Float32())

    def input_format(self, layer: LayerFacts) -> Format:
        """The widest format of what a layer reads."""
        formats = [self.map_format(source) for source in layer.sources]
        return max(formats, key=lambda fmt: fmt.width_bits, default=Float32())


class Cost(ABC):
    """Measures one goal. `table`: numbers that the study gives in place of the cost's own."""

    def __init__(self, goal: Goal, table: Mapping[str, float]) -> None:
        self.goal = goal
        self._table = table

    @abstractmethod
    def measure(self, costed: Costed) -> float:
        """Of the network in the candidate's formats; at least 0."""
