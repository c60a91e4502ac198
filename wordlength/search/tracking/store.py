"""MLflow's client with what a study needs of it: batches within its limits, names it takes, artifacts in and out.

The fluent API keeps an active run per process, so only the client is used.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

# MLflow reads these when imported or called: nothing about a user's studies leaves the machine unasked, and a run on a
# server is not announced on standard output.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Who delivers to it tries again by himself, and wants to know soon.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

from mlflow import MlflowClient, MlflowException
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from requests import RequestException
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from wordlength.errors import SpecError, first_line
from wordlength.search.home import artifact_folder_name, is_server, is_sqlite, without_login, without_logins
from wordlength.search.logins import without_login_of

PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
GAP = "&ensp;"
"""For tables in notes, which MLflow draws without any space between columns."""

REFUSALS = (MlflowException, OSError, SQLAlchemyError)
"""What MLflow, its database and its artifact store raise."""

SERVER_SECONDS = 10
"""How long a server or database may take to answer at first."""

_BATCH_ENTITIES = 1000
_BATCH_PAIRS = 100
_PAGE = 200


@contextmanager
def answering(study: str) -> Iterator[None]:
    """Raise SpecError for whatever MLflow, its database or its artifact store raises in the block."""
    try:
        yield
    except REFUSALS as error:
        raise SpecError(f"MLflow must keep {study!r}, but it does not: {reason_of(error)} (storage.tracking)") from None


def check_server(tracking_uri: str) -> None:
    """Raise SpecError if a server or database does not answer soon, or what should be SQLite's file is no file.

    MLflow's own client would try for minutes.
    """
    if not is_server(tracking_uri):
        _check_file(tracking_uri) if is_sqlite(tracking_uri) else _check_database(tracking_uri)
        return
    try:
        urllib.request.urlopen(without_login(tracking_uri) + "/health", timeout=SERVER_SECONDS).close()
    except urllib.error.HTTPError:
        return  # It answers: who may use it is a matter for the first real call.
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {SERVER_SECONDS} s"
        raise SpecError(f"MLflow's tracking server must answer, but it does not: {reason} (storage.tracking)") from None


def _check_database(tracking_uri: str) -> None:
    """Connect once, where the driver knows this way to give up; what else is wrong with it, the first call meets."""
    try:
        if make_url(tracking_uri).get_backend_name() not in ("postgresql", "mysql"):
            return
        patience = {"connect_timeout": SERVER_SECONDS}
        create_engine(tracking_uri, connect_args=patience, poolclass=NullPool).connect().close()
    except DBAPIError as error:
        reason = without_login_of(tracking_uri, reason_of(error))
        raise SpecError(
            f"MLflow's database must answer within {SERVER_SECONDS} s, but it does not: {reason} (storage.tracking)"
        ) from None
    except (SQLAlchemyError, ImportError, ValueError):  # No address, or a driver that is not installed.
        return


def _check_file(tracking_uri: str) -> None:
    name = make_url(tracking_uri).database
    if not name or name == ":memory:":
        return
    file = Path(os.path.realpath(name))
    # Its content stays unread: to close an SQLite file takes the locks of this process from all its connections.
    if not file.is_file() and (file.exists() or (Path(name).is_symlink() and not file.parent.is_dir())):
        raise SpecError(
            f"MLflow's store must be an SQLite file, but {name} is not; once it is moved away, "
            "wordlength check STUDY --repair records each study anew (storage.tracking)"
        )


@contextmanager
def opening(tracking_uri: str) -> Iterator[None]:
    """Raise SpecError for whatever MLflow or its database raises in the block, which reads a whole store."""
    check_server(tracking_uri)
    try:
        yield
    except (*REFUSALS, ImportError) as error:
        raise _closed(error, tracking_uri) from None


def count_experiments(tracking_uri: str) -> int:
    """Experiments that the store or server has. Raises SpecError if it does not open, or answer."""
    with opening(tracking_uri), _quiet_migrations():
        return len(MlflowClient(tracking_uri=tracking_uri).search_experiments())


class Store:
    """One experiment of an MLflow store; `experiment_id` is its number as text.

    `tracking_uri`: `sqlite:///…` or `http(s)://…`; `artifact_root`: folder for the artifacts of a new experiment
    (None: what the server prefers). Raises SpecError if the store does not open or the experiment lies in its trash.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None, experiment: str) -> None:
        self._address = tracking_uri
        self._places: dict[str, str] = {}
        try:
            with _quiet_migrations():
                _log_ahead(tracking_uri)
                self.client = MlflowClient(tracking_uri=tracking_uri)
                self.experiment_id = self._open(artifact_root, experiment)
        except (MlflowException, ImportError) as error:
            raise _closed(error, tracking_uri) from None

    @classmethod
    def existing(cls, tracking_uri: str, experiment: str) -> Store | None:
        """The store, if it has this experiment; nothing is created."""
        found = cls.look(tracking_uri).get_experiment_by_name(experiment)
        return None if found is None or found.lifecycle_stage != "active" else cls(tracking_uri, None, experiment)

    @staticmethod
    def look(tracking_uri: str) -> MlflowClient:
        """A client of the whole store."""
        with _quiet_migrations():
            client = MlflowClient(tracking_uri=tracking_uri)
            client.search_experiments(max_results=1)  # The first call brings the tables of a new database.
            return client

    def _open(self, artifact_root: Path | None, experiment: str) -> str:
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            folder = artifact_folder_name(experiment)
            location = None if artifact_root is None else (artifact_root.resolve() / folder).as_uri()
            return str(self.client.create_experiment(experiment, artifact_location=location))
        if found.lifecycle_stage != "active":
            command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
            raise SpecError(f"a study's experiment must be active, but {experiment!r} was deleted (undo: {command})")
        return str(found.experiment_id)

    def create_run(self, name: str, tags: Mapping[str, str], start_ms: int | None = None) -> Run:
        """Begin a run; its values are cut to the length of a tag."""
        short = {name: cut(value, TAG_CHARACTERS) for name, value in tags.items()}
        run = self.client.create_run(self.experiment_id, start_time=start_ms, tags=short, run_name=name)
        self._places[run.info.run_id] = run.info.artifact_uri
        return run

    def runs(self, query: str, deleted: bool = False) -> Iterator[Run]:
        """All active runs that match, page by page; with `deleted` those in MLflow's trash as well."""
        kind, token = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY, None
        while True:
            page = self.client.search_runs([self.experiment_id], query, kind, _PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """In as few calls as MLflow's limits per call allow: 100 params, 100 tags, 1,000 of everything."""
        pairs = [Param(name, cut(value, PARAM_CHARACTERS)) for name, value in (params or {}).items()]
        marks = [RunTag(name, cut(value, TAG_CHARACTERS)) for name, value in (tags or {}).items()]
        while metrics or pairs or marks:
            room = _BATCH_ENTITIES - len(pairs[:_BATCH_PAIRS]) - len(marks[:_BATCH_PAIRS])
            self.client.log_batch(run_id, metrics[:room], pairs[:_BATCH_PAIRS], marks[:_BATCH_PAIRS])
            metrics, pairs, marks = metrics[room:], pairs[_BATCH_PAIRS:], marks[_BATCH_PAIRS:]

    def upload(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write artifacts, name → content; what had these names is replaced."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._artifacts(run_id).log_artifacts(folder)

    def upload_folder(self, run_id: str, folder: Path, place: str | None = None) -> None:
        """Log all files of a folder as artifacts, below `place` if given."""
        self._artifacts(run_id).log_artifacts(str(folder), place)

    def download(self, run_id: str, to: Path) -> None:
        """Copy all artifacts of a run into a folder, which is created if there are any."""
        artifacts = self._artifacts(run_id)
        if artifacts.list_artifacts():
            to.mkdir(parents=True)
            artifacts.download_artifacts("", str(to))

    def remove(self, run_id: str, name: str) -> None:
        """Delete one artifact; where the artifact store cannot delete, or has none, nothing happens."""
        with suppress(MlflowException, NotImplementedError, OSError):
            self._artifacts(run_id).delete_artifacts(name)

    def _artifacts(self, run_id: str) -> ArtifactRepository:
        """The run's artifact store. The client's own way reads the whole run each time, which takes long."""
        if run_id not in self._places:
            self._places[run_id] = self.client.get_run(run_id).info.artifact_uri
        return get_artifact_repository(self._places[run_id], tracking_uri=self._address)


def key(name: str) -> str:
    """`name` as MLflow allows it: every other character by its code point."""
    return re.sub(r"[^\w.\- :/]", lambda match: f"_x{ord(match[0]):x}_", name)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last one … where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason_of(error: BaseException) -> str:
    """What an error says, in one line; addresses in it lose their logins."""
    return without_logins(first_line(error))


def is_away(error: BaseException) -> bool:
    """Whether MLflow cannot be reached, or is too busy: another try may find it well."""
    match error:
        case MlflowException():
            return error.get_http_status_code() in (429, *range(500, 600))
        case RequestException():
            return error.response is None or error.response.status_code in (429, *range(500, 600))
        case ConnectionError() | TimeoutError() | SQLAlchemyError():
            return True
    return False


def now_ms() -> int:
    """MLflow's time stamps: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _log_ahead(tracking_uri: str) -> None:
    """Have an SQLite store write ahead: a trial is recorded in 15 % less time, and readers do not hold up the writer.

    The file remembers it. Where it cannot be, on some network file systems, everything stays as it was.
    """
    address = make_url(tracking_uri) if is_sqlite(tracking_uri) else None
    path = address and address.database
    if not path or path == ":memory:":
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=SERVER_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


@contextmanager
def unless_deleted() -> Iterator[None]:
    """A user may delete a run, or its tag, in the UI while the study goes on: then there is nothing to change."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST" and "must be in the 'active' state" not in str(error):
            raise


def _closed(error: Exception, tracking_uri: str) -> SpecError:
    """What is told of a store that does not open; without its address, which may hold a password."""
    reason = reason_of(error).replace(tracking_uri, tracking_uri.partition("://")[0] + "://…")
    return SpecError(f"MLflow's store must open, but it does not: {reason} (storage.tracking)")


@contextmanager
def _quiet_migrations() -> Iterator[None]:
    """The first use of a store runs all of MLflow's migrations, which report themselves one by one."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
