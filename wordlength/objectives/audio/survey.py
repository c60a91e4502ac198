"""What a study's corpora hold and what its parts are made of, measured before anything is prepared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from wordlength.errors import DataError
from wordlength.objectives.audio.flaws import counted, problems_of, warnings_of
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.loudness import Figures, measure_file
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.planning import Material, file_by_file, plan_of, read_material, without_copies
from wordlength.objectives.audio.rendering import read_pair
from wordlength.objectives.audio.settings import DataSettings
from wordlength.stages import Progress, StageProgress, stage


@dataclass(frozen=True, slots=True)
class CorpusFigures:
    """One corpus in one role: speech, noise, clean or noisy files of pairs, rooms.

    seconds, clips, rates and levels are of usable files; levels are root mean squares in dB of full scale,
    (lowest, median, highest); silent_share is of the time, clipped_share of the files.
    """

    role: str
    name: str
    files: int
    unusable: int
    seconds: float
    speakers: dict[str, int]
    noise_classes: dict[str, int]
    rates_hz: dict[int, int]
    level_dbfs: tuple[float, float, float] | None
    clipped_share: float
    silent_share: float


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One part: training, validation or test. Counts are of mixtures, but for the speakers, who are counted by sex."""

    part: str
    mixtures: int
    given: int
    seconds: float
    speakers: dict[str, int]
    noise_classes: dict[str, int]
    noise_recordings: int
    snr_db: dict[str, int]
    rooms: int


@dataclass(frozen=True, slots=True)
class DataSurvey:
    """Everything that was found; with problems, the data cannot be used."""

    corpora: tuple[CorpusFigures, ...]
    parts: tuple[PartFigures, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return asdict(self)


def survey(settings: DataSettings, cache: Path, progress: StageProgress | None = None) -> DataSurvey:
    """Read every file of the study's corpora once, plan its parts, and tell what is found.

    `progress(stage, done, total)` is told of "render", "measure" and "pairs". Nothing is raised for data that cannot
    be used: that is among the problems, one line each.
    """
    report, rate_hz = progress or (lambda stage, done, total: None), settings.features.sample_rate_hz
    problems: list[str] = []
    material = read_material(settings, cache, stage("render", report), problems)
    figures = file_by_file(measure_file, material.clips(), stage("measure", report))
    found = tuple(_corpora(material, figures))
    problems += [figure.problem for figure in figures.values() if figure.problem]
    if problems:
        # Without all corpora, or with files that are none, the parts would not be those of the study.
        return DataSurvey(found, (), (), tuple(problems))
    problems = _broken_pairs(material.pairs, rate_hz, stage("pairs", report))
    kept = without_copies(material, {path: figure.sha256 for path, figure in figures.items()})
    try:
        plan = plan_of(settings, kept)
    except DataError as error:
        return DataSurvey(found, (), (), (*problems, str(error)))
    parts = tuple(_part(part, mixtures, figures) for part, mixtures in plan.parts.items())
    problems += problems_of(plan, figures, rate_hz)
    return DataSurvey(found, parts, tuple(warnings_of(material, kept, plan, figures, rate_hz)), tuple(problems))


def _broken_pairs(pairs: Sequence[Mixture], sample_rate_hz: int, progress: Progress) -> list[str]:
    given = [pair for pair in pairs if pair.given]
    problems = []
    for done, pair in enumerate(given, 1):
        try:
            read_pair(pair.clean.path, pair.noise.path, sample_rate_hz)
        except DataError as error:
            problems.append(str(error))
        progress(done, len(given))
    return problems


def _corpora(material: Material, figures: Figures) -> Iterator[CorpusFigures]:
    roles = {
        "speech": material.speech,
        "noise": material.noise,
        "clean of pairs": tuple(pair.clean for pair in material.pairs),
        "noisy of pairs": tuple(pair.noise for pair in material.pairs if pair.given),
        "noise of pairs": tuple(pair.noise for pair in material.pairs if not pair.given),
        "rooms": material.rooms,
    }
    for role, clips in roles.items():
        for name in dict.fromkeys(clip.corpus for clip in clips):
            yield _corpus(role, name, [clip for clip in clips if clip.corpus == name], figures)


def _corpus(role: str, name: str, clips: Sequence[Clip], figures: Figures) -> CorpusFigures:
    files = {clip.path: figures[clip.path] for clip in clips}
    usable = [figure for figure in files.values() if not figure.problem]
    levels = sorted(figure.level_dbfs for figure in usable)
    seconds = sum(figure.seconds for figure in usable)
    is_noise = role.startswith(("noise", "noisy"))
    return CorpusFigures(
        role=role,
        name=name,
        files=len(files),
        unusable=len(files) - len(usable),
        seconds=seconds,
        speakers={} if is_noise or role == "rooms" else _by_sex(clips),
        noise_classes=counted(clip.group for clip in clips) if is_noise else {},
        rates_hz=dict(sorted(Counter(figure.rate_hz for figure in usable).items())),
        level_dbfs=(levels[0], median(levels), levels[-1]) if levels else None,
        clipped_share=sum(figure.clipped for figure in usable) / max(1, len(usable)),
        silent_share=1 - sum(figure.active_seconds for figure in usable) / seconds if seconds else 0.0,
    )


def _part(part: str, mixtures: Sequence[Mixture], figures: Figures) -> PartFigures:
    return PartFigures(
        part=part,
        mixtures=len(mixtures),
        given=sum(mixture.given for mixture in mixtures),
        seconds=sum(figures[mixture.clean.path].seconds for mixture in mixtures),
        speakers=_by_sex([mixture.clean for mixture in mixtures]),
        noise_classes=counted(mixture.noise_class for mixture in mixtures),
        noise_recordings=len({mixture.noise.source for mixture in mixtures}),
        snr_db=_levels(mixtures),
        rooms=len({mixture.room.group for mixture in mixtures if mixture.room}),
    )


def _by_sex(clips: Sequence[Clip]) -> dict[str, int]:
    return counted({clip.group: clip.label for clip in clips}.values())


def _levels(mixtures: Sequence[Mixture]) -> dict[str, int]:
    """Mixtures per level in dB, lowest first; `unknown` where a corpus does not tell it."""
    levels = Counter(mixture.snr_db for mixture in mixtures)
    known = {f"{level:g}": levels[level] for level in sorted(level for level in levels if level is not None)}
    return known | ({"unknown": levels[None]} if None in levels else {})
