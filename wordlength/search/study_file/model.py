"""The `model:` and `baseline:` of a study file: networks by name, by file and function, or as Keras saved them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Discriminator, PlainSerializer, Tag, WithJsonSchema

from wordlength.errors import ModelError, SpecError
from wordlength.objectives.models import (
    NETWORKS,
    IrmCnn,
    KerasFile,
    ModelSettings,
    QualityCnn,
    SpectrumDnn,
    UserModel,
)
from wordlength.paths import expanded

if TYPE_CHECKING:
    from wordlength.search.study_file.spec import StudySpec

_TAG = "model:"
"""What tags of the union begin with: pydantic puts them into the places of errors, where they mean nothing."""


def is_tag(part: Any) -> bool:
    """Whether a part of an error's place is one of the union's tags, and no key of the study file."""
    return str(part).startswith(_TAG)


def _named(value: Any) -> Any:
    """Text stands for the network of that name. Raises ValueError for a name that says of no network what it is."""
    given = {"name": value} if isinstance(value, str) else value
    name = given.get("name", "irm_cnn") if isinstance(given, dict) else None
    if isinstance(name, str) and _kind(name) is None:
        raise ValueError(
            f"model name must be one of {', '.join(NETWORKS)}, a function as file.py:function or a file.keras, "
            f"but got {name!r}"
        )
    return given


def _kind(name: str) -> str | None:
    """The tag of the network that has such a name."""
    if name in NETWORKS:
        return _TAG + name
    return f"{_TAG}function" if ".py:" in name else f"{_TAG}file" if name.endswith(".keras") else None


def _tag(value: Any) -> str | None:
    name = value.get("name", "irm_cnn") if isinstance(value, dict) else getattr(value, "name", "")
    return _kind(str(name))


ModelField = Annotated[
    Annotated[IrmCnn, Tag("model:irm_cnn")]
    | Annotated[SpectrumDnn, Tag("model:spectrum_dnn")]
    | Annotated[QualityCnn, Tag("model:quality_cnn")]
    | Annotated[UserModel, Tag("model:function")]
    | Annotated[KerasFile, Tag("model:file"), PlainSerializer(lambda file: {"name": file.name})],
    Discriminator(_tag),
    BeforeValidator(_named, json_schema_input_type=str | IrmCnn | SpectrumDnn | QualityCnn | UserModel | KerasFile),
]
"""A network: a map with its name and settings, or the name alone."""

BaselineField = Annotated[
    KerasFile,
    BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
    PlainSerializer(lambda file: file.name),
    WithJsonSchema({"type": "string", "examples": ["network.keras"]}),
]
"""The float baseline, trained, in a `.keras` file."""


def with_files(spec: StudySpec, path: Path) -> StudySpec:
    """The study with what the files of network and baseline hold, read beside its file `path`. Raises SpecError."""
    baseline = spec.baseline and _with_content(spec.baseline, path, "baseline")
    if baseline is not None and "model" not in spec.model_fields_set:
        return spec.model_copy(update={"model": baseline, "baseline": baseline})
    try:
        model = _with_model_file(spec.model, path)
    except ModelError as error:
        raise SpecError(f"{error} (model in {path})") from None
    return spec.model_copy(update={"model": model, "baseline": baseline})


def with_files_beside(plain: Mapping[str, Any], spec: StudySpec) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A study file's keys that need no other places, and the files to lie beside it: name → content."""
    own, files = dict(plain), {}
    if isinstance(spec.baseline, KerasFile):
        own["baseline"] = f"baseline/{spec.baseline.label}"
        files[own["baseline"]] = spec.baseline.content
    match spec.model:
        case UserModel(arguments=arguments, source=source):
            own["model"] = {"name": spec.model.label, "arguments": arguments, "source": source}
        case KerasFile() if spec.model == spec.baseline:
            own.pop("model", None)
        case KerasFile(content=content):
            own["model"] = f"model/{spec.model.label}"
            files[own["model"]] = content
    return own, files


def _with_model_file(model: ModelSettings, path: Path) -> ModelSettings:
    match model:
        case UserModel(source=""):
            place = _beside(path, model.file)
            try:
                text = _read(place, "model", path).decode("utf-8")
            except UnicodeDecodeError:
                raise SpecError(f"a network's file must be UTF-8 text, but {place} is not (model in {path})") from None
            if not text.strip():
                raise SpecError(f"a network's file must define the function, but {place} is empty (model in {path})")
            return UserModel(f"{place}:{model.function}", model.arguments, text)
        case KerasFile():
            return _with_content(model, path, "model")
    return model


def _with_content(file: KerasFile, path: Path, key: str) -> KerasFile:
    place = _beside(path, file.file)
    return KerasFile.holding(str(place), _read(place, key, path))


def published_model(model: ModelSettings) -> dict[str, Any]:
    """The network for others: no places, no text."""
    plain = dataclasses.asdict(model) | {"name": model.label}
    return {name: value for name, value in plain.items() if name not in ("source", "content")}


def _beside(path: Path, file: Path) -> Path:
    return Path(os.path.abspath(path.parent / expanded(file)))


def _read(file: Path, key: str, study: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SpecError(f"a network's file must be readable, but {file}: {error.strerror} ({key} in {study})") from None
