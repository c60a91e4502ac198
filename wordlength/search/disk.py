"""What lies in a project's folder: studies, caches and who uses them, and what belongs to nothing any more."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from wordlength.errors import SpecError
from wordlength.search.drivers import LOOKING_ON, Drivers
from wordlength.search.home import Home, StudyFolder, artifact_folder_name
from wordlength.search.spec import StudySpec
from wordlength.search.storage import StoredStudy, is_file, stored_studies
from wordlength.search.tracking import KeptExperiment, kept_experiments

DRAFT_SECONDS = 3600.0
"""Age from which a half-written file counts as left behind: whose it is may be another machine's matter."""


class Kind(StrEnum):
    """What something on disk is."""

    STUDY = "study"
    BASELINE = "float baseline"
    DATA = "prepared data"
    SPEECH = "built-in speech"
    DRAFT = "half-written"
    FOLDER = "folder without study"
    TRIALS = "trials without study"
    EXPERIMENT = "experiment without study"
    TRASH = "MLflow's trash"
    ARTIFACTS = "artifacts without run"

    @property
    def is_cache(self) -> bool:
        """Whether it is made again when it is needed."""
        return self in (Kind.BASELINE, Kind.DATA, Kind.SPEECH)


@dataclass(frozen=True)
class Item:
    """One thing that can be removed as a whole.

    `paths`: files and folders of it, `size_bytes` theirs together; `used`: when any of them was last written.
    `users`: studies that need it; `live`: a launch that runs may be using it, so it stays. `told`: what else there is
    to say of it.
    """

    kind: Kind
    name: str
    paths: tuple[Path, ...]
    size_bytes: int
    used: datetime | None
    users: tuple[str, ...] = ()
    live: bool = False
    told: str = ""

    def to_json(self, root: Path) -> dict[str, Any]:
        """JSON-able, paths from the project's folder on."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "paths": [os.path.relpath(path, root) for path in self.paths],
            "bytes": self.size_bytes,
            "used": self.used and self.used.isoformat(timespec="seconds"),
            "users": list(self.users),
            "running": self.live,
            "told": self.told,
        }


@dataclass(frozen=True)
class Disk:
    """All of a project's folder: studies, caches, orphans, and the databases that all studies share."""

    studies: tuple[Item, ...]
    caches: tuple[Item, ...]
    orphans: tuple[Item, ...]
    databases: tuple[tuple[Path, int], ...]

    @property
    def unused(self) -> tuple[Item, ...]:
        """Caches that no study needs."""
        return tuple(item for item in self.caches if not item.users and not item.live)


def look(home: Home) -> Disk:
    """What lies there. Nothing is changed. Raises SpecError if the project's MLflow or storage does not answer."""
    needs = _needs(home)
    experiments = _experiments(home)
    studies = tuple(_study(home, name, needs[name], experiments) for name in home.names())
    caches = tuple(_caches(home, needs, {item.name for item in studies if item.live}))
    return Disk(studies, caches, tuple(_orphans(home, experiments)), _databases(home))


def is_running(folder: StudyFolder) -> bool:
    """Whether a launch of this study runs."""
    return folder.is_live() or not Drivers(folder.path, LOOKING_ON).alone


