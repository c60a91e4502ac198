"""Where a project keeps its studies: one folder, `.wordlength` unless WORDLENGTH_HOME says otherwise."""

from __future__ import annotations

import enum
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport
from wordlength.paths import expanded
from wordlength.search.near import near_name, near_study_file
from wordlength.search.study_file.spec import StudySpec, load_spec

HOME_VARIABLE = "WORDLENGTH_HOME"
STUDY_FILE = "study.yaml"
LOCK = "lock"
"""The file that a study's launches hold; locks of a narrower purpose end in .lock."""
CLEANING = "clean.lock"
"""The file of the project's folder that is held while things are removed, or a study is packed."""


@dataclass(frozen=True)
class Home:
    """Paths and addresses below the project folder. Nothing is created before it is needed."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """WORDLENGTH_HOME, or `.wordlength` in the working directory."""
        return cls(expanded(os.environ.get(HOME_VARIABLE) or ".wordlength").absolute())

    @property
    def cache(self) -> Path:
        """Prepared data, rendered speech and float baselines; may be deleted at any time."""
        return self.root / "cache"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "artifacts"

    @property
    def optuna_file(self) -> Path:
        """The project's own storage of trials."""
        return self.root / "optuna.db"

    @property
    def mlflow_file(self) -> Path:
        """The project's own MLflow database."""
        return self.root / "mlflow.db"

    def optuna_address(self, spec: StudySpec | None = None) -> str:
        """SQLAlchemy address of the trials."""
        return (spec and spec.storage.optuna) or f"sqlite:///{self.optuna_file}"

    def tracking_address(self, spec: StudySpec | None = None) -> str:
        """MLflow's tracking address."""
        return (spec and spec.storage.tracking) or f"sqlite:///{self.mlflow_file}"

    def artifact_root(self, spec: StudySpec) -> Path | None:
        """Where MLflow's artifacts go: None where a tracking server decides."""
        return None if is_server(self.tracking_address(spec)) else self.artifacts

    def artifact_folder(self, study: str) -> Path:
        """The folder of a study's artifacts, where MLflow's store is a database."""
        return self.artifacts / artifact_folder_name(study)

    def study(self, name: str) -> StudyFolder:
        """The folder of one study."""
        return StudyFolder(self.root / "studies" / name)

    def names(self) -> list[str]:
        """Studies launched here."""
        return sorted(path.parent.name for path in (self.root / "studies").glob(f"*/{STUDY_FILE}"))

    def newest_first(self) -> list[str]:
        """Studies launched here, the one launched last first."""
        return sorted(self.names(), key=lambda name: -self.study(name).study_file.stat().st_mtime_ns)

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """Remove or pack alone: whoever begins to work on a study of this folder meanwhile waits (`not_cleaned`)."""
        with (self.root / CLEANING).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def serving(self, address: str) -> Iterator[None]:
        """While the block runs, `served_at` tells launches that MLflow's UI on this folder's store answers there."""
        with self._ui.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # Another one is told already.
                yield
                return
            handle.truncate(0)
            handle.write(address)
            handle.flush()
            yield

    def served_at(self) -> str | None:
        """Address of a UI that runs now on this machine, None if there is none."""
        return self._ui.read_text(encoding="utf-8") if is_locked(self._ui) else None

    @property
    def _ui(self) -> Path:
        return self.root / "ui.address"

    def find(self, study: str) -> StudySpec:
        """The spec of a launched study, by its name or by a study file. Raises SpecError."""
        if study in self.names():
            return self.study(study).spec()
        if Path(study).suffix in (".yaml", ".yml"):
            name = load_spec(Path(study)).name
            if name in self.names():
                return self.study(name).spec()
            raise SpecError(f"a study must have been launched, but {name!r} has not; run: wordlength launch {study}")
        file = near_study_file(Path(study))
        near = near_name(study, self.names()) or file
        hint = f" (did you mean {near}?)" if near and self.names() else ""
        known = ", ".join(self.names()) or f"none yet, begin with wordlength launch {file or 'STUDY_FILE'}"
        raise SpecError(
            f"a study must have been launched, but got {study!r}{hint}; launched here: {known} "
            f"({self.root}; --home or {HOME_VARIABLE} for another folder)"
        )

    def file_of(self, study: Path) -> Path:
        """The study file that was launched under this name; what is none is taken for a file itself."""
        name = str(study)
        return self.study(name).study_file if name in self.names() and not study.exists() else study


class Turn(enum.Enum):
    """What one launch of a study does at a time."""

    RECORD = "record"
    """Tell MLflow what any launch may tell it: of the study, of trials whose launch has died."""
    TAKE = "take"
    """Take a trial that waits, or queue again what a dead launch left running."""


