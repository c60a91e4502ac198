"""study.yaml ⇄ StudySpec: every key described, unknown keys refused with their path."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, StringConstraints, ValidationError, field_validator

from wordlength.errors import SpecError
from wordlength.objectives.audio.settings import DataSettings
from wordlength.objectives.goals import DEFAULT_OBJECTIVES, ObjectiveSettings, goals_of
from wordlength.objectives.models import IrmCnn
from wordlength.objectives.settings import AnalysisSettings, GateSettings, TrainingSettings
from wordlength.paths import expanded
from wordlength.search.near import near_study_file
from wordlength.search.picking import parse_bytes
from wordlength.search.study_file.errors import booleans, error_lines, shown
from wordlength.search.study_file.model import (
    BaselineField,
    ModelField,
    published_model,
    with_files,
)
from wordlength.search.study_file.references import UniformSpec
from wordlength.search.study_file.space import STRICT, SpaceSpec
from wordlength.space import Fixed, PowerOfTwo

DATA_ROOT_VARIABLE = "WORDLENGTH_DATA"
CORPUS_ROLES = ("speech", "noise", "pairs", "rooms")
"""Keys of `data` that list corpora, each with a path."""


def _size(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


Size = Annotated[int, Field(ge=1), BeforeValidator(_size, json_schema_input_type=int | str)]
"""Bytes, or text such as 60kB."""


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


ObjectiveField = Annotated[ObjectiveSettings, BeforeValidator(_named, json_schema_input_type=ObjectiveSettings | str)]
"""A known objective's name, or what else there is to say of one."""


class ScreeningSpec(BaseModel):
    """Cheap rungs below the trials: many candidates are judged, few are trained in two steps."""

    model_config = STRICT

    passes: Annotated[int, Field(ge=1, le=1000)] = 1
    """Passes over the representative subset that train the weights shared by all formats."""
    mixtures: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Validation mixtures, evenly spread, on which candidates are judged; all of them if there are fewer."""
    candidates: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Candidates judged with the shared weights (rung 0) for each one that is trained for a short while."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the representative subset that the short training (rung 1) passes over."""
    short: Annotated[int, Field(ge=1, le=10_000)] = 2
    """Candidates trained for a short while for each one that becomes a trial (rung 2)."""
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 20
    """After so many proposals in a row of candidates that are known, those known become trials."""


