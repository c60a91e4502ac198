"""Pairs speech with noise, and mixes them at an exact signal-to-noise ratio."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.objectives.audio.listing import Clip

Waveform = FloatArray
_T = TypeVar("_T")

_NEARLY_SILENT = 1e-4  # a noise segment 40 dB below its clip's mean power says nothing about the noise
_DRAWS = 20


@dataclass(frozen=True, slots=True)
class Mixture:
    """A plan for one mixture: what to mix, how loud, and the seed of the noise offset.

    given: the mixture exists: `noise.path` is the noisy file, and snr_db what the corpus says of it, None if nothing.
    room: the impulse response in which the speech is heard; its first `early_ms` belong to the clean speech.
    """

    clean: Clip
    noise: Clip
    snr_db: float | None
    seed: int
    given: bool = False
    room: Clip | None = None
    early_ms: float = 50.0

    @property
    def speaker(self) -> str:
        """The speaker of the clean clip."""
        return self.clean.group

    @property
    def noise_class(self) -> str:
        """The class of the noise clip."""
        return self.noise.group

    @property
    def name(self) -> str:
        """What is heard, e.g. `timit:fvmh0/sa1 + siren freesound:101415 at 0 dB`."""
        level = "as given" if self.snr_db is None else f"at {self.snr_db:g} dB"
        place = f" in {self.room.source}" if self.room else ""
        return f"{self.clean.source} + {self.noise_class} {self.noise.source} {level}{place}"


def mix(speech: Waveform, noise: Waveform, snr_db: float, rng: np.random.Generator) -> tuple[Waveform, Waveform]:
    """Add a random segment of the noise to the speech: `(clean, noisy)`, both of the speech's shape `(samples,)`.

    Over the utterance 10·log10(P_speech / P_noise) = snr_db. Noise shorter than the speech is repeated.
    Both are scaled down together where the mixture would exceed full scale.
    """
    clean = speech.astype(np.float64)
    noisy = clean + noise_at(clean, noise, snr_db, rng)
    scale = 1 / max(1.0, float(np.abs(noisy).max()))
    return (clean * scale).astype(np.float32), (noisy * scale).astype(np.float32)


def noise_at(speech: DoubleArray, noise: Waveform, snr_db: float, rng: np.random.Generator) -> DoubleArray:
    """A random segment of the noise, so loud that the speech lies `snr_db` above it, `(samples,)` as the speech."""
    segment = _draw_segment(noise.astype(np.float64), speech.size, rng)
    return math.sqrt(_power(speech) / (_power(segment) * 10 ** (snr_db / 10))) * segment


def plan_mixtures(
    speech: Sequence[Clip], noise: Sequence[Clip], snr_db: Sequence[float], mixtures_per_utterance: int, seed: int
) -> tuple[Mixture, ...]:
    """Pair every utterance with noises; class counts differ by at most one, as do a class's SNR counts.

    Utterances keep their order. An utterance hears different classes as long as there are enough.
    """
    rng = np.random.default_rng(seed)
    clips_of_class = {name: _shuffled(clips, rng) for name, clips in _group_by_class(noise).items()}
    classes = _shuffled(sorted(clips_of_class), rng)
    first_snr = {name: int(rng.integers(len(snr_db))) for name in classes}
    used: Counter[str] = Counter()
    planned: list[tuple[int, Mixture]] = []
    # Utterances come in random order, else a speaker's sentences would meet the classes in a fixed rhythm.
    order = np.repeat(rng.permutation(len(speech)), mixtures_per_utterance)
    for place, (utterance, name) in enumerate(zip(order.tolist(), itertools.cycle(classes), strict=False)):
        turn = used[name]
        used[name] += 1
        mixture = Mixture(
            clean=speech[utterance],
            noise=clips_of_class[name][turn % len(clips_of_class[name])],
            # The extra step after each lap keeps a clip from meeting the same levels again and again.
            snr_db=float(snr_db[(first_snr[name] + turn + turn // _lap(clips_of_class[name], snr_db)) % len(snr_db)]),
            seed=int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0] >> 1),
        )
        planned.append((utterance, mixture))
    return tuple(mixture for _, mixture in sorted(planned, key=lambda pair: pair[0]))


def representative_subset(mixtures: Sequence[Mixture], fraction: float, seed: int) -> NDArray[np.int64]:
    """Indices, ascending, of a share of the mixtures that represents every speaker and noise class.

    Strata are speaker × noise class. Each keeps its share rounded down or up; who is rounded up is decided by
    the largest remainder of the stratum, its speaker and its class together. At least one mixture is kept.
    """
    total = max(1, math.floor(fraction * len(mixtures) + 0.5))
    strata: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, mixture in enumerate(mixtures):
        strata[mixture.speaker, mixture.noise_class].append(index)
    keys = sorted(strata)
    taken = _allocate({key: fraction * len(strata[key]) for key in keys}, total, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 2])
    chosen = [rng.permutation(strata[key])[: taken[key]] for key in keys]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _allocate(quotas: dict[tuple[str, str], float], total: int, rng: np.random.Generator) -> dict[tuple[str, str], int]:
    """Whole numbers near the quotas: every one rounded down or up, `total` in sum as far as that allows."""
    taken = {key: math.floor(quota + 1e-9) for key, quota in quotas.items()}
    lacking: dict[Hashable, float] = defaultdict(float)
    for (speaker, noise_class), quota in quotas.items():
        remainder = quota - taken[speaker, noise_class]
        lacking["speaker", speaker] += remainder
        lacking["class", noise_class] += remainder
    open_keys = [key for key, quota in quotas.items() if quota - taken[key] > 1e-9]
    open_keys = _shuffled(open_keys, rng)  # ties are decided by chance, not by name
    for _ in range(min(total - sum(taken.values()), len(open_keys))):
        best = max(
            open_keys,
            key=lambda key: quotas[key] - taken[key] + lacking["speaker", key[0]] + lacking["class", key[1]],
        )
        open_keys.remove(best)
        taken[best] += 1
        lacking["speaker", best[0]] -= 1
        lacking["class", best[1]] -= 1
    return taken


def _draw_segment(noise: DoubleArray, samples: int, rng: np.random.Generator) -> DoubleArray:
    """A segment of the noise, drawn again while it is nearly silent; in the end the one around the loudest sample."""
    last_offset = noise.size - 1 if noise.size < samples else noise.size - samples
    for _ in range(_DRAWS):
        segment = _segment(noise, int(rng.integers(last_offset + 1)), samples)
        if _power(segment) > _NEARLY_SILENT * _power(noise):
            return segment
    loudest = int(np.abs(noise).argmax())
    return _segment(noise, min(max(0, loudest - samples // 2), last_offset), samples)


def _segment(noise: DoubleArray, offset: int, samples: int) -> DoubleArray:
    return np.take(noise, np.arange(offset, offset + samples), mode="wrap")


def _power(signal: DoubleArray) -> float:
    return float(np.mean(signal**2))


def _group_by_class(noise: Iterable[Clip]) -> dict[str, list[Clip]]:
    classes: dict[str, list[Clip]] = {}
    for clip in noise:
        classes.setdefault(clip.group, []).append(clip)
    return dict(sorted(classes.items()))


def _lap(clips: Sequence[Clip], snr_db: Sequence[float]) -> int:
    """After how many uses of a class its clips and SNRs would meet again in the same pairs."""
    return math.lcm(len(clips), len(snr_db))


def _shuffled(items: Sequence[_T], rng: np.random.Generator) -> list[_T]:
    return [items[index] for index in rng.permutation(len(items))]