@dataclass(frozen=True)
class StudyFolder:
    """What is kept of one study beside Optuna's and MLflow's stores."""

    path: Path

    @property
    def study_file(self) -> Path:
        """The study file as launched last, corpus paths absolute."""
        return self.path / STUDY_FILE

    @property
    def identity(self) -> Path:
        """What tells the study from others of its name, as its storage says it too."""
        return self.path / "study.id"

    @contextmanager
    def one_at_a_time(self, turn: Turn) -> Iterator[None]:
        """Of several launches of this study, let one at a time do what the block does."""
        with self._turn(turn).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def spec(self) -> StudySpec:
        """The spec as launched last. Raises SpecError."""
        return load_spec(self.study_file)

    def report(self, number: int) -> Path:
        """JSON report of one trial."""
        return self.path / "reports" / f"{number:06d}.json"

    def read_report(self, number: int) -> TrialReport | None:
        """The report, if it is there and whole."""
        try:
            return TrialReport.from_json(self.report(number).read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            return None

    def weights(self, number: int) -> Path:
        """Trained float weights of one front member."""
        return self.path / "weights" / f"{number:06d}.npz"

    @property
    def screening(self) -> Path:
        """Candidates that were judged on the lower rungs, one JSON object a line."""
        return self.path / "screening.jsonl"

    def shared_weights(self, passes: int) -> Path:
        """Weights that were trained for all formats, in so many passes."""
        return self.path / f"shared_weights_{passes}.npz"

    def retrained(self, number: int) -> Path:
        """What retraining one trial on the full data set gave, as JSON; its float weights lie beside it as .npz."""
        return self.path / "retrained" / f"{number:06d}.json"

    @contextmanager
    def locked(self, shared: bool = False) -> Iterator[None]:
        """One launch at a time, or several that are `shared`; begins when nothing is being removed any more.

        Raises SpecError if another launch is in the way.
        """
        with self.held(shared):
            self.not_cleaned()
            yield

    def not_cleaned(self) -> None:
        """Wait while things are removed or packed.

        Who shows first that it uses the study, and waits then, loses nothing: what goes is chosen anew under that lock.
        """
        try:
            handle = (self.path.parents[1] / CLEANING).open()
        except OSError:  # Nothing has ever been removed here, or nothing can be.
            return
        with handle:
            fcntl.flock(handle, fcntl.LOCK_SH)

    @contextmanager
    def held(self, shared: bool = False) -> Iterator[None]:
        """As `locked`, for who removes the study."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as handle:
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except OSError:
                raise SpecError(
                    f"a study with its trials in a file runs once at a time, but {self.path.name!r} is being run "
                    "already; several launches at a time need PostgreSQL (storage.optuna)"
                ) from None
            try:
                yield
            finally:
                if not self.study_file.exists():  # Refused before it began: leave nothing behind.
                    self._lock.unlink(missing_ok=True)
                    for turn in Turn:
                        self._turn(turn).unlink(missing_ok=True)
                    self.leave_if_removed()

    def leave_if_removed(self) -> None:
        """Remove the folder, and those around it, where nothing is left: what lies there otherwise is somebody's."""
        with suppress(OSError):
            for folder in (self.path, *self.path.parents[:2]):
                folder.rmdir()

    def is_live(self) -> bool:
        """Whether a launch of this study runs now, on this machine."""
        return is_locked(self._lock)

    @property
    def _lock(self) -> Path:
        return self.path / LOCK

    def _turn(self, turn: Turn) -> Path:
        return self.path / f"{turn.value}.lock"


def artifact_folder_name(study: str) -> str:
    """What the folder of an experiment's artifacts is called."""
    return re.sub(r"[^\w-]+", "_", study)


def is_server(tracking_uri: str) -> bool:
    """Whether this is a tracking server's address, and not a file's."""
    return tracking_uri.startswith(("http://", "https://"))


def without_login(address: str) -> str:
    """A server's address without user and password, nor a slash at its end."""
    return without_logins(address).rstrip("/")


def without_logins(text: str) -> str:
    """A text whose addresses name neither users nor passwords."""
    return re.sub(r"(https?://)[^/@\s]*@", r"\1", text)


def is_sqlite(address: str) -> bool:
    """Whether a store is an SQLite file, which one launch at a time can use."""
    return address.startswith("sqlite")


def is_lock(path: Path) -> bool:
    """Whether a file of a study's folder is one of its locks."""
    return path.name == LOCK or path.suffix == ".lock"


def is_locked(path: Path) -> bool:
    """Whether some process holds this file's lock, alone or with others."""
    # Network file systems lock no file alone that is open for reading only; of another user's there is no other way.
    mode, lock = ("r+", fcntl.LOCK_EX) if os.access(path, os.W_OK) else ("r", fcntl.LOCK_SH)
    try:
        handle = path.open(mode)
    except FileNotFoundError:
        return False
    with handle:
        try:
            fcntl.flock(handle, lock | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
