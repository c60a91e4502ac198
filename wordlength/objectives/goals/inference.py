"""Memory during inference: all parameters, and the most that activation maps take at one time.

As Nilsson et al. 2024 count it: "memory during inference" is weights plus the activation maps that must be held. Layers
run one after another in the network's order. A map lives from the layer that writes it to the last that reads it, so
that while a layer runs its inputs, its output and every map that a later layer still needs are held together; what
the layer keeps for itself (a recurrent state) is held too. Layers that only reinterpret their input (reshape, flatten,
dropout), and activation layers, which work in place, need no buffer of their own. Each map is packed at the width of
its format (a binary map at one bit per element) and rounded up to whole bytes; the network's input is float32.
"""

from __future__ import annotations

from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.network import LayerFacts


class InferenceMemory(Cost):
    """Bytes of parameters plus bytes of the peak of activation maps."""

    def measure(self, costed: Costed) -> float:
        """A whole number."""
        return memory_bytes(costed.slots, costed.candidate) + peak_bytes(costed)


def peak_bytes(costed: Costed) -> int:
    """The most bytes that activation maps take at one time."""
    network = costed.network
    owners = {layer.name: network.buffer_owner(layer.name) for layer in network.layers}
    written: dict[str, int] = {}
    last_read: dict[str, int] = {}
    for time, layer in enumerate(network.layers):
        written.setdefault(owners[layer.name], time)
        last_read[owners[layer.name]] = time
        for source in layer.sources:
            last_read[owners[source]] = time
    sizes = {name: _buffer_bytes(costed, name, owners) for name in written}
    held = (
        sum(size for name, size in sizes.items() if written[name] <= time <= last_read[name]) + _scratch(costed, layer)
        for time, layer in enumerate(network.layers)
    )
    return max(held, default=0)


def _buffer_bytes(costed: Costed, owner: str, owners: dict[str, str]) -> int:
    """Of a buffer: the largest of the maps that it holds in turn."""
    maps = [layer for layer in costed.network.layers if owners[layer.name] == owner]
    return max(_bytes(layer.elements, costed.map_format(layer.name).width_bits) for layer in maps)


def _scratch(costed: Costed, layer: LayerFacts) -> int:
    return _bytes(layer.state, costed.map_format(layer.name).width_bits) if layer.state else 0


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)
