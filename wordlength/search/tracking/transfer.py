"""A study's experiment as files, and files as an experiment of another store: runs, histories, artifacts.

A store gives runs and experiments numbers of its own; what names them in notes and tags is written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from wordlength.search.tracking.store import Store, answering, check_server

EXPERIMENT, RUNS, ARTIFACTS = "experiment.json", "runs.jsonl", "artifacts"
_PARENT = "mlflow.parentRunId"
_NOT_CARRIED = ("mlflow.user", "mlflow.runName", _PARENT)
"""Tags that a store sets by itself."""


def take_out_runs(tracking_uri: str, study: str, to: Path) -> bool:
    """Write the study's experiment into the folder `to`, its active runs in order; False if MLflow has none.

    Raises SpecError if MLflow does not answer.
    """
    check_server(tracking_uri)
    with answering(study):
        store = Store.existing(tracking_uri, study)
        if store is None:
            return False
        experiment = store.client.get_experiment(store.experiment_id)
        runs = sorted(store.runs(""), key=_order)
        plain = {"tags": dict(experiment.tags), "id": store.experiment_id, "runs": len(runs)}
        _write(to / EXPERIMENT, json.dumps(plain, indent=1, sort_keys=True) + "\n")
        _write(to / RUNS, "".join(json.dumps(_plain(store, run), sort_keys=True) + "\n" for run in runs))
        for place, run in enumerate(runs):
            store.download(run.info.run_id, to / ARTIFACTS / f"{place:06d}")
    return True


def put_in_runs(tracking_uri: str, artifact_root: Path | None, study: str, files: Path, study_name: str) -> None:
    """Make an experiment of what `take_out_runs` has written, in a store that has none of this name.

    `study`: the experiment's name there, `study_name`: what it was. Raises SpecError if MLflow does not take it.
    """
    check_server(tracking_uri)
    known = json.loads((files / EXPERIMENT).read_text(encoding="utf-8"))
    plain = [json.loads(line) for line in (files / RUNS).read_text(encoding="utf-8").splitlines()]
    with answering(study):
        store = Store(tracking_uri, artifact_root, study)
        made: dict[str, str] = {}
        for run in plain:
            tags = {name: text for name, text in run["tags"].items() if name not in _NOT_CARRIED}
            if (parent := run["tags"].get(_PARENT)) in made:
                tags[_PARENT] = made[parent]
            name = study if run["name"] == study_name else run["name"]
            made[run["id"]] = str(store.create_run(name, tags, run["started"]).info.run_id)
        renamed = _Renamed(made, known["id"], store.experiment_id)
        for name, text in known["tags"].items():
            store.client.set_experiment_tag(store.experiment_id, name, renamed(text))
        for place, run in enumerate(plain):
            _fill(store, run, renamed, files / ARTIFACTS / f"{place:06d}")


def has_experiment(tracking_uri: str, study: str) -> bool:
    """Whether MLflow has an experiment of this name, if only in its trash. Raises SpecError if it does not answer."""
    check_server(tracking_uri)
    with answering(study):
        return Store.look(tracking_uri).get_experiment_by_name(study) is not None


class _Renamed:
    """Texts in which runs and experiment have their new names."""

    def __init__(self, runs: Mapping[str, str], old_experiment: str, experiment: str) -> None:
        self._runs, self._old, self._new = runs, old_experiment, experiment

    def __call__(self, text: str) -> str:
        named = re.sub(r"\b[0-9a-f]{32}\b", lambda found: self._runs.get(found[0], found[0]), text)
        return re.sub(rf"/experiments/{re.escape(self._old)}(?=[/?])", f"/experiments/{self._new}", named)


def _order(run: Run) -> tuple[bool, int, int, str]:
    """The study's own first, since others lie below it; then as they began."""
    tags = run.data.tags
    return tags.get("kind") != "study", run.info.start_time, int(tags.get("trial.number", -1)), run.info.run_id


def _plain(store: Store, run: Run) -> dict[str, Any]:
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "tags": dict(run.data.tags),
        "params": dict(run.data.params),
        "metrics": sorted(_points(store, run)),
        "data": [_plain_input(one) for one in (run.inputs.dataset_inputs if run.inputs else ())],
    }


def _points(store: Store, run: Run) -> Iterator[tuple[str, int, int, float]]:
    for name in run.data.metrics:
        for point in store.client.get_metric_history(run.info.run_id, name):
            yield name, point.step, point.timestamp, point.value


def _plain_input(one: DatasetInput) -> dict[str, Any]:
    known = one.dataset
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    tags = {tag.key: tag.value for tag in one.tags}
    return {"dataset": {name: getattr(known, name) for name in names}, "tags": tags}


def _input(plain: Mapping[str, Any]) -> DatasetInput:
    tags = [InputTag(name, value) for name, value in plain["tags"].items()]
    return DatasetInput(dataset=Dataset(**plain["dataset"]), tags=tags)


def _fill(store: Store, run: Mapping[str, Any], renamed: _Renamed, artifacts: Path) -> None:
    """Everything of a run that has been created."""
    run_id = renamed(run["id"])
    points = [Metric(name, value, stamp, step) for name, step, stamp, value in run["metrics"]]
    tags = {name: renamed(text) for name, text in run["tags"].items() if name not in _NOT_CARRIED}
    store.log(run_id, points, run["params"], tags)
    if run["data"]:
        store.client.log_inputs(run_id, [_input(one) for one in run["data"]])
    if artifacts.is_dir():
        store.upload_folder(run_id, artifacts)
    if run["status"] != "RUNNING":
        store.client.set_terminated(run_id, run["status"], run["ended"])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
