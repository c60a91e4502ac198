"""A study file for a network and for folders of speech and noise, every key explained, ready to launch."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from wordlength.errors import DataError, SpecError
from wordlength.objectives.audio.corpus_settings import (
    NOISE_KINDS,
    PAIR_KINDS,
    SPEECH_KINDS,
    CorpusSettings,
    PairSettings,
)
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.settings import DataSettings
from wordlength.objectives.audio.splits import SplitUnit
from wordlength.objectives.goals import require_measurable
from wordlength.objectives.settings import TrainingSettings
from wordlength.paths import expanded
from wordlength.search.study_file.layers import Layer, layers_of, repeated, small, table
from wordlength.search.study_file.own_signal import own_signal
from wordlength.search.study_file.space import SpaceSpec, build_space
from wordlength.search.study_file.spec import SearchSpec, StudySpec, parse_spec
from wordlength.space import find_slots

_FIXED = "fixed: {bits: [2, 8], offset: [-1, 1]}"
_PO2 = "po2: {bits: [2, 5], offset: [-1, 1]}"
_WIDE = "{weights: {fixed: {bits: [6, 8], offset: [-1, 1]}}}"
_BUILTIN: dict[str, Any] = {"speech": [{"kind": "builtin"}], "noise": [{"kind": "builtin"}]}
_LAST = ("folder", "builtin")
"""Kinds that any folder of audio files fits, or none."""

_SIGNALS: dict[str | None, dict[str, Any]] = {
    "spectrum_dnn": {"features": {"kind": "log_spectrum"}, "target": {"kind": "spectrum"}},
    "quality_cnn": {"target": {"kind": "score"}},
}
"""What a network of the literature hears and learns, where that is not the default."""


_SCORED: dict[str, Any] = {
    "objectives": ["pearson_correlation", "rmse", "inference_memory_bytes"],
    "training": {"batch_size": 16},
    "analysis": {"windows": 32},
    "search": {"first_front": 0, "allocated": 0},
}
"""Of a score: what can be measured, segments being long, and no bits allocated by what knows no activation maps."""


@dataclass(frozen=True)
class NewStudy:
    """A study file that loads. `layers`: of its network."""

    text: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Given:
    """What the user points at; paths as seen from here. `model`: as in a study file, or None for the baseline's own.

    `arguments`: what the function is called with, besides its shape. `pairs`: a folder of noisy and clean files,
    or a CSV file of them; without folders of speech and noise it is all the data.
    """

    name: str
    model: str | None
    baseline: Path | None
    speech: Path | None
    noise: Path | None
    pairs: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def new_study(given: Given, to: Path, cache: Path) -> NewStudy:
    """Build the network and write down a study of it. Raises SpecError, ModelError, DataError; writes nothing.

    `to`: where the file will be, from which its paths start. `cache`: of the corpora.
    """
    signal = dict(_SIGNALS.get(given.model, {}))
    heads: dict[str, Any] = {"name": given.name, "data": _BUILTIN | signal}
    heads |= {"model": _model(given, given.model, to)} if given.model else {}
    heads |= {"baseline": _relative(given.baseline, to)} if given.baseline else {}
    # The network comes first: what is wrong with it shall not be told after corpora were read, which takes longer.
    with _no_file_yet(to):
        spec = parse_spec(yaml.safe_dump(heads), to)
    own = own_signal(spec.baseline or spec.model, spec.data.shape)
    signal |= own.data if own else {}
    if signal.get("target", {}).get("kind") == "score":
        heads |= _SCORED
    layers = _layers(parse_spec(yaml.safe_dump(heads | {"data": _BUILTIN | signal}), to))
    heads["data"] = _corpora(given, to, cache) | signal
    spec = parse_spec(yaml.safe_dump(heads), to)
    text = "\n".join(_lines(heads, spec, layers, own.told if own else "")) + "\n"
    _require_sound(text, to, spec)
    return NewStudy(text, layers)


def corpus_kind(folder: Path, role: str, cache: Path) -> str:
    """The layout of a corpus of `speech` or `noise`. Raises DataError for a folder that holds no audio."""
    return _listed(folder, role, cache)[0]


def _listed(folder: Path, role: str, cache: Path) -> tuple[str, list[Clip]]:
    """Layout and clips."""
    from wordlength.objectives.audio.corpora import read_noise, read_speech

    read, kinds = (read_speech, SPEECH_KINDS) if role == "speech" else (read_noise, NOISE_KINDS)
    for kind in kinds:
        # The challenge's reader takes any folder: its own is known by a name that no other has.
        if kind not in _LAST and (kind != "dns_challenge" or _is_dns(folder)):
            try:
                return kind, read(CorpusSettings(kind, folder), cache)
            except DataError:
                continue
    return "folder", read(CorpusSettings("folder", folder), cache)


def _require_parts(clips: list[Clip], by: SplitUnit) -> None:
    """Raise DataError for what cannot be divided into training, validation and test."""
    from wordlength.objectives.audio.splits import split_groups

    split_groups(clips, by=by, validation_fraction=0.2, test_fraction=0.2, seed=0)  # Any shares need as many.


def _is_dns(folder: Path) -> bool:
    return any(place.name.endswith("_fullband") for place in (folder, *folder.rglob("*_fullband")))


def pair_kind(place: Path) -> str:
    """The layout of a corpus of noisy and clean files. Raises DataError where it is none that is known."""
    from wordlength.objectives.audio.corpora import read_pairs

    for kind in ("manifest",) if place.is_file() else [kind for kind in PAIR_KINDS if kind != "manifest"]:
        try:
            read_pairs(PairSettings(kind, place))
        except DataError as error:
            last = error
        else:
            return kind
    raise last


def _corpora(given: Given, to: Path, cache: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given.pairs is not None:
        place = Path(os.path.abspath(expanded(given.pairs)))
        with _told_as("pairs", place):
            found["pairs"] = [{"kind": pair_kind(place), "path": _relative(place, to)}]
        if given.speech is None and given.noise is None:
            return found
    for role, folder in (("speech", given.speech), ("noise", given.noise)):
        if folder is None:
            found[role] = _BUILTIN[role]
        else:
            place = Path(os.path.abspath(expanded(folder)))
            with _told_as(role, place):
                if not place.is_dir():
                    raise DataError(f"a corpus must be a folder, but {place} is a file")
                kind, clips = _listed(place, role, cache)
                if given.pairs is None:  # Else the pairs' speakers and noises count as well.
                    _require_parts(clips, "speaker" if role == "speech" else "recording")
                found[role] = [{"kind": kind, "path": _relative(place, to)}]
    return found


@contextmanager
def _told_as(option: str, place: Path) -> Iterator[None]:
    """Have what is wrong with a corpus end with the option that named it: there is no study file yet to look into."""
    if not place.exists():
        raise DataError(f"a corpus must be there, but {place} is not (--{option})")
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} (--{option})") from None


@contextmanager
def _no_file_yet(to: Path) -> Iterator[None]:
    """Have what is wrong with the network end with the option that named it, in place of the key of a file to come."""
    try:
        yield
    except SpecError as error:
        raise SpecError(re.sub(rf"\((model|baseline) in {re.escape(str(to))}\)", r"(--\1)", str(error))) from None


def _model(given: Given, text: str, to: Path) -> str | dict[str, Any]:
    """With the file's place as seen from the study file; a name as it is."""
    if ".py:" in text:
        file, _, function = text.rpartition(":")
        name = f"{_relative(Path(file), to)}:{function}"
        return {"name": name, "arguments": dict(given.arguments)} if given.arguments else name
    if given.arguments:
        raise SpecError(f"arguments are for a function, file.py:function, but the model is {text!r} (--arguments)")
    return _relative(Path(text), to) if text.endswith(".keras") else text


