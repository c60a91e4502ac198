"""What is wrong with a study's data, a line each: what leaks between parts, is out of balance, too short, clipped."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.loudness import Figures, FileFigures
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.planning import Material, Plan
from wordlength.objectives.audio.scoring import shortest_samples

LEAST_SHARE_OF_A_SEX = 0.25
MOST_SILENCE = 0.5
UNEVEN_CLASSES = 3.0
"""A noise class heard so many times as often as another is worth a word."""


def problems_of(plan: Plan, figures: Figures, sample_rate_hz: int) -> Iterator[str]:
    """Clips that cannot be measured: too short for STOI where it is to be taken."""
    shortest = shortest_samples(sample_rate_hz) / sample_rate_hz
    for part, mixtures in (("validation", plan.validation), ("test", plan.test)):
        for clip in _too_short(mixtures, figures, shortest):
            yield (
                f"{part} clips need at least {shortest:.2f} s of speech for STOI, but got "
                f"{figures[clip.path].active_seconds:.2f} s ({clip.path})"
            )


def warnings_of(material: Material, kept: Material, plan: Plan, figures: Figures, sample_rate_hz: int) -> Iterator[str]:
    """Lines for what can be used, but should be known. `kept`: the material without copies."""
    yield from _leaks(plan, figures)
    yield from _nameless(material)
    yield from _copies(material, kept)
    yield from _imbalance(plan)
    yield from _files(material, figures, sample_rate_hz)
    short = list(_too_short(plan.train, figures, shortest_samples(sample_rate_hz) / sample_rate_hz))
    yield from _told(short, "training clips are too short for STOI", lambda clip: str(clip.path))


def _leaks(plan: Plan, figures: Figures) -> Iterator[str]:
    """What is in two parts. `keys`: per mixture what is compared, and what of it is told."""
    keys: dict[str, Callable[[Mixture], dict[str, str]]] = {
        "speakers": lambda mixture: {mixture.speaker: mixture.speaker},
        "noise recordings": lambda mixture: {mixture.noise.source: mixture.noise.source},
        "rooms": lambda mixture: {mixture.room.group: mixture.room.group} if mixture.room else {},
        "files of the same content": lambda mixture: {
            figures[clip.path].sha256: str(clip.path) for clip in (mixture.clean, mixture.noise)
        },
    }
    for what, key in keys.items():
        heard = {
            part: {k: told for mixture in mixtures for k, told in key(mixture).items()}
            for part, mixtures in plan.parts.items()
        }
        for one, other in itertools.combinations(heard, 2):
            if shared := sorted(heard[one].keys() & heard[other].keys()):
                yield f"leakage: {len(shared)} {what} are in {one} and in {other}, e.g. {heard[other][shared[0]]}"


def _nameless(material: Material) -> Iterator[str]:
    """Files whose speaker is only their own name: the same voice may be in two parts, unseen."""
    spoken = {clip.path: clip for clip in (*material.speech, *(pair.clean for pair in material.pairs))}
    for corpus, own in _by_corpus(spoken.values()).items():
        nameless = [clip for clip in own if clip.group in (clip.source, clip.source.rpartition(".")[0])]
        if len(nameless) > 1:
            yield (
                f"leakage: {len(nameless)} of {len(own)} files of {corpus} name no speaker and count as one each: "
                f"a voice may be in several parts, e.g. {nameless[0].path}"
            )


def _copies(material: Material, kept: Material) -> Iterator[str]:
    for what in ("speech", "noise", "pairs", "rooms"):
        everything, distinct = getattr(material, what), set(getattr(kept, what))
        if lost := [item for item in everything if item not in distinct]:
            path = (lost[0].noise if isinstance(lost[0], Mixture) else lost[0]).path
            yield f"copies: {len(lost)} of {len(everything)} {what} are copies of others and left out, e.g. {path}"


def _imbalance(plan: Plan) -> Iterator[str]:
    for part, mixtures in plan.parts.items():
        speakers = {mixture.speaker: mixture.clean.label for mixture in mixtures}
        if len(speakers) == 1:
            yield f"imbalance: {part} has 1 speaker only, {next(iter(speakers))}"
        known = [sex for sex in speakers.values() if sex != "unknown"]
        for sex in ("female", "male"):
            if len(known) > 1 and known.count(sex) < LEAST_SHARE_OF_A_SEX * len(known):
                yield f"imbalance: {known.count(sex)} of {len(known)} speakers in {part} are {sex}"
    yield from _uneven_classes(plan)


def _uneven_classes(plan: Plan) -> Iterator[str]:
    counts = {part: counted(mixture.noise_class for mixture in mixtures) for part, mixtures in plan.parts.items()}
    for part in ("validation", "test"):
        if missing := sorted(counts["train"].keys() - counts[part].keys()):
            yield f"imbalance: {_classes(missing)} trained on, but not in {part}, e.g. {missing[0]}"
        if new := sorted(counts[part].keys() - counts["train"].keys()):
            yield f"imbalance: {_classes(new)} in {part}, but not trained on, e.g. {new[0]}"
    for part, classes in counts.items():
        (least, few), *_, (most, many) = sorted(classes.items(), key=lambda item: item[1]) * 2
        if many > UNEVEN_CLASSES * few:
            yield f"imbalance: in {part} noise class {most} has {many} mixtures, but {least} has {few}"


def _classes(names: Sequence[str]) -> str:
    return "1 noise class is" if len(names) == 1 else f"{len(names)} noise classes are"


def _files(material: Material, figures: Figures, sample_rate_hz: int) -> Iterator[str]:
    clips = list({clip.path: clip for clip in material.clips()}.values())
    for corpus, own in _by_corpus(clips).items():
        slow = [clip for clip in own if figures[clip.path].rate_hz < sample_rate_hz]
        yield from _told(
            slow,
            f"files of {corpus} are sampled below the study's {sample_rate_hz} Hz",
            lambda clip: f"{clip.path} at {figures[clip.path].rate_hz} Hz",
        )
        clipped = [clip for clip in own if figures[clip.path].clipped]
        yield from _told(clipped, f"of {len(own)} files of {corpus} are clipped", lambda clip: str(clip.path))
    silent = [clip for clip in material.speech if _silent_share(figures[clip.path]) > MOST_SILENCE]
    yield from _told(
        silent,
        f"speech files are silent for more than {100 * MOST_SILENCE:g} % of the time",
        lambda clip: f"{clip.path} for {100 * _silent_share(figures[clip.path]):.0f} %",
    )


def _too_short(mixtures: Sequence[Mixture], figures: Figures, shortest: float) -> Iterator[Clip]:
    """Clean clips with fewer seconds of speech."""
    seen = {mixture.clean.path: mixture.clean for mixture in mixtures}
    yield from (clip for path, clip in seen.items() if figures[path].active_seconds < shortest)


def _silent_share(figure: FileFigures) -> float:
    return 1 - figure.active_seconds / figure.seconds


def _told(clips: Sequence[Clip], what: str, example: Callable[[Clip], str]) -> Iterator[str]:
    if clips:
        yield f"{len(clips)} {what}, e.g. {example(clips[0])}"


def _by_corpus(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    corpora: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        corpora[clip.corpus].append(clip)
    return dict(corpora)


def counted(names: Iterable[str]) -> dict[str, int]:
    """Name → how often it comes, in the order of the names."""
    return dict(sorted(Counter(names).items()))
