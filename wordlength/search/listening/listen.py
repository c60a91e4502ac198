"""Listening: one mixture clean, noisy, enhanced in float32 and by chosen trials, as files for the ear and the eye."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordlength.arrays import FloatArray
from wordlength.atomic import replacing
from wordlength.errors import SpecError
from wordlength.objectives.listening import EXTREMES, Ear, HeardClip, extreme, require_sound
from wordlength.objectives.report import Weights
from wordlength.paths import expanded
from wordlength.search.drivers import working
from wordlength.search.home import Home
from wordlength.search.launch import evaluation_settings, prepare_data
from wordlength.search.listening.files import Voice, facts_of, require_replaceable_by_clips, write_clips
from wordlength.search.observer import Observer
from wordlength.search.session import open_unchanged
from wordlength.search.study import load_study
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.trained import own_weights, retrained_weights
from wordlength.search.trials import StudyView, picked
from wordlength.stages import stage
from wordlength.version import VERSION

if TYPE_CHECKING:
    from wordlength.objectives.audio import MixtureSet, PreparedData
    from wordlength.objectives.evaluate import Evaluator
    from wordlength.objectives.training import Predictor

PARTS = ("test", "validation")
"""Parts of a study's data that can be listened to; no trial has heard the first."""


@dataclass(frozen=True)
class Listened:
    """What was written: the folder, the trials, and the clips, each in a folder of its own if there are several."""

    folder: Path
    part: str
    voices: tuple[Voice, ...]
    clips: tuple[HeardClip, ...]
    facts: tuple[Mapping[str, Any], ...] = field(repr=False)
    """What `clip.json` says of each clip."""


def listen(
    study: str,
    rules: Sequence[str],
    folder: Path,
    home: Home | None = None,
    *,
    clips: Sequence[int | str] = (0,),
    part: str = "test",
    retrained: bool = False,
    force: bool = False,
    verbose: bool = False,
    observer: Observer | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Listened:
    """Write a study's mixtures, as they are and as chosen trials enhance them, to a folder written whole or not at all.

    `rules`: which trials (see `front.pick`), one file each; `clips`: numbers of mixtures in the `part` of the data, or
    worst, median, best by STOI improvement of the first trial. `retrained`: with the weights of `wordlength retrain`.
    A trial that is not on the front is trained again. `force` replaces an earlier listening. Raises SpecError.
    """
    home, observer, folder = home or Home.default(), observer or Observer(), Path(os.path.realpath(expanded(folder)))
    spec = home.find(study)
    require_sound(spec.data)
    _require_part(part)
    require_replaceable_by_clips(folder, force)
    view = load_study(study, home)
    voices = _voices(view, rules, retrained)
    kept = {voice.name: retrained_weights(view, voice.point, home)[1] for voice in voices if retrained}
    with working(home.study(view.name), "a listening"), replacing(folder) as draft:
        data = prepare_data(spec, home, observer)
        mixtures = data.test if part == "test" else data.validation
        _require_numbers(clips, len(mixtures), part)
        evaluator = _opened(spec, home, data, observer, verbose)
        weights = kept or {voice.name: own_weights(view, voice.point, home, evaluator, tell)[1] for voice in voices}
        heard = _heard(evaluator, mixtures, voices, weights, clips, observer)
        head = {"wordlength": VERSION, "study": view.name, "part": part, "data_digest": data.digest}
        facts = tuple(head | facts_of(clip, voices) for clip in heard)
        write_clips(draft, heard, facts, voices)
        require_replaceable_by_clips(folder, force)  # Again: minutes have passed.
    return Listened(folder, part, voices, heard, facts)


def _voices(view: StudyView, rules: Sequence[str], retrained: bool) -> tuple[Voice, ...]:
    """`quantized` is the one trial; of several each file tells its rule. Raises SpecError."""
    # By their labels, which name files: blanks in a rule make no other one of it.
    every = {re.sub(r"[^A-Za-z0-9.]+", "-", rule.strip()): rule.strip() for rule in rules}
    voices = []
    for label, rule in every.items():
        point = picked(view, rule)
        voices.append(Voice(f"quantized-{label}" if len(every) > 1 else "quantized", rule, point, retrained))
    return tuple(voices)


def _require_part(part: str) -> None:
    if part not in PARTS:
        raise SpecError(f"part must be one of {', '.join(PARTS)}, but got {part!r} (--part)")


def _require_numbers(clips: Sequence[int | str], count: int, part: str) -> None:
    if not clips:
        raise SpecError("at least one clip must be asked for, but got none (--clip)")
    for clip in clips:
        if clip not in EXTREMES and not (isinstance(clip, int) and 0 <= clip < count):
            raise SpecError(
                f"clip must be a {part} mixture's number from 0 to {count - 1}, or {', '.join(EXTREMES)}, "
                f"but got {clip!r} (--clip)"
            )


def _opened(spec: StudySpec, home: Home, data: PreparedData, observer: Observer, verbose: bool) -> Evaluator:
    """What a worker of the study is. Raises SpecError if data or float baseline are no longer the study's."""
    _, baseline = open_unchanged(spec, home, observer, verbose, data)
    from wordlength.objectives.evaluate import Evaluator

    return Evaluator(data, baseline, evaluation_settings(spec))


def _heard(
    evaluator: Evaluator,
    mixtures: MixtureSet,
    voices: Sequence[Voice],
    weights: Mapping[str, Weights],
    clips: Sequence[int | str],
    observer: Observer,
) -> tuple[HeardClip, ...]:
    """The clips in the order asked for, each once."""
    from wordlength.objectives.training import Predictor, Windows

    ear, windows, quantized = Ear(mixtures), Windows.of(mixtures.frames), evaluator.quantized
    evaluator.float_model.set_weights(list(evaluator.baseline.weights))
    plain = Predictor(evaluator.float_model, windows)
    chosen = Predictor(quantized.model, windows, lambda: quantized.version)
    outputs: dict[int, dict[str, FloatArray]] = {}
    numbers: list[int] = []
    for voice in voices:
        evaluator.use(weights[voice.name])
        evaluator.assign(voice.point.candidate)
        if not numbers:
            words = any(isinstance(clip, str) for clip in clips)
            gains = ear.improvements(_of(chosen, mixtures), stage("mixtures heard", observer.data)) if words else []
            picked = (extreme(gains, clip) if isinstance(clip, str) else clip for clip in clips)
            numbers = list(dict.fromkeys(picked))
            outputs = {number: {"float": _of(plain, mixtures)(number)} for number in numbers}
        for number in numbers:
            outputs[number][voice.name] = _of(chosen, mixtures)(number)
    return tuple(ear.clip(number, outputs[number]) for number in numbers)


def _of(predictor: Predictor, mixtures: MixtureSet) -> Callable[[int], FloatArray]:
    return lambda number: predictor.outputs(mixtures.frames.windows_of(number))
