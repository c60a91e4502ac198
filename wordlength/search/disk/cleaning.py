"""Removing studies, caches and orphans, so that what is left agrees; cut off at any moment, it can be done again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from wordlength.errors import SpecError
from wordlength.search.disk.begun import undo
from wordlength.search.disk.contents import Disk, look
from wordlength.search.disk.item import Item, Kind
from wordlength.search.drivers import is_running
from wordlength.search.home import LOCK, STUDY_FILE, Home, StudyFolder
from wordlength.search.near import near_name
from wordlength.search.storage import remove_stored, stored_studies
from wordlength.search.tracking import kept_experiments, remove_experiment, remove_trashed_runs


@dataclass(frozen=True)
class Removal:
    """What was removed; `left`: in words, what could not be removed from here, or is in use now."""

    removed: tuple[Item, ...]
    left: tuple[str, ...]


def chosen(disk: Disk, studies: Sequence[str], caches: bool, all_caches: bool, orphans: bool) -> tuple[Item, ...]:
    """What was asked for, each once; of caches and orphans only what nobody may be using.

    Raises SpecError for a study that is not there, or is in use.
    """
    known = {item.name: item for item in disk.studies}
    for name in studies:
        if name not in known:
            there, near = ", ".join(known) or "none", near_name(name, known)
            hint = f" (did you mean {near}?)" if near else ""
            raise SpecError(f"a study to remove must be there, but got {name!r}{hint}; there are {there} (--study)")
        _require_at_rest(known[name])
    cached = disk.caches if all_caches else disk.unused(studies) if caches else ()
    found = (*(known[name] for name in dict.fromkeys(studies)), *cached, *(disk.orphans if orphans else ()))
    return tuple(item for item in found if not item.live)


def remove(items: Sequence[Item], home: Home) -> Removal:
    """Remove them one after another, but for what has come into use since they were chosen.

    Who begins to work meanwhile waits. Raises SpecError if a study has come into use, before anything is removed, or
    if a store does not answer.
    """
    with home.cleaning():
        now = look(home).items
        for item in items:
            if item.kind is Kind.STUDY and item.key in now:
                _require_at_rest(now[item.key])
        left = [text for item in items if item.key in now and (text := _in_use(item, now[item.key]))]
        there = [item for item in items if item.key in now and not _in_use(item, now[item.key])]
        left += [text for item in there if (text := _remove(item, home))]
        if not any(is_running(home.study(name)) for name in home.names()):
            for database in (home.optuna_file, home.mlflow_file):
                _shrink(database)
    return Removal(tuple(there), tuple(left))


def _in_use(then: Item, now: Item) -> str:
    """In words, what keeps something that was chosen; empty if nothing does."""
    users = [name for name in now.users if name not in then.users]
    busy = now.busy or (f"needed by {', '.join(users)}" if users else "")
    return f"{now.kind.value} {now.name}: {busy}" if busy else ""


def _remove(item: Item, home: Home) -> str:
    match item.kind:
        case Kind.STUDY:
            return _remove_study(home, item.name)
        case Kind.FOLDER:
            _remove_folder(home, item.name)
        case Kind.TRIALS:
            remove_stored(home.optuna_address(), item.name)
        case Kind.EXPERIMENT:
            return remove_experiment(home.tracking_address(), home.artifacts, item.name)
        case Kind.TRASH:
            return _empty_trash(home, item.name)
        case Kind.BASELINE | Kind.DATA | Kind.SPEECH | Kind.DRAFT | Kind.ARTIFACTS:
            for path in item.paths:
                _delete(path)
    return ""


def _remove_study(home: Home, name: str) -> str:
    """MLflow, storage, folder, the study file last: as long as that is there, the study is known and can be removed."""
    folder = home.study(name)
    with folder.held():
        spec = folder.spec()
        stored_studies(home.optuna_address(spec))  # Before anything is gone: it must open.
        artifacts = home.artifact_root(spec)
        left = remove_experiment(home.tracking_address(spec), artifacts, name)
        remove_stored(home.optuna_address(spec), name)
        _empty(folder)
        folder.study_file.unlink()
    return f"{name}: {left}" if left else ""


def _remove_folder(home: Home, name: str) -> None:
    """Without study: a launch that never began, or a restore that was cut off, with what that has put elsewhere."""
    folder = home.study(name)
    with folder.held():
        undo(folder, home)
        _empty(folder)


def _empty(folder: StudyFolder) -> None:
    """All but the study file, and the lock, which goes with it when it is let go."""
    for path in folder.path.iterdir():
        if path.name not in (STUDY_FILE, LOCK):
            _delete(path)


def _empty_trash(home: Home, name: str) -> str:
    address = home.tracking_address()
    one = next((one for one in kept_experiments(address, home.artifacts) if one.name == name), None)
    if one is None:
        return ""
    if one.trashed:
        return remove_experiment(address, home.artifacts, name)
    remove_trashed_runs(address, one)
    return ""


def _require_at_rest(study: Item) -> None:
    if study.live:
        raise SpecError(f"a study is removed at rest, but {study.name!r} is {study.busy}; let that end first (--study)")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _shrink(database: Path) -> None:
    """Give the file's free pages back, unless another process uses it: then they are used again later."""
    if database.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=1)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
