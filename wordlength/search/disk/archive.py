"""A study as one file: all that it is, and nothing that ties it to this machine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wordlength.errors import SpecError
from wordlength.objectives.baseline import baseline_path
from wordlength.search.disk.archive_file import Manifest, pack
from wordlength.search.disk.begun import BEGUN
from wordlength.search.drivers import user_of
from wordlength.search.home import STUDY_FILE, Home, StudyFolder, Turn, is_lock
from wordlength.search.storage import take_out
from wordlength.search.study_file.spec import CORPUS_ROLES
from wordlength.search.tracking import take_out_runs
from wordlength.version import VERSION

TRIALS = "trials.json"
STUDY, RUNS, BASELINES = "study", "mlflow", "baselines"
"""Folders of an archive: the study's own, MLflow's experiment, float baselines."""


@dataclass(frozen=True)
class Archived:
    """What was written. `missing`: in words, what belongs to the study and was not there."""

    file: Path
    manifest: Manifest
    missing: tuple[str, ...]


def archive(study: str, home: Home, to: Path) -> Archived:
    """Write a launched study that does not run into one file. Raises SpecError.

    Corpora and prepared data are not in it: they are made again, or found, where it is restored.
    """
    spec = home.find(study)
    folder = home.study(spec.name)
    with (
        home.cleaning(),  # Nobody begins to work on it meanwhile.
        _at_rest(folder),
        folder.one_at_a_time(Turn.RECORD),
        tempfile.TemporaryDirectory(prefix=".archive-", dir=to.absolute().parent) as draft,
    ):
        trials = take_out(home.optuna_address(spec), spec.name)
        known = take_out_runs(home.tracking_address(spec), spec.name, Path(draft) / RUNS)
        _write_json(Path(draft) / TRIALS, trials)
        (Path(draft) / STUDY).mkdir()
        (Path(draft) / STUDY / STUDY_FILE).write_text(portable(folder.study_file), encoding="utf-8")
        files = _below(Path(draft)) | {f"{STUDY}/{name}": path for name, path in own_files(folder.path).items()}
        digest = trials["user_attrs"].get("baseline_digest", "")
        baseline = baseline_path(home.cache, digest)
        if baseline.exists():
            files[f"{BASELINES}/{baseline.name}"] = baseline
        about = {"wordlength": VERSION, "study": spec.name, "id": trials["user_attrs"].get("id", "")}
        packed = pack(to, about | _counts(trials["trials"]), files)
        return Archived(to, packed, tuple(_missing(known, baseline.exists())))


def _counts(trials: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Trials that were begun, and candidates that wait."""
    queued = sum(trial["state"] == "WAITING" for trial in trials)
    return {"trials": len(trials) - queued, "queued": queued}


def _missing(in_mlflow: bool, has_baseline: bool) -> Iterator[str]:
    if not in_mlflow:
        yield "MLflow has nothing of it; after restoring: wordlength check --repair"
    if not has_baseline:
        yield "its float baseline is not in the cache; another one would be trained, and refused"


@contextmanager
def _at_rest(folder: StudyFolder) -> Iterator[None]:
    """Raise SpecError if somebody works on the study."""
    if busy := user_of(folder):
        raise SpecError(f"a study is archived at rest, but {folder.path.name!r} is {busy}; let that end first")
    with folder.held():
        yield


def portable(file: Path) -> str:
    """The study file's text without storage addresses, which may hold a login, and with corpora below the data root.

    A corpus elsewhere keeps its place as seen from there.
    """
    plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    root = plain.pop("data_root", file.parent)
    for role in CORPUS_ROLES:
        for corpus in plain["data"].get(role) or ():
            # A study that was restored and not launched since has them as they were in its archive.
            if corpus.get("path") is not None and os.path.isabs(corpus["path"]):
                corpus["path"] = os.path.relpath(corpus["path"], root)
    plain["storage"] = {"patience_minutes": plain["storage"]["patience_minutes"]}
    return yaml.safe_dump(plain, sort_keys=False)


def own_files(folder: Path) -> dict[str, Path]:
    """What a study's folder holds beside the study file: neither locks, nor what a killed process left half."""
    found = {name: path for name, path in _below(folder).items() if name not in (STUDY_FILE, BEGUN)}
    return {name: path for name, path in found.items() if not is_lock(path) and path.suffix != ".tmp"}


def _below(folder: Path) -> dict[str, Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _write_json(path: Path, plain: Mapping[str, Any]) -> None:
    # Not by name: a candidate's slots are in the network's order, and exports need it.
    path.write_text(json.dumps(plain, indent=0) + "\n", encoding="utf-8")