def _relative(file: Path, to: Path) -> str:
    """From the study file's folder, or absolute where that is elsewhere altogether."""
    place = os.path.abspath(expanded(file))
    near = os.path.relpath(place, os.path.abspath(to.parent))
    return place if near.startswith("../../..") else Path(near).as_posix()


def _layers(spec: StudySpec) -> tuple[Layer, ...]:
    from wordlength.objectives.models.float_network import float_network, pretrained_network

    if spec.baseline is not None:  # Refused here if it does not fit.
        pretrained_network(spec.baseline, spec.model, spec.data.shape, spec.seed)
    model = float_network(spec.model, spec.data.shape)
    return layers_of(model, find_slots(model))


def _require_sound(text: str, to: Path, begun: StudySpec) -> None:
    """What is written must be a study file whose space fits the network."""
    from wordlength.objectives.models.float_network import float_network

    spec = parse_spec(text, to)
    assert (spec.model, spec.baseline, spec.data.speech) == (begun.model, begun.baseline, begun.data.speech)
    require_measurable(spec.objectives, spec.data.target.kind, spec.data.features.sample_rate_hz)
    build_space(spec.space, find_slots(float_network(spec.model, spec.data.shape)))


def _lines(heads: dict[str, Any], spec: StudySpec, layers: tuple[Layer, ...], about_shape: str) -> Iterator[str]:
    parameters = sum(layer.parameters for layer in layers)
    yield f"# A study of {spec.model.label}, written by `wordlength init`; `wordlength schema` describes every key."
    yield f"# The network has {parameters:,} parameters in formats, {4 * parameters:,} bytes in float32:"
    yield "#"
    yield from (f"#     {line}" for line in table(layers))
    yield ""
    yield from _key("name", heads["name"], _about(StudySpec, "name"))
    yield ""
    for key in ("model", "baseline"):
        if key in heads:
            yield from _key(key, heads[key], _about(StudySpec, key))
            yield ""
    yield from _data(heads["data"], spec, about_shape)
    yield ""
    for key in ("objectives", "analysis"):
        if key in heads:
            yield from _key(key, heads[key], _about(StudySpec, key))
            yield ""
    yield from _training(spec)
    yield ""
    yield from _space(layers)
    yield ""
    yield from _search(heads.get("search", {}))


