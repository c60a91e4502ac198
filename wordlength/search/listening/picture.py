"""What one clip looks like: spectrograms of every sound on one scale, and the masks that made them.

Times in seconds, frequencies in kHz. Levels are in dB below the loudest bin of all the clip's sounds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.objectives.audio.features import power, stft
from wordlength.search.plots.scale import SOFT_COLOUR, TEXT_COLOUR

if TYPE_CHECKING:
    from wordlength.objectives.listening import HeardClip, Sound

RANGE_DB = 70.0
"""From the loudest bin to the darkest colour."""
_SMALLEST_DIFFERENCE = 0.05
_WIDTH_INCHES, _DPI = 10.0, 110
_LEVELS, _MASKS, _DIFFERENCES = "magma", "viridis", "RdBu_r"


def clip_png(clip: HeardClip, titles: Mapping[str, str]) -> bytes:
    """The picture as a PNG. `titles`: what stands above each network's sound, by its name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = [sound for sound in clip.sounds if sound.outputs is not None]
    masked = made if clip.signal.target.is_mask else []
    heights = [2.15 * -(-len(clip.sounds) // 2), *[1.95] * (len(masked) - 1)]
    size = _WIDTH_INCHES, sum(heights) + 0.5
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(clip.name), x=0.012, ha="left", fontsize=11, color=TEXT_COLOUR)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_levels(parts[0], clip, titles)
    for part, sound in zip(parts[1:], masked[1:], strict=True):
        _draw_masks(part, clip, masked[0], sound, titles)
    target = io.BytesIO()
    figure.savefig(target, format="png", pil_kwargs={"optimize": True})
    return target.getvalue()


def _draw_levels(part: Any, clip: HeardClip, titles: Mapping[str, str]) -> None:
    """Two columns of spectrograms."""
    powers = [power(stft(sound.samples, clip.signal.features)) for sound in clip.sounds]
    loudest = max(float(one.max()) for one in powers)
    rows = -(-len(powers) // 2)
    axes = part.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for place, sound, one in zip(axes.flat, clip.sounds, powers, strict=False):
        level = 10 * np.log10(np.maximum(one / loudest, 10 ** (-RANGE_DB / 10)))
        image = _image(place, clip, level, _LEVELS, (-RANGE_DB, 0))
        place.set_title(_plain(_title(clip, sound, titles)), loc="left", fontsize=10, color=TEXT_COLOUR)
    for place in axes.flat[len(powers) :]:
        place.set_axis_off()
    _label(axes)
    _bar(part, image, axes, "level, dB")


def _draw_masks(part: Any, clip: HeardClip, plain: Sound, sound: Sound, titles: Mapping[str, str]) -> None:
    """Side by side: the float network's mask, the quantized one's, and what the second adds to the first."""
    assert plain.outputs is not None
    assert sound.outputs is not None
    difference = sound.outputs - plain.outputs
    limit = _limit(difference)
    axes = part.subplots(1, 3, sharex=True, sharey=True, squeeze=False)
    left, middle, right = axes[0]
    _image(left, clip, plain.outputs, _MASKS, (0, 1))
    masks = _image(middle, clip, sound.outputs, _MASKS, (0, 1))
    image = _image(right, clip, difference, _DIFFERENCES, (-limit, limit))
    ours, theirs = titles[plain.name], titles[sound.name]
    rms = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
    texts = f"mask: {ours}", f"mask: {theirs}", f"{theirs} − {ours}, rms {rms:.3f}"
    for place, text in zip(axes[0], texts, strict=True):
        place.set_title(_plain(text), loc="left", fontsize=10, color=TEXT_COLOUR)
    _label(axes)
    _bar(part, masks, [left, middle], "mask")
    _bar(part, image, [right], "difference of masks")


def _title(clip: HeardClip, sound: Sound, titles: Mapping[str, str]) -> str:
    if sound.name == "clean":
        return "clean"
    level = f"noisy at {clip.snr_db:.3g} dB" if sound.name == "noisy" else titles[sound.name]
    return f"{level}: STOI {sound.stoi:.3f}"


def _image(place: Any, clip: HeardClip, values: FloatArray, colours: str, limits: tuple[float, float]) -> Any:
    """`values`: (frames, bins), the lowest bin and the first frame at the lower left."""
    features = clip.signal.features
    hop_seconds = features.hop_samples / features.sample_rate_hz
    # Frame t is centred (t + 1) hops less half a frame after the first sample.
    first = hop_seconds - features.frame_samples / 2 / features.sample_rate_hz
    bin_khz = features.sample_rate_hz / features.frame_samples / 1000
    extent = (
        first - hop_seconds / 2,
        first + (len(values) - 0.5) * hop_seconds,
        -bin_khz / 2,
        (values.shape[1] - 0.5) * bin_khz,
    )
    style = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "cmap": colours}
    image = place.imshow(values.T, extent=extent, vmin=limits[0], vmax=limits[1], **style)
    place.set_xlim(0, clip.seconds)
    place.set_ylim(0, features.sample_rate_hz / 2000)
    place.tick_params(colors=SOFT_COLOUR, labelsize=8.5)
    place.spines[:].set_visible(False)
    return image


def _label(axes: Any) -> None:
    """Units at the outer edges only."""
    for column in axes.T:
        lowest = [place for place in column if place.axison][-1]
        lowest.set_xlabel("time, s", fontsize=9, color=TEXT_COLOUR)
        lowest.tick_params(labelbottom=True)
    for place in axes[:, 0]:
        place.set_ylabel("frequency, kHz", fontsize=9, color=TEXT_COLOUR)


def _bar(part: Any, image: Any, axes: Sequence[Any] | Any, text: str) -> None:
    bar = part.colorbar(image, ax=axes, pad=0.012, aspect=18)
    bar.set_label(text, fontsize=9, color=TEXT_COLOUR)
    bar.ax.tick_params(colors=SOFT_COLOUR, labelsize=8.5)
    bar.outline.set_visible(False)


def _limit(difference: FloatArray) -> float:
    """Of the colours: all but the largest thousandth lie within; rounded up to one digit."""
    most = max(float(np.quantile(np.abs(difference), 0.999)), _SMALLEST_DIFFERENCE)
    digit = 10.0 ** np.floor(np.log10(most))
    return float(min(1.0, np.ceil(most / digit - 1e-9) * digit))


def _plain(text: str) -> str:
    """matplotlib would read text between two dollar signs as a formula."""
    return text.replace("$", r"\$")
