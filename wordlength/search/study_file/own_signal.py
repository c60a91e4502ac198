"""The features and target that make just such windows as a network of its own shape takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wordlength.errors import DataError
from wordlength.objectives.audio import FeatureSettings, TargetSettings
from wordlength.objectives.models import KerasFile, ModelSettings, UserModel
from wordlength.objectives.shape import NetworkShape


@dataclass(frozen=True, slots=True)
class OwnSignal:
    """`data`: features and target as in a study file; `told`: how they follow from the shape, and what does not."""

    data: dict[str, Any]
    told: str


def own_signal(network: ModelSettings, shape: NetworkShape) -> OwnSignal | None:
    """What a network needs that does not follow the shape that it is asked for.

    None for one that does, and for one whose windows no features make: building it then tells what is wrong.
    Raises ModelError.
    """
    own = _own_shape(network, shape)
    if own in (None, shape):
        return None
    assert own is not None
    try:
        signal = _score(own) if own.outputs == 1 else _sound(own)
        fits = TargetSettings(**signal.data["target"]).context(features := FeatureSettings(**signal.data["features"]))
    except DataError:
        return None
    return signal if (sum(fits) + 1, features.bins) == (own.frames, own.bins) else None


def _own_shape(network: ModelSettings, shape: NetworkShape) -> NetworkShape | None:
    """Frames, bins and outputs; None where any is left open, or the network has other dimensions."""
    if not isinstance(network, UserModel | KerasFile):
        return None
    model = network.trained() if isinstance(network, KerasFile) else network.build(shape, seed=0)
    sides = (getattr(model, name, None) or () for name in ("input_shape", "output_shape"))
    numbers = [number for side in sides for number in side[1:]]
    if len(numbers) != 3 or not all(isinstance(number, int) for number in numbers):
        return None
    return NetworkShape(*numbers)


def _sound(own: NetworkShape) -> OwnSignal:
    """One output per bin of a frame's spectrum; as many features are the spectrum itself, fewer are Mel bands."""
    features: dict[str, Any] = {"kind": "log_spectrum" if own.bins == own.outputs else "log_mel"}
    frame = 2 * (own.outputs - 1)
    if frame != FeatureSettings().frame_samples:
        features |= {"frame_samples": frame, "hop_samples": frame // 2}
    if own.bins != own.outputs:
        features |= {"mel_bins": own.bins}
    features |= {"look_back": own.frames - 1}
    return OwnSignal(
        {"features": features, "target": {"kind": "irm"}},
        f"The network takes {own.frames} frames of {own.bins} bins and gives {own.outputs} outputs: look_back + 1 + "
        f"look_ahead, {'mel_bins' if 'mel_bins' in features else 'frame_samples / 2 + 1'} and frame_samples / 2 + 1. "
        "Its shape does not tell sample_rate_hz, hop_samples, how many frames are ahead, nor the target's kind.",
    )


def _score(own: NetworkShape) -> OwnSignal:
    """A segment of as many frames."""
    known = FeatureSettings()
    seconds = own.frames * known.hop_samples / known.sample_rate_hz
    return OwnSignal(
        {
            "features": {"kind": "log_mel", "mel_bins": own.bins},
            "target": {"kind": "score", "segment_seconds": seconds},
        },
        f"The network takes {own.frames} frames of {own.bins} bins and gives 1 output, a score: segment_seconds x "
        "sample_rate_hz / hop_samples, and mel_bins. Its shape tells neither rate, nor hop, nor frame_samples.",
    )
