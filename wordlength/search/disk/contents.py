"""What lies in a project's folder: studies, caches and who uses them, and what belongs to nothing any more."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wordlength.errors import SpecError
from wordlength.search.disk.item import Item, Kind, counted, counted_trials, item_of, size_of
from wordlength.search.disk.orphans import orphans
from wordlength.search.drivers import user_of
from wordlength.search.home import Home, is_sqlite
from wordlength.search.storage import StoredStudy, stored_studies
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import KeptExperiment, kept_experiments


@dataclass(frozen=True)
class Disk:
    """All of a project's folder: studies, caches, orphans, and the databases that all studies share."""

    studies: tuple[Item, ...]
    caches: tuple[Item, ...]
    orphans: tuple[Item, ...]
    databases: tuple[tuple[Path, int], ...]

    @property
    def items(self) -> dict[tuple[Kind, str], Item]:
        """All that can be removed, by what tells each from the others."""
        return {item.key: item for item in (*self.studies, *self.caches, *self.orphans)}

    def unused(self, removed: Collection[str] = ()) -> tuple[Item, ...]:
        """Caches that no study needs, but for those that are `removed`, too."""
        return tuple(item for item in self.caches if not item.live and set(item.users) <= set(removed))


def look(home: Home) -> Disk:
    """What lies there. Nothing is changed. Raises SpecError if the project's MLflow or storage does not answer."""
    needs = _needs(home)
    experiments = _experiments(home)
    studies = tuple(_study(home, name, needs[name], experiments) for name in home.names())
    others = tuple(orphans(home, experiments))
    caches = tuple(_caches(home, needs, {item.name: item.busy for item in studies if item.live}))
    begun = [item for item in others if item.live and item.kind is Kind.FOLDER]
    if begun:  # Its needs are unknown.
        caches = tuple(replace(item, busy=f"{begun[0].name} begins") for item in caches)
    return Disk(studies, caches, others, _databases(home))


@dataclass(frozen=True)
class _Needs:
    """What a study uses, how many trials it has begun and has queued; `lost`: in words, why that is not known."""

    spec: StudySpec | None = None
    baseline: str = ""
    data: str = ""
    trials: int = 0
    queued: int = 0
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
    return _Needs(spec, baseline, data, known.trials, known.queued)


def _experiments(home: Home) -> tuple[KeptExperiment, ...]:
    """Of the project's own database alone: another one may hold what is not ours."""
    if not home.mlflow_file.exists():
        return ()
    return kept_experiments(home.tracking_address(), home.artifacts)


def _study(home: Home, name: str, needs: _Needs, experiments: Sequence[KeptExperiment]) -> Item:
    folder, spec = home.study(name), needs.spec
    kept = next((one for one in experiments if one.name == name), None)
    artifacts = home.artifact_folder(name)
    paths = [folder.path] + ([artifacts] if artifacts.exists() else [])
    told = [needs.lost or counted_trials(needs.trials, needs.queued)]
    if kept is not None:
        told.append(f"{counted(len(kept.runs), 'run')} in MLflow")
    addresses = (home.optuna_address(spec), home.tracking_address(spec)) if spec is not None else ()
    told += [f"the rest at {address.partition(':')[0]}://…" for address in addresses if not is_sqlite(address)]
    return item_of(Kind.STUDY, name, paths, busy=user_of(folder), told=", ".join(told))


def _caches(home: Home, needs: Mapping[str, _Needs], busy: Mapping[str, str]) -> Iterator[Item]:
    def users(uses: Any) -> tuple[str, ...]:
        return tuple(name for name, one in needs.items() if uses(one))

    def item(kind: Kind, name: str, paths: Sequence[Path], uses: Any) -> Item:
        needed = users(uses)
        # What a study with an unreadable storage needs is unknown: then nothing is taken for unused.
        unsure = tuple(name for name, one in needs.items() if one.lost and name not in needed)
        now = next((f"{user} is {busy[user]}" for user in (*needed, *unsure) if user in busy), "")
        return item_of(kind, name, paths, users=(*needed, *unsure), busy=now)

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


def _databases(home: Home) -> tuple[tuple[Path, int], ...]:
    """With what SQLite keeps beside them."""
    found = ((file, sorted(home.root.glob(f"{file.name}*"))) for file in (home.optuna_file, home.mlflow_file))
    return tuple((path, size_of(files)) for path, files in found if files)
