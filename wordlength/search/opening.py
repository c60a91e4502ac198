"""What a launch writes first, so that whatever comes later can be gone on with; then the loop."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError
from wordlength.objectives.baseline import Baseline
from wordlength.search.description import float_point
from wordlength.search.drivers import Drivers
from wordlength.search.home import Home, StudyFolder, Turn
from wordlength.search.loop import Loop
from wordlength.search.observer import Observer
from wordlength.search.stopping import Stopping
from wordlength.search.storage import place_of, require_opening
from wordlength.search.study import StudyStore, remembered
from wordlength.search.study_file.model import with_files_beside
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.study_file.unchanged import check_baseline, check_unchanged
from wordlength.search.tracking import Description, TrackerProcess, TrackingError
from wordlength.search.trials import StudyView
from wordlength.search.workers import WorkerPool
from wordlength.space import SearchSpace
from wordlength.version import VERSION


@dataclass(frozen=True)
class Prepared:
    """What is known to be good before anything is written. `describe`: the study's identity → what MLflow is told."""

    data_digest: str
    baseline: Baseline
    space: SearchSpace
    describe: Callable[[str], Description]


def known_study(spec: StudySpec, home: Home, data_digest: str) -> Mapping[str, Any]:
    """What the study remembers if it was launched before, its settings and data unchanged; empty for a new one."""
    folder = home.study(spec.name)
    if not folder.study_file.exists():
        require_opening(home.optuna_address(spec))  # Before a baseline is trained.
        return {}
    _check_storage(spec, home)
    try:
        known = remembered(spec, home)
    except SpecError as error:
        raise SpecError(f"{error}; bring the storage back, or remove {folder.path} to begin anew") from None
    check_unchanged(known, spec, data_digest)
    return known


def _check_storage(spec: StudySpec, home: Home) -> None:
    """Raise SpecError for a storage that is not that of the study's folder: its trials would be another study's."""
    folder = home.study(spec.name)
    began, now = (place_of(home.optuna_address(one)) for one in (folder.spec(), spec))
    if began != now:
        raise SpecError(
            f"a study keeps its trials' storage, but that of {spec.name!r} was {began} and is now {now}; launch "
            f"{folder.study_file}, or write the new address there, if the trials have moved (storage.optuna)"
        )


def run_study(
    spec: StudySpec,
    home: Home,
    prepared: Prepared,
    pool: WorkerPool,
    drivers: Drivers,
    observer: Observer,
    stopping: Stopping,
) -> StudyView:
    """Begin the study, or go on with it, until it has its trials. Raises SpecError, WorkerError."""
    folder = home.study(spec.name)
    space, baseline = prepared.space, prepared.baseline
    with closing(StudyStore.create(spec, home.optuna_address(spec))) as store:
        with folder.one_at_a_time(Turn.RECORD):
            tracker = _open(spec, home, prepared, store)
        with closing(tracker):
            observer.tracked(tracker.experiment_id)
            stopping.check()
            return Loop(spec, folder, store, space, baseline, pool, tracker, drivers, observer, stopping).run()


def _open(spec: StudySpec, home: Home, prepared: Prepared, store: StudyStore) -> TrackerProcess:
    folder = home.study(spec.name)
    identity = _identity(store, folder, spec)
    check_unchanged(store.attributes, spec, prepared.data_digest)
    check_baseline(store.attributes, spec.name, prepared.baseline.content_digest)
    store.remember({"id": identity})  # First, so that what MLflow is told of it can be gone on with.
    tracker = TrackerProcess(home.tracking_address(spec), home.artifact_root(spec), spec.name)
    try:
        tracker.begin(prepared.describe(identity))
    except TrackingError as error:
        raise SpecError(f"MLflow must take the study, but it does not: {error.reason} (storage.tracking)") from None
    _remember(store, spec, prepared)
    plain, files = with_files_beside(spec.model_dump(mode="json"), spec)
    for name, content in files.items():
        write_atomically(folder.path / name, content)
    text = yaml.safe_dump(plain, sort_keys=False)
    write_atomically(folder.study_file, text.encode(), private=True)  # Its addresses may hold a login.
    return tracker


def _identity(store: StudyStore, folder: StudyFolder, spec: StudySpec) -> str:
    """What tells the study from others of its name; it stands in the storage and in the folder."""
    known = store.attributes.get("id")
    here = _read(folder.identity)
    if known is not None and known != here and not folder.study_file.exists():
        raise SpecError(
            f"the launches of a study share one folder, but {spec.name!r} has trials in its storage and none in "
            f"{folder.path}; set --home to the folder of its first launch, or give the study another name"
        )
    identity = str(known or uuid.uuid4().hex)
    if identity != here:
        write_atomically(folder.identity, identity.encode())
    return identity


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _remember(store: StudyStore, spec: StudySpec, prepared: Prepared) -> None:
    baseline, wanted = prepared.baseline, spec.search.trials
    store.remember(
        {
            "fingerprint": spec.fingerprint(),
            "data_digest": prepared.data_digest,
            "baseline_digest": baseline.digest,
            "baseline_content": baseline.content_digest,
            "baseline": float_point(spec, baseline).to_json(),
            "wanted": wanted,
            "most_wanted": max(wanted, store.attributes.get("most_wanted", 0)),
            "wordlength": VERSION,
        }
    )
