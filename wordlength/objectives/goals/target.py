"""What the network learns, as far as objectives must know it before any data is prepared."""

from __future__ import annotations

from wordlength.objectives.audio import SAMPLE_RATE_HZ
from wordlength.objectives.audio.settings import DataSettings


def target_of(data: DataSettings) -> tuple[str, int]:
    """The target's kind and the sampling rate in Hz: today every study's network estimates an ideal ratio mask."""
    return "irm", SAMPLE_RATE_HZ
