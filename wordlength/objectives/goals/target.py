"""What the network learns, as far as objectives must know it before any data is prepared."""

from __future__ import annotations

from wordlength.objectives.audio.settings import DataSettings


def target_of(data: DataSettings) -> tuple[str, int]:
    """The target's kind and the sampling rate in Hz."""
    return data.target.kind, data.features.sample_rate_hz