class SearchSpec(BaseModel):
    """How the study proposes trials and when it ends."""

    model_config = STRICT

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Finished trials the study shall have in the end, first front and references included, repeated ones not."""
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    """Who proposes: tree-structured Parzen estimator, NSGA-II or pure chance."""
    startup_trials: Annotated[int, Field(ge=1, le=100_000)] = 6
    """Trials, or candidates that are screened, before TPE models, besides first front and references; random ones, but
    for the share that is allocated."""
    first_front: Annotated[int, Field(ge=0, le=1000)] = 6
    """Candidates that are tried first: bits allocated by what each format does to the float model; 0 for none."""
    budgets: tuple[Size, ...] = ()
    """Memory to be fitted into, as 60kB or bytes: the first trials are what the allocation fills each with."""
    allocated: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of later candidates by the same allocation, under random doubt about each layer; others by the sampler."""
    screening: ScreeningSpec | None = None
    """Judge candidates cheaply before they become trials, true for the defaults; else every proposal is a trial."""
    uniform: tuple[UniformSpec, ...] = (
        UniformSpec(weights=Fixed(16, 2)),
        UniformSpec(weights=Fixed(8, 0), activations=Fixed(8, 3)),
        UniformSpec(weights=PowerOfTwo(4, -1)),
        UniformSpec(weights=Fixed(4, -1)),
    )
    """References evaluated next, uniform formats or formats by layer; 3.13 and 4-bit power of two are the paper's."""
    sweep: bool = False
    """Next, one trial per kind and width of the weights, in all layers, at the float model's proposals."""

    @field_validator("screening", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value


class WorkersSpec(BaseModel):
    """Where trials run."""

    model_config = STRICT

    count: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Trials at a time; by default as many as the machine has room for."""
    cpus: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU cores per trial; TensorFlow uses as many threads."""
    gpus: Annotated[float, Field(ge=0, le=64)] = 0
    """GPUs per trial; trials share one where it is a fraction, as 0.25."""
    memory: Size | None = None
    """Memory that Ray sets aside per trial, as 2GB, so that no machine gets more trials than fit."""
    minutes: Annotated[float, Field(gt=0, le=100_000)] = 120
    """Time limit of a trial: whatever takes longer is ended, and has failed. Also of what comes before trials (a part
    of the bit allocation's figures, shared weights), without which a study cannot go on: there it ends the launch."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a trial is tried again with the same candidate and seed after its worker died; then it has failed."""


class StorageSpec(BaseModel):
    """Where results are kept; by default SQLite files in the project's .wordlength folder."""

    model_config = STRICT

    optuna: str | None = None
    """SQLAlchemy address of the trials: `sqlite:///trials.db`, or for several launches at a time
    `postgresql+psycopg://user@host/database`."""
    tracking: str | None = None
    """MLflow tracking address, as `http://host:5000`."""
    patience_minutes: Annotated[float, Field(ge=0, le=100_000)] = 5
    """How long a launch waits for the trials' storage while it is away, and in the end for MLflow."""

    @field_validator("optuna", "tracking")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            shown = re.sub(r".*@", "…@", value)  # It may hold a login.
            raise ValueError(f"an address has the form scheme://…, as sqlite:///trials.db, but got {shown!r}")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """A study file, and its text to the letter; None and empty if there is none.

    Two specs of the same content are equal, whatever file they came from.
    """

    path: Path | None = dataclasses.field(default=None, compare=False)
    text: str = dataclasses.field(default="", compare=False)


class StudySpec(BaseModel):
    """One study: data, network, training, what is searched and how."""

    model_config = STRICT

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    """Name of the study: letters, digits, dot, dash, underscore."""
    data_root: Path = Path()
    """Folder that corpus paths start from, itself relative to the study file; WORDLENGTH_DATA overrides it."""
    data: DataSettings
    """Speech, noise and how they are mixed and split."""
    model: ModelField = IrmCnn()
    """The network: one by name, your own as `file.py:function`, or the architecture in a `file.keras`."""
    baseline: BaselineField | None = None
    """A trained network, `file.keras`, as the float baseline: then nothing is trained in float. Without `model`, the
    network is the file's, too."""
    training: TrainingSettings = TrainingSettings()
    """Float baseline and two-step training."""
    analysis: AnalysisSettings = AnalysisSettings()
    """Fixed-point analysis."""
    gate: GateSettings = GateSettings()
    """Limits between step one and step two."""
    objectives: tuple[ObjectiveField, ...] = DEFAULT_OBJECTIVES
    """What trials are compared by, two or more: names of known objectives, or functions of your own. The first quality
    and the first cost are those that decide where two numbers must, as in drawings."""
    space: SpaceSpec = SpaceSpec()
    """Formats to search."""
    search: SearchSpec = SearchSpec()
    """Proposals and budget."""
    workers: WorkersSpec = WorkersSpec()
    """Trials at a time, and the cores of each."""
    storage: StorageSpec = StorageSpec()
    """Where results are kept."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Fixes initial weights, order of training and proposals."""

    _origin: Origin = PrivateAttr(Origin())

    @field_validator("objectives")
    @classmethod
    def _make_a_front(cls, value: tuple[ObjectiveSettings, ...]) -> tuple[ObjectiveSettings, ...]:
        goals_of(value)
        return value

    @property
    def origin(self) -> Origin:
        """The file it was read from."""
        return self._origin

    def published(self) -> str:
        """The study file's text for others: without storage addresses, which may hold passwords, or places."""
        plain = self.model_dump(mode="json", exclude={"storage", "data_root"})
        for corpus in (corpus for role in CORPUS_ROLES for corpus in plain["data"][role]):
            corpus.pop("path", None)
        plain["model"] = published_model(self.model)
        plain["baseline"] = self.baseline and self.baseline.label
        for objective in plain["objectives"]:
            objective.pop("source")
        return yaml.safe_dump(plain, sort_keys=False)

    def fingerprint(self) -> dict[str, Any]:
        """What must stay the same for trials to be comparable: everything but name, budget, places.

        The threads of a trial count too: with other sums, the same candidate would not give the same figures.
        """
        kept = {"data", "model", "training", "analysis", "gate", "objectives", "space", "seed"}
        plain: dict[str, Any] = self.model_dump(mode="json", include=kept) | {"threads": self.workers.cpus}
        for corpus in (corpus for role in CORPUS_ROLES for corpus in plain["data"][role]):
            # The data's digest is of contents; where they lie may change.
            corpus.pop("path", None)
        plain["model"] = json.loads(json.dumps(self.model.described))
        plain["baseline"] = self.baseline and self.baseline.digest
        return plain


def load_spec(path: Path) -> StudySpec:
    """Read a study file. Raises SpecError: one line per broken rule, with value and place."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"a study file must be readable, but {path} is not: {error.strerror}{_hint(path, error)}"
        ) from None
    except UnicodeDecodeError:
        raise SpecError(f"a study file must be UTF-8 text, but {path} is not") from None
    return parse_spec(text, path)


def _hint(path: Path, error: OSError) -> str:
    """What may have been meant by a file that cannot be read."""
    near = near_study_file(path) if isinstance(error, FileNotFoundError) else None
    if not path.suffix:
        return f"; a study's name is not enough, give its file, such as {near or 'examples/demo.yaml'}"
    return f"; did you mean {near}?" if near else ""


def parse_spec(text: str, path: Path) -> StudySpec:
    """Read a study file's text; relative corpus paths start beside `path`."""
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "unknown line"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise SpecError(f"a study file must be YAML, but {problem} ({path}, {line})") from None
    if not isinstance(plain, dict):
        raise SpecError(f"a study file must hold keys and values, but got {shown(plain)} ({path})")
    try:
        spec = StudySpec.model_validate(plain)
    except ValidationError as error:
        raise SpecError(
            "\n".join(f"{line} in {path})" for line in error_lines(error.errors(), json_schema()))
        ) from None
    for place, value in booleans(plain, spec.model_dump(mode="json")):
        raise SpecError(f"value must be a number, but got {value} ({place} in {path})")
    spec._origin = Origin(path, text)
    return with_files(_with_absolute_paths(spec, path), path)


def with_overrides(spec: StudySpec, trials: int | None = None, count: int | None = None) -> StudySpec:
    """The spec with a command's own numbers. Raises SpecError as for a study file."""
    if trials is not None and trials < 1:
        raise SpecError(f"trials must be at least 1, but got {trials} (--trials)")
    if count is not None and count < 1:
        raise SpecError(f"workers must be at least 1, but got {count} (--workers)")
    search = spec.search if trials is None else spec.search.model_copy(update={"trials": trials})
    workers = spec.workers if count is None else spec.workers.model_copy(update={"count": count})
    return spec.model_copy(update={"search": search, "workers": workers})


def json_schema() -> dict[str, Any]:
    """The study file's JSON schema, for editors and `wordlength schema`."""
    return StudySpec.model_json_schema()


def _with_absolute_paths(spec: StudySpec, path: Path) -> StudySpec:
    override = os.environ.get(DATA_ROOT_VARIABLE)
    root = expanded(override) if override else path.parent / expanded(spec.data_root)

    def absolute(corpora: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            corpus
            if corpus.path is None
            else dataclasses.replace(corpus, path=Path(os.path.abspath(root / expanded(corpus.path))))
            for corpus in corpora
        )

    corpora: dict[str, Any] = {role: absolute(getattr(spec.data, role)) for role in CORPUS_ROLES}
    data = dataclasses.replace(spec.data, **corpora)
    addresses = {name: _beside(path, getattr(spec.storage, name)) for name in ("optuna", "tracking")}
    storage = spec.storage.model_copy(update=addresses)
    objectives = tuple(objective.with_source(path.parent) for objective in spec.objectives)
    update = {"data": data, "data_root": Path(os.path.abspath(root)), "storage": storage, "objectives": objectives}
    return spec.model_copy(update=update)


def _beside(path: Path, address: str | None) -> str | None:
    """A relative SQLite file lies beside the study file, wherever the command is run."""
    start = "sqlite:///"
    if address is None or not address.startswith(start) or address.removeprefix(start).startswith(("/", ":")):
        return address
    return start + os.path.abspath(path.parent / address.removeprefix(start))
