"""A study from its archive, in another project or on another machine, under its name or a new one.

Nothing is written before the whole archive is known to be good. The study file comes last, as in a launch: until then
no command knows the study. Whatever ends a restore before, the same command begins it anew.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wordlength.atomic import write_atomically
from wordlength.errors import ArchiveError, SpecError, WordlengthError
from wordlength.objectives.baseline import baseline_path, load_baseline
from wordlength.paths import expanded
from wordlength.search.disk.archive import BASELINES, RUNS, STUDY, TRIALS, own_files
from wordlength.search.disk.archive_file import Manifest, require_file, unpack
from wordlength.search.disk.begun import begin, end, undo
from wordlength.search.home import STUDY_FILE, Home, StudyFolder
from wordlength.search.storage import put_in, stored_studies
from wordlength.search.study_file.spec import CORPUS_ROLES, DATA_ROOT_VARIABLE, StudySpec, parse_spec
from wordlength.search.tracking import has_experiment, publish_views, put_in_runs


@dataclass(frozen=True)
class Places:
    """Where a restored study is to be kept; the project's own SQLite files where nothing is said.

    `data_root`: the folder that its corpora lie in; None: WORDLENGTH_DATA, or unknown yet.
    """

    optuna: str | None = None
    tracking: str | None = None
    data_root: Path | None = None


def restore(file: Path, home: Home, name: str | None = None, places: Places | None = None) -> StudySpec:
    """Restore an archive under its study's name, or another one; its spec as restored.

    Raises ArchiveError for a file that is not whole or not what it says, SpecError for a name that is taken.
    """
    require_file(file)  # Before a folder is made for it.
    home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home.root) as draft:
        manifest = unpack(file, Path(draft))
        text = _study_file(file, Path(draft), manifest, name, places or Places())
        spec = _spec(text, file, Path(draft) / STUDY / STUDY_FILE)
        _require_free(spec.name, home)
        _require_baseline(Path(draft), home, spec.name)
        folder = home.study(spec.name)
        with folder.locked():
            _begin(spec, home, folder)
            with _undone(home, folder), _readable(file):
                _put_in(spec, home, Path(draft), str(manifest.about["study"]))
                _move(Path(draft), home, folder)
                write_atomically(folder.study_file, text.encode(), private=True)
        end(folder)
    publish_views(home.tracking_address(spec), spec.name)
    return folder.spec()


def corpus_paths(spec: StudySpec) -> list[Path]:
    """Where the study's corpora are looked for."""
    corpora = (corpus for role in CORPUS_ROLES for corpus in getattr(spec.data, role))
    return list(dict.fromkeys(corpus.path for corpus in corpora if corpus.path is not None))


def _study_file(file: Path, draft: Path, manifest: Manifest, name: str | None, places: Places) -> str:
    """The archived study file with this machine's places."""
    if missing := [member for member in (f"{STUDY}/{STUDY_FILE}", TRIALS) if member not in manifest.members]:
        raise ArchiveError(f"an archive must hold a study, but {missing[0]} is missing ({file})")
    try:
        plain = yaml.safe_load((draft / STUDY / STUDY_FILE).read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict) or not isinstance(plain.get("storage", {}), dict):
        raise ArchiveError(f"an archive's study file must hold keys and values, but that of {file} does not")
    if name is not None:
        plain["name"] = name
    addresses = {"optuna": _absolute(places.optuna), "tracking": _absolute(places.tracking)}
    plain["storage"] = {**plain.get("storage", {}), **{key: value for key, value in addresses.items() if value}}
    root = places.data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if root:
        plain["data_root"] = str(expanded(root).absolute())
    return yaml.safe_dump(plain, sort_keys=False)


def _spec(text: str, file: Path, unpacked: Path) -> StudySpec:
    """The study file read where it was unpacked, with its network beside it; a refusal names the archive."""
    try:
        return parse_spec(text, unpacked)
    except SpecError as error:
        raise SpecError(str(error).replace(str(unpacked), f"{STUDY_FILE} of {file}")) from None


def _absolute(address: str | None) -> str | None:
    """A relative SQLite file lies in the working directory."""
    start = "sqlite:///"
    if address is None or not address.startswith(start):
        return address
    return start + os.path.abspath(address.removeprefix(start))


def _require_free(name: str, home: Home) -> None:
    if name in home.names():
        raise SpecError(
            f"a restored study's name must be free, but {name!r} is launched in {home.root}; "
            "choose another with --as NAME"
        )


def _require_baseline(draft: Path, home: Home, name: str) -> None:
    """Refuse where the cache has another float baseline of the same settings: its studies need that one."""
    for archived in (draft / BASELINES).glob("*.npz"):
        ours, theirs = load_baseline(baseline_path(home.cache, archived.stem)), load_baseline(archived)
        if ours is not None and (theirs is None or ours.content_digest != theirs.content_digest):
            raise SpecError(
                f"a project has one float baseline for the same settings, but {home.root} has another one than the "
                f"archive of {name!r}, trained elsewhere; restore it into a folder of its own (--home)"
            )


def _begin(spec: StudySpec, home: Home, folder: StudyFolder) -> None:
    """Both stores without anything of this name: what a restore that was cut off has put anywhere is removed."""
    _require_free(spec.name, home)  # Now that it stays so.
    undo(folder, home)
    optuna, tracking = home.optuna_address(spec), home.tracking_address(spec)
    for taken, where, ours in (
        (spec.name in stored_studies(optuna), "the trials' storage", optuna == home.optuna_address()),
        (has_experiment(tracking, spec.name), "MLflow, or its trash,", tracking == home.tracking_address()),
    ):
        if taken:
            hint = ", or remove what no study has: wordlength clean --orphans" if ours else ""
            raise SpecError(
                f"a restored study's name must be free, but {where} has {spec.name!r} already; "
                f"choose another with --as NAME{hint}"
            )
    begin(spec, home)


@contextmanager
def _undone(home: Home, folder: StudyFolder) -> Iterator[None]:
    """Where the block fails, leave nothing behind."""
    try:
        yield
    except BaseException:
        undo(folder, home)
        raise


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Tell in one line that trials or runs are not what this version writes."""
    try:
        yield
    except WordlengthError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"an archive's trials and runs must be readable, but {file}: {error!r}") from None


def _put_in(spec: StudySpec, home: Home, draft: Path, archived_name: str) -> None:
    trials: dict[str, Any] = json.loads((draft / TRIALS).read_text(encoding="utf-8"))
    put_in(home.optuna_address(spec), spec.name, trials)
    if (draft / RUNS).is_dir():
        runs = home.tracking_address(spec), home.artifact_root(spec), spec.name
        put_in_runs(*runs, draft / RUNS, archived_name)


def _move(draft: Path, home: Home, folder: StudyFolder) -> None:
    """The study's files and the baseline, each in one step; the study file comes later."""
    moves = {folder.path / name: path for name, path in own_files(draft / STUDY).items()}
    for archived in (draft / BASELINES).glob("*.npz"):
        place = baseline_path(home.cache, archived.stem)
        if load_baseline(place) is None:
            moves[place] = archived
    # The study's identity last: with it, a launch would take the study for its own.
    for place, path in sorted(moves.items(), key=lambda move: move[0] == folder.identity):
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)
