"""What a network is given and gives, window by window."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """Per window: (frames, bins) features in, (outputs,) estimates out."""

    frames: int
    bins: int
    outputs: int

    @property
    def inputs(self) -> tuple[int, int]:
        """(frames, bins)."""
        return self.frames, self.bins