def counted(count: int, what: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files, and of all in folders."""
    return sum(file.lstat().st_size for path in paths for file in _files(path))


@dataclass(frozen=True)
class _Needs:
    """What a study uses, and how many trials its storage has; `lost`: in words, why that is not known."""

    spec: StudySpec | None = None
    baseline: str = ""
    data: str = ""
    trials: int = 0
    lost: str = ""


def _needs(home: Home) -> dict[str, _Needs]:
    """Of every study; each storage is opened once."""
    storages: dict[str, Mapping[str, StoredStudy]] = {}
    return {name: _need(home, name, storages) for name in home.names()}


def _need(home: Home, name: str, storages: dict[str, Mapping[str, StoredStudy]]) -> _Needs:
    spec = None
    try:
        spec = home.study(name).spec()
        address = home.optuna_address(spec)
        if address not in storages:
            storages[address] = stored_studies(address)
    except SpecError as error:
        return _Needs(spec, lost=str(error))
    known = storages[address].get(name)
    if known is None:
        return _Needs(spec, lost="its storage has no trials of it")
    baseline, data = (str(known.attributes.get(key, "")) for key in ("baseline_digest", "data_digest"))
    return _Needs(spec, baseline, data, known.trials)


def _experiments(home: Home) -> tuple[KeptExperiment, ...]:
    """Of the project's own database alone: another one may hold what is not ours."""
    if not (home.root / "mlflow.db").exists():
        return ()
    return kept_experiments(home.tracking_address(), home.artifacts)


def _study(home: Home, name: str, needs: _Needs, experiments: Sequence[KeptExperiment]) -> Item:
    folder, spec = home.study(name), needs.spec
    kept = next((one for one in experiments if one.name == name), None)
    artifacts = home.artifact_folder(name)
    paths = [folder.path] + ([artifacts] if artifacts.exists() else [])
    told = [needs.lost or counted(needs.trials, "trial")]
    if kept is not None:
        told.append(f"{counted(len(kept.runs), 'run')} in MLflow")
    addresses = (home.optuna_address(spec), home.tracking_address(spec)) if spec is not None else ()
    told += [f"the rest at {address.partition(':')[0]}://…" for address in addresses if not is_file(address)]
    return _item(Kind.STUDY, name, paths, live=is_running(folder), told=", ".join(told))


def _caches(home: Home, needs: Mapping[str, _Needs], live: set[str]) -> Iterator[Item]:
    def users(uses: Any) -> tuple[str, ...]:
        return tuple(name for name, one in needs.items() if uses(one))

    def item(kind: Kind, name: str, paths: Sequence[Path], uses: Any) -> Item:
        needed = users(uses)
        # What a study with an unreadable storage needs is unknown: then nothing is taken for unused.
        unsure = tuple(name for name, one in needs.items() if one.lost and name not in needed)
        return _item(kind, name, paths, users=(*needed, *unsure), live=bool(live & {*needed, *unsure}))

    for path in sorted((home.cache / "baselines").glob("*.npz")):
        yield item(Kind.BASELINE, path.stem, [path], lambda one, name=path.stem: one.baseline == name)
    for folder in sorted(path for path in (home.cache / "prepared").glob("[!.]*") if path.name != "index"):
        paths = [folder, *_indexes(home.cache / "prepared" / "index", folder.name)]
        yield item(Kind.DATA, folder.name, paths, lambda one, name=folder.name: one.data == name)
    for folder in sorted(home.cache.glob("builtin-v*")):
        yield item(Kind.SPEECH, folder.name, [folder], lambda one: one.spec is not None and _is_builtin(one.spec))


def _indexes(folder: Path, digest: str) -> Iterator[Path]:
    for path in sorted(folder.glob("*.json")):
        try:
            if json.loads(path.read_text(encoding="utf-8")).get("digest") == digest:
                yield path
        except (OSError, ValueError, AttributeError):
            continue


def _is_builtin(spec: StudySpec) -> bool:
    return any(corpus.kind == "builtin" for corpus in (*spec.data.speech, *spec.data.noise))


def _orphans(home: Home, experiments: Sequence[KeptExperiment]) -> Iterator[Item]:
    yield from _drafts(home)
    known, names = set(home.names()), _begun(home)
    for name in sorted(names - known):
        folder = home.study(name)
        yield _item(Kind.FOLDER, name, [folder.path], live=is_running(folder))
    running = {name for name in names if is_running(home.study(name))}
    if (home.root / "optuna.db").exists():
        address = f"sqlite:///{home.root / 'optuna.db'}"
        for name, one in stored_studies(address).items():
            if name not in known:
                yield _item(
                    Kind.TRIALS, name, [], live=name in running, told=f"{counted(one.trials, 'trial')} in optuna.db"
                )
    yield from _in_mlflow(home, experiments, known, running)


def _begun(home: Home) -> set[str]:
    """Folders among the studies, whether these were ever launched to the end of their beginning or not."""
    root = home.root / "studies"
    return {path.name for path in root.iterdir() if path.is_dir()} if root.exists() else set()


def _drafts(home: Home) -> Iterator[Item]:
    """What killed processes left half-written; not what one that lives may be writing."""
    prepared = home.cache / "prepared"
    tops = (home.root, home.cache, prepared, prepared / "index", home.cache / "baselines")
    found = [path for top in tops if top.exists() for path in top.iterdir() if path.name.startswith(".")]
    found += list((home.root / "studies").rglob(".*.tmp"))
    for path in sorted(found):
        if _is_old(path):
            yield _item(Kind.DRAFT, os.path.relpath(path, home.root), [path])


def _is_old(path: Path) -> bool:
    newest = max((file.lstat().st_mtime for file in (path, *_files(path))), default=0.0)
    return time.time() - newest > DRAFT_SECONDS


def _in_mlflow(home: Home, experiments: Sequence[KeptExperiment], known: set[str], running: set[str]) -> Iterator[Item]:
    for one in experiments:
        paths = [one.artifacts] if one.artifacts and one.artifacts.exists() else []
        told = counted(len(one.runs), "run")
        if one.trashed:
            yield _item(
                Kind.TRASH, one.name, paths, live=one.name in running, told=f"{told}, the experiment as a whole"
            )
        elif one.is_study and one.name not in known:
            yield _item(Kind.EXPERIMENT, one.name, paths, live=one.name in running, told=told)
        elif one.trashed_runs:
            own = [one.artifacts / run for run in one.trashed_runs] if one.artifacts else []
            paths = [path for path in own if path.exists()]
            yield _item(
                Kind.TRASH, one.name, paths, live=one.name in running, told=counted(len(one.trashed_runs), "run")
            )
    if (home.root / "mlflow.db").exists() and home.artifacts.exists():
        yield from _lost_artifacts(home, experiments, {artifact_folder_name(name) for name in known}, running)


def _lost_artifacts(
    home: Home, experiments: Sequence[KeptExperiment], own: set[str], running: set[str]
) -> Iterator[Item]:
    """`own`: folders of studies, which may be recorded in a database of their own."""
    places = {one.artifacts: one for one in experiments if one.artifacts}
    for folder in sorted(path for path in home.artifacts.iterdir() if path.is_dir()):
        one = places.get(folder.resolve())
        if one is None and folder.name in own:
            continue
        if one is None:
            yield _item(Kind.ARTIFACTS, folder.name, [folder], live=bool(running))
            continue
        for path in sorted(folder.iterdir()):
            if re.fullmatch(r"[0-9a-f]{32}", path.name) and path.name not in one.runs:
                yield _item(Kind.ARTIFACTS, f"{folder.name}/{path.name}", [path], live=one.name in running)


def _databases(home: Home) -> tuple[tuple[Path, int], ...]:
    """With what SQLite keeps beside them."""
    found = ((home.root / name, sorted(home.root.glob(f"{name}*"))) for name in ("optuna.db", "mlflow.db"))
    return tuple((path, size_of(files)) for path, files in found if files)


def _item(kind: Kind, name: str, paths: Sequence[Path], **known: Any) -> Item:
    times = [file.lstat().st_mtime for path in paths for file in _files(path)]
    used = datetime.fromtimestamp(max(times)) if times else None
    return Item(kind, name, tuple(paths), size_of(paths), used, **known)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.is_symlink() or file.is_file())
