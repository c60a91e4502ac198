"""What MLflow holds of a study, to be compared with what the study's storage says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlflow.entities import Run

from wordlength.search.tracking.store import Store, answering, check_server
from wordlength.search.tracking.study_run import FORMATS, PAGE, PICTURE, TABLE


@dataclass(frozen=True)
class RecordedTrial:
    """A trial's run. `status`: RUNNING, FINISHED, KILLED or FAILED; `formats`: slot → format as text."""

    run_id: str
    number: int
    status: str
    digest: str
    on_front: bool
    formats: Mapping[str, str]
    metrics: Mapping[str, float]
    files: frozenset[str] = frozenset()
    """Names of its artifacts; asked for on the front only."""


@dataclass(frozen=True)
class Recorded:
    """A study's runs: those that sum it up, of which there should be one, and its trials'."""

    parents: tuple[str, ...] = ()
    trials: tuple[RecordedTrial, ...] = ()
    missing: tuple[str, ...] = ()
    """Names of the front's page, picture and tables that the first of `parents` does not have."""


def recorded(tracking_uri: str, study: str) -> Recorded:
    """What the store has of a study; nothing is created. Raises SpecError if it does not answer."""
    check_server(tracking_uri)
    with answering(study):
        store = Store.existing(tracking_uri, study)
        if store is None:
            return Recorded()
        parents = tuple(run.info.run_id for run in store.runs("tags.kind = 'study'"))
        trials = tuple(_trial(store, run) for run in store.runs("tags.kind = 'trial'"))
        drawn = {file.path for file in store.client.list_artifacts(parents[0])} if parents else set()
        return Recorded(parents, trials, tuple(name for name in (PAGE, PICTURE, TABLE, FORMATS) if name not in drawn))


def remove_runs(tracking_uri: str, study: str, run_ids: Iterable[str]) -> None:
    """Move runs to MLflow's trash."""
    if (store := Store.existing(tracking_uri, study)) is not None:
        for run_id in run_ids:
            store.client.delete_run(run_id)


def _trial(store: Store, run: Run) -> RecordedTrial:
    tags, metrics = run.data.tags, run.data.metrics
    on_front = tags.get("pareto") == "true"
    files = store.client.list_artifacts(run.info.run_id) if on_front else ()
    return RecordedTrial(
        run.info.run_id,
        int(tags.get("trial.number", -1)),
        run.info.status,
        tags.get("trial.digest", ""),
        on_front,
        run.data.params,
        metrics,
        frozenset(file.path for file in files),
    )
