"""What an ear judges: one mixture clean, noisy, and as networks enhance it.

Waveforms are float32 `(samples,)` at the study's rate, all of one clip equally long and as loud as they came out;
networks' outputs are float32 `(frames, bins)`. STOI is that of Taal et al. 2011, against the clean waveform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.errors import SpecError
from wordlength.objectives.audio import DataSettings, MixtureSet
from wordlength.objectives.audio.prepared import Signal
from wordlength.objectives.audio.scoring import intelligibility
from wordlength.objectives.goals.heard import Listener
from wordlength.stages import Progress

EXTREMES = ("worst", "median", "best")
"""How a mixture may be chosen by what a network makes of it."""
HEADROOM_DB = 1.0
"""From the loudest sample of a clip, as it is written, to full scale."""


@dataclass(frozen=True, eq=False)
class Sound:
    """One waveform of a clip, its STOI, and the network's outputs that made it; none for clean and noisy."""

    name: str
    samples: FloatArray = field(repr=False)
    stoi: float
    outputs: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class HeardClip:
    """One mixture with everything that can be heard of it: clean, noisy, then what each network made of it.

    `number`: the mixture's in its part of the data; `name` tells utterance, noise and level; `targets`: what the
    networks should have given.
    """

    number: int
    name: str
    speaker: str
    noise_class: str
    snr_db: float
    signal: Signal = field(repr=False)
    sounds: tuple[Sound, ...]
    targets: FloatArray = field(repr=False)

    @property
    def sample_rate_hz(self) -> int:
        """Of every sound."""
        return self.signal.features.sample_rate_hz

    @property
    def seconds(self) -> float:
        """How long every sound is."""
        return self.sounds[0].samples.size / self.sample_rate_hz

    @property
    def utterance(self) -> str:
        """The clean recording."""
        return self.name.partition(f" + {self.noise_class} ")[0]

    @property
    def gain(self) -> float:
        """The one factor for all sounds that brings the loudest sample of them to HEADROOM_DB below full scale."""
        return float(10 ** (-HEADROOM_DB / 20) / max(np.abs(sound.samples).max() for sound in self.sounds))


class Ear:
    """Makes clips of one part of a study's data. Raises SpecError if no sound comes out of its networks."""

    def __init__(self, mixtures: MixtureSet) -> None:
        self._mixtures = mixtures
        self._listener = Listener(mixtures)

    def clip(self, number: int, outputs: Mapping[str, FloatArray]) -> HeardClip:
        """One mixture; `outputs`: name of each network → what it gives for the mixture's windows (frames, bins)."""
        mixtures, frames = self._mixtures, self._mixtures.frames
        clean, noisy = mixtures.mixture(number)
        sounds = [Sound("clean", clean, 1.0), Sound("noisy", noisy, float(mixtures.noisy_stoi[number]))]
        for name, given in outputs.items():
            (heard,) = self._listener.heard(given, [number])
            stoi = intelligibility(clean, heard.enhanced, heard.sample_rate_hz)
            sounds.append(Sound(name, heard.enhanced, stoi, given))
        return HeardClip(
            number,
            mixtures.names[number],
            mixtures.speakers[number],
            mixtures.noise_classes[number],
            float(mixtures.snr_db[number]),
            mixtures.signal,
            tuple(sounds),
            frames.targets[frames.windows_of(number)],
        )

    def improvements(self, outputs: Callable[[int], FloatArray], tell: Progress) -> list[float]:
        """STOI improvement of every mixture; `outputs`: of one mixture's windows; `tell`: how many are done, of all."""
        gains, total = [], len(self._mixtures)
        for number in range(total):
            (heard,) = self._listener.heard(outputs(number), [number])
            stoi = intelligibility(heard.clean, heard.enhanced, heard.sample_rate_hz)
            gains.append(stoi - float(self._mixtures.noisy_stoi[number]))
            tell(number + 1, total)
        return gains


def require_sound(data: DataSettings) -> None:
    """Raise SpecError if what the network learns is no sound."""
    if data.target.outputs_per_mixture:
        raise SpecError(
            f"only a network that enhances speech can be listened to, but this one learns the target "
            f"{data.target.kind!r} (data.target)"
        )


def extreme(improvements: list[float], which: str) -> int:
    """The mixture that improves least, most, or as the median does (of two, the lower); of equals the first."""
    order = sorted(range(len(improvements)), key=improvements.__getitem__)
    return {"worst": order[0], "median": order[(len(order) - 1) // 2], "best": order[-1]}[which]