def _data(given: dict[str, Any], spec: StudySpec, about_shape: str) -> Iterator[str]:
    yield "data:"
    for role in (role for role in ("speech", "noise", "pairs") if role in given):
        yield from _key(role, given[role], _about(DataSettings, role), 1)
    for line in textwrap.wrap(about_shape, 120):
        yield from _comment(line, 1)
    for key, kind in (("features", spec.data.features.kind), ("target", spec.data.target.kind)):
        yield from _key(key, given.get(key, {"kind": kind}), _about(DataSettings, key), 1)
    for key, value in (("snr_db", [0]), ("mixtures_per_utterance", 1), ("subset_fraction", 0.25)):
        yield from _key(key, value, _about(DataSettings, key), 1)


def _training(spec: StudySpec) -> Iterator[str]:
    yield "training:"
    if spec.baseline is None:
        for key, value in (("baseline_epochs", 20), ("baseline_patience", 5), ("learning_rate", 0.001)):
            yield from _key(key, value, _about(TrainingSettings, key), 1)
    for key in ("step_one_epochs", "step_two_epochs", "batch_size"):
        yield from _key(key, getattr(spec.training, key), _about(TrainingSettings, key), 1)


def _space(layers: tuple[Layer, ...]) -> Iterator[str]:
    yield "space:"
    yield from _comment(f"{_about(SpaceSpec, 'weights')} An offset is from where the float model's values put it.", 1)
    yield "  weights:"
    yield f"    {_FIXED}"
    yield f"    {_PO2}"
    yield from _comment(_about(SpaceSpec, "biases"), 1)
    yield "  biases: fixed<16,2>"
    yield from _comment(_about(SpaceSpec, "activations"), 1)
    yield "  activations:"
    yield "    fixed: {bits: [8, 16], offset: [0, 1]}"
    if names := small(layers):
        yield from _comment("Layers with under 1 % of the parameters: narrow formats would save nothing there.", 1)
        yield "  layers:"
        yield from (f"    {_inline(name)}: {_WIDE}" for name in names)
    if ties := repeated(layers):
        yield from _comment("Layers of one type and shape share their formats: a smaller space, one kernel for all.", 1)
        yield "  tie:"
        yield from (f"    {name}: [{', '.join(map(_inline, members))}]" for name, members in ties.items())


def _search(given: dict[str, Any]) -> Iterator[str]:
    yield "search:"
    for key, value in given.items():
        yield from _key(key, value, _about(SearchSpec, key), 1)
    yield from _key("trials", 50, _about(SearchSpec, "trials"), 1)
    yield from _key("sampler", "tpe", _about(SearchSpec, "sampler"), 1)


def _key(key: str, value: Any, about: str, depth: int = 0) -> Iterator[str]:
    yield from _comment(about, depth)
    yield "  " * depth + f"{key}: {_inline(value)}"


def _comment(text: str, depth: int) -> Iterator[str]:
    yield "  " * depth + f"# {text}"


def _inline(value: Any) -> str:
    """YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()


def _about(settings: Any, key: str) -> str:
    """The first sentence of a key's description."""
    described = TypeAdapter(settings).json_schema()["properties"][key]["description"]
    return re.split(r"(?<=[.;]) ", " ".join(described.split()))[0].rstrip(";.") + "."


def require_name(name: str) -> str:
    """A study's name made of a file's. Raises SpecError if nothing of it may stand in one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:63]
    if not plain:
        raise SpecError(f"a study's name must have letters or digits, but got {name!r}; say one with --name")
    return plain


def read_argument(text: str) -> tuple[str, Any]:
    """`key=value`, the value as JSON, or text where it is none. Raises SpecError without a key."""
    key, equals, value = text.partition("=")
    if not (equals and key.isidentifier()):
        raise SpecError(f"an argument is written key=value, but got {text!r} (--arguments)")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
