"""A whole launch handed to a Ray cluster as a job: driver, workers and study file run there, with this package's code.

A network of the user's own goes along: the text of its file inside the study file, a .keras file beside it.
The job carries the package's own sources, so that whatever version the cluster has installed, driver and workers are of
one; everything else comes from what is installed there.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

import wordlength
from wordlength.atomic import write_atomically
from wordlength.errors import SpecError, WorkerError, first_line
from wordlength.objectives.models import UserModel
from wordlength.objectives.user_function import imported_beside
from wordlength.search.home import HOME_VARIABLE
from wordlength.search.study_file.model import with_files_beside
from wordlength.search.study_file.spec import DATA_ROOT_VARIABLE, StudySpec

STUDY = "wordlength.study"
"""The key of a job's metadata that names its study."""
STOP_SECONDS = 60
"""How long a launch that is stopped has to tell its trials; Ray's own 3 are too few."""
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Loggers that tell of every package that is sent."""
_FILE = "study.yaml"


@dataclass(frozen=True)
class ClusterJob:
    """A launch on a cluster. `state`: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""

    id: str
    state: str
    message: str = ""

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.state not in ("PENDING", "RUNNING")


class ClusterJobs:
    """The launches of studies on one cluster. `address`: its dashboard's, as http://head:8265.

    All of it raises WorkerError if the cluster does not answer, or refuses.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        with self._answering():
            from ray.job_submission import JobSubmissionClient

            for name in _TALKATIVE:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = JobSubmissionClient(address)

    def submit(
        self, spec: StudySpec, options: tuple[str, ...] = (), places: Mapping[str, str] | None = None
    ) -> ClusterJob:
        """Launch a study there. `options`: of `wordlength launch`; `places`: environment variables of the job.

        Raises SpecError if the study was not read from a file, or runs there already.
        """
        _require_reachable(spec)
        before = self._of(spec.name)
        if before and not before[-1].ended:
            raise SpecError(f"a study is submitted once at a time, but {before[-1].id} is {before[-1].state}")
        name = f"wordlength-{spec.name}-{len(before) + 1}"
        command = " ".join(["python -m wordlength launch", _FILE, "--ray-address auto --no-ui", *options])
        with tempfile.TemporaryDirectory() as folder:
            write_study(spec, Path(folder))
            _write_objectives(spec, Path(folder))
            package = Path(folder) / "package" / "wordlength"
            shutil.copytree(Path(wordlength.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
            environment = {
                "working_dir": folder,
                "excludes": ["package"],
                "py_modules": [str(package)],
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **(places or {})},
            }
            with self._answering():
                self._client.submit_job(
                    entrypoint=command, submission_id=name, runtime_env=environment, metadata={STUDY: spec.name}
                )
        return self.newest(spec.name)

    def newest(self, study: str) -> ClusterJob:
        """The study's last launch there. Raises SpecError if there is none."""
        jobs = self._of(study)
        if not jobs:
            raise SpecError(f"a study must have been submitted, but {study!r} was not, to {self._address}")
        return jobs[-1]

    def logs(self, study: str) -> str:
        """What the study's last launch has printed."""
        newest = self.newest(study)
        with self._answering():
            return str(self._client.get_job_logs(newest.id))

    def stop(self, study: str) -> ClusterJob:
        """Ask the study's last launch to stop; its running trials are queued again."""
        newest = self.newest(study)
        with self._answering():
            self._client.stop_job(newest.id)
        return self.newest(study)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from ray.exceptions import RayError

        try:
            yield
        except (RayError, RuntimeError, ValueError, OSError) as error:  # The last is what requests raises, too.
            raise WorkerError(f"a cluster must answer, but {self._address} does not: {first_line(error)}") from None

    def _of(self, study: str) -> list[ClusterJob]:
        """In the order in which they were submitted."""
        with self._answering():
            return sorted(self._all(study), key=lambda job: int(job.id.rpartition("-")[2]))

    def _all(self, study: str) -> Iterator[ClusterJob]:
        for details in self._client.list_jobs():
            if details.submission_id and (details.metadata or {}).get(STUDY) == study:
                yield ClusterJob(details.submission_id, str(details.status.value), details.message or "")


def write_study(spec: StudySpec, folder: Path) -> None:
    """The study file as the job reads it: to the letter, unless its network is in a file, which then goes along."""
    text = spec.origin.text
    plain = yaml.safe_load(text)
    own, files = with_files_beside(plain, spec)
    for name, content in files.items():
        write_atomically(folder / name, content)
    if own != plain:
        text = yaml.safe_dump(own, sort_keys=False)
    (folder / _FILE).write_text(text, encoding="utf-8")


def _write_objectives(spec: StudySpec, folder: Path) -> None:
    """The study's own objectives, where its file looks for them. Raises SpecError for one that lies elsewhere."""
    for objective in spec.objectives:
        if objective.is_own:
            path = Path(objective.name.rpartition(":")[0])
            if path.is_absolute() or ".." in path.parts:
                raise SpecError(
                    f"a submitted study's objectives must lie beside its file or below, but got {objective.name!r}"
                )
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(objective.source, encoding="utf-8")


def _require_reachable(spec: StudySpec) -> None:
    """Refuse what would lie in the job's own folder there, which is lost when it ends, and what would be missing."""
    if not spec.origin.text:
        raise SpecError(f"a study must come from a file to be submitted, but {spec.name!r} does not")
    for name, address in (yaml.safe_load(spec.origin.text).get("storage") or {}).items():
        if isinstance(address, str) and address.startswith("sqlite:///") and not address.startswith("sqlite:////"):
            raise SpecError(
                f"a submitted study's storage must be a server or a file with its whole path, but got {address!r} "
                f"(storage.{name})"
            )
    if isinstance(spec.model, UserModel) and (lost := imported_beside(spec.model.source, spec.model.file)):
        raise SpecError(
            f"a submitted study's network must stand in one file, but {spec.model.file} imports {lost[0]} beside it; "
            "write both into one (model)"
        )


def places(home: str | None, data: str | None) -> dict[str, str]:
    """Environment variables that name the cluster's own folders."""
    named = {HOME_VARIABLE: home, DATA_ROOT_VARIABLE: data}
    return {name: value for name, value in named.items() if value is not None}
