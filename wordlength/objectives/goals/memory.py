"""The memory objective as a goal; objectives/memory.py has its definition."""

from __future__ import annotations

from wordlength.objectives.goals.cost import Cost, Costed
from wordlength.objectives.memory import memory_bytes


class Memory(Cost):
    """Bytes of all parameters packed at their widths: the exported file's payload."""

    def measure(self, costed: Costed) -> float:
        """A whole number."""
        return memory_bytes(costed.slots, costed.candidate)
