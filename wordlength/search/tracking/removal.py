"""What a database of MLflow's holds beyond its studies, and removing it for good: experiments, runs in the trash.

MLflow's own way is its trash, which `mlflow gc` empties; the calls of it that are used here say that they are not for
others, and hold for the pinned version, as do the names of tables.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store
from sqlalchemy import text

from wordlength.search.home import is_server
from wordlength.search.tracking.store import Store, answering, check_server, now_ms, opening

DEFAULT_EXPERIMENT = 0
"""MLflow's own, in every store."""


@dataclass(frozen=True)
class KeptExperiment:
    """An experiment: `artifacts`, its folder, None where that lies elsewhere; `trashed` lies in the trash.

    `runs`: ids of all; `trashed_runs`: of those in the trash that nothing asks for again, where the experiment is
    active; `is_study`: it has a study's summary.
    """

    experiment_id: str
    name: str
    artifacts: Path | None
    trashed: bool
    is_study: bool
    runs: tuple[str, ...] = ()
    trashed_runs: tuple[str, ...] = ()


def kept_experiments(tracking_uri: str, artifact_root: Path) -> tuple[KeptExperiment, ...]:
    """All of a database but MLflow's own; `artifact_root`: where artifacts are looked for.

    Raises SpecError if it does not answer.
    """
    with opening(tracking_uri):
        experiments = _rows(
            tracking_uri,
            "SELECT experiment_id, name, artifact_location, lifecycle_stage FROM experiments "
            "WHERE experiment_id <> :default ORDER BY experiment_id",
            default=DEFAULT_EXPERIMENT,
        )
        return tuple(_kept(tracking_uri, artifact_root, *row) for row in experiments)


def remove_experiment(tracking_uri: str, artifact_root: Path | None, name: str) -> str:
    """Remove an experiment with its runs and artifacts, active or in the trash; what is left of it, empty if nothing.

    On a tracking server it goes into the server's trash, under another name. Artifacts outside of `artifact_root` stay:
    in a project folder that was copied, they are the original's. Safe to be cut off and called again.
    """
    check_server(tracking_uri)
    with answering(name):
        client = Store.look(tracking_uri)
        if is_server(tracking_uri):
            return _into_trash(client, name)
        found = client.get_experiment_by_name(name)
        if found is None:
            return ""
        if found.lifecycle_stage == "active":
            client.delete_experiment(found.experiment_id)
        artifacts = own_folder(found.artifact_location, artifact_root)
        if artifacts is not None:
            shutil.rmtree(artifacts, ignore_errors=True)
        _remove_rows(tracking_uri, int(found.experiment_id))
        return "" if artifacts is not None else f"its artifacts, outside of this project: {found.artifact_location}"


def _into_trash(client: MlflowClient, name: str) -> str:
    """Renamed first, since in the trash it cannot be; what was cut off in between still has to go there."""
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "active":
        client.rename_experiment(found.experiment_id, f"{name} (removed {now_ms()})")
    renamed = client.search_experiments(filter_string=f"name LIKE '{name} (removed %'")  # Active ones.
    for one in renamed:
        if one.name.startswith(f"{name} (removed "):  # LIKE takes an underscore for any character.
            client.delete_experiment(one.experiment_id)
    if found is None and not renamed:
        return ""
    return "in the tracking server's trash, with its artifacts; `mlflow gc` there removes it for good"


def own_folder(location: str, artifact_root: Path | None) -> Path | None:
    """The folder of an artifact location, if it lies in `artifact_root`."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file") or artifact_root is None:
        return None
    folder = Path(unquote(parts.path)).resolve()
    return folder if artifact_root.resolve() in folder.parents else None


def remove_trashed_runs(tracking_uri: str, experiment: KeptExperiment) -> None:
    """Remove runs in the trash of an active experiment for good."""
    with answering(experiment.name):
        _remove_runs(tracking_uri, experiment.trashed_runs)
    if experiment.artifacts is not None:
        for run_id in experiment.trashed_runs:
            shutil.rmtree(experiment.artifacts / run_id, ignore_errors=True)


def _kept(tracking_uri: str, artifact_root: Path, number: int, name: str, location: str, stage: str) -> KeptExperiment:
    runs = _rows(
        tracking_uri,
        "SELECT r.run_uuid, r.lifecycle_stage, t.value FROM runs r LEFT JOIN tags t "
        "ON t.run_uuid = r.run_uuid AND t.key = 'kind' WHERE r.experiment_id = :number ORDER BY r.run_uuid",
        number=number,
    )
    has_summary = any(kind == "study" and where == "active" for _, where, kind in runs)
    # A study's next launch restores its summary from the trash, if it has no other.
    trashed = [run for run, where, kind in runs if where != "active" and (has_summary or kind != "study")]
    return KeptExperiment(
        str(number),
        name,
        own_folder(location, artifact_root),
        stage != "active",
        any(kind == "study" for *_, kind in runs),
        tuple(run for run, *_ in runs),
        tuple(trashed) if stage == "active" else (),
    )


def _remove_rows(tracking_uri: str, number: int) -> None:
    """An experiment in the trash, and all that names it."""
    runs = _rows(tracking_uri, "SELECT run_uuid FROM runs WHERE experiment_id = :number", number=number)
    _remove_runs(tracking_uri, [run for (run,) in runs])
    _execute(tracking_uri, "DELETE FROM datasets WHERE experiment_id = :number", number=number)
    _get_store(tracking_uri)._hard_delete_experiment(str(number))


def _remove_runs(tracking_uri: str, run_ids: Sequence[str]) -> None:
    """Runs for good; what ties them to data sets, which MLflow leaves behind, too."""
    tied = "SELECT input_uuid FROM inputs WHERE destination_id = :run"
    for run in run_ids:
        _execute(tracking_uri, f"DELETE FROM input_tags WHERE input_uuid IN ({tied})", run=run)
        _execute(tracking_uri, "DELETE FROM inputs WHERE destination_id = :run", run=run)
        _get_store(tracking_uri)._hard_delete_run(run)


def _rows(tracking_uri: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
    Store.look(tracking_uri)  # It brings the tables.
    with _get_store(tracking_uri).engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def _execute(tracking_uri: str, statement: str, **values: Any) -> None:
    with _get_store(tracking_uri).engine.begin() as connection:
        connection.execute(text(statement), values)
