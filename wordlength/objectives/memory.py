"""The memory objective: bytes of all parameters packed at their widths.

Each tensor is packed without gaps and starts on a byte boundary, so a layer's bytes add up to the
model's and equal the exported payload. Activations are not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wordlength.space import Candidate, Format, SearchSpace, Slot, SlotInfo
from wordlength.space.allocation import Allocation, Alternative


def slot_bytes(info: SlotInfo, candidate: Mapping[Slot, Format]) -> int:
    """Bytes of one slot's tensors in the candidate's format, side information included."""
    formats = zip(info.tensors, info.formats(candidate[info.slot]), strict=True)
    return sum(-(-fmt.stored_bits(tensor.packed_shape) // 8) for tensor, fmt in formats)


def memory_bytes(slots: Iterable[SlotInfo], candidate: Candidate) -> int:
    """Bytes of all parameters."""
    return sum(slot_bytes(info, candidate) for info in slots)


def float_bytes(slots: Iterable[SlotInfo]) -> int:
    """Bytes of all parameters in float32."""
    return sum(4 * info.count for info in slots)


def allocation_of(space: SearchSpace, slots: Sequence[SlotInfo]) -> Allocation:
    """Every format of the space at its proposal with the bytes it takes; damages are to be found yet.

    Groups that take no memory are left with their widest format.
    """
    infos = {info.slot: info for info in slots}
    groups: list[list[Alternative]] = []
    for group in space.groups:
        choices = [
            Alternative(formats, sum(slot_bytes(infos[slot], formats) for slot in formats))
            for formats in space.at_proposals(group)
        ]
        if not any(choice.memory_bytes for choice in choices):
            choices = [max(choices, key=lambda choice: sum(fmt.width_bits for fmt in choice.formats.values()))]
        groups.append(choices)
    return Allocation(groups, space.order)
