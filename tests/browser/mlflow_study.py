"""Studies as the tracker lays them out in MLflow, with made-up figures, and the server that shows them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from wordlength.objectives.goals import DEFAULT_GOALS, Goals
from wordlength.search.ui import UiServer
from wordlength.search.views import LAYER_FIGURES, WORST_FIGURES, bits_metric, colour, published_views

LAYERS = (*(f"conv_{n}" for n in range(1, 7)), "dense_1", "dense_2", "output")
SLOTS = tuple(f"{layer}.{role}" for layer in LAYERS for role in ("weights", "activations"))
OBJECTIVES = ("memory_bytes", "stoi_improvement")
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as far as the views can tell: `memory_bytes` None where it failed, `stoi_improvement` where pruned."""

    number: int
    state: str = "complete"
    memory_bytes: float | None = None
    stoi_improvement: float | None = None
    on_front: bool = False
    seconds_per_clip: float | None = None
    """A third objective, in studies that have one."""


class Study:
    """One experiment with a parent run and its views published, and trials to be added."""

    def __init__(self, client: MlflowClient, name: str, goals: Goals = DEFAULT_GOALS) -> None:
        self._client = client
        self.experiment_id = client.create_experiment(name)
        self._parent = client.create_run(self.experiment_id, run_name=name, tags={"kind": "study"}).info.run_id
        client.log_batch(self._parent, [_point("hypervolume", 0.5), _point("front_size", 3.0)])
        for view in published_views(SLOTS, goals):
            client.set_experiment_tag(self.experiment_id, *view.tag)

    def add(self, trial: Trial) -> str:
        """Write a child run and return its id."""
        tags = _tags(trial) | {"mlflow.parentRunId": self._parent}
        name = f"trial {trial.number}"
        run_id = self._client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id
        params = [Param(slot, f"fixed<{_bits(trial, slot)},-1>") for slot in SLOTS]
        metrics = _metrics(trial)
        for first in range(0, len(metrics), 900):
            self._client.log_batch(run_id, metrics[first : first + 900], params=params if first == 0 else ())
        self._client.set_terminated(run_id, STATUS[trial.state])
        return run_id

    def dominate(self, run_id: str) -> None:
        """Take a trial off the front."""
        self._client.delete_tag(run_id, "pareto")
        self._client.set_tag(run_id, "mlflow.runColor", colour("complete", False))


def _tags(trial: Trial) -> dict[str, str]:
    tags = {
        "kind": "trial",
        "trial.number": str(trial.number),
        "trial.state": trial.state,
        "mlflow.runColor": colour(trial.state, trial.on_front),
    }
    if trial.state == "pruned":
        tags |= {"trial.reason": "precision of conv_2.weights beyond its limit", "trial.step": "1"}
    elif trial.state == "failed":
        tags |= {"trial.reason": "out of memory"}
    return tags | ({"pareto": "true"} if trial.on_front else {})


def _metrics(trial: Trial) -> list[Metric]:
    if trial.state == "failed":
        return []
    rng = random.Random(trial.number)
    values = {bits_metric(slot): float(_bits(trial, slot)) for slot in SLOTS}
    values |= {f"worst/{figure}": rng.random() for figure in WORST_FIGURES}
    values |= {"constraint/precision": rng.random() - 0.5, "seconds/step1": 20.0, "memory_saved_percent": 70.0}
    optional = {name: getattr(trial, name) for name in ("memory_bytes", "stoi_improvement", "seconds_per_clip")}
    values |= {name: value for name, value in optional.items() if value is not None}
    if trial.stoi_improvement is not None:
        values |= {"stoi_standard_error": 0.001, "baseline_difference": trial.stoi_improvement - 0.04}
    series = [f"{figure}/{slot}" for figure in LAYER_FIGURES for slot in SLOTS]
    points = [_point(name, value) for name, value in values.items()]
    points += [_point(name, rng.random(), epoch) for name in series for epoch in (1, 2)]
    return points + [_point("loss", math.exp(-n), n) for n in (1, 2)]


def _bits(trial: Trial, slot: str) -> int:
    return 3 + (31 * trial.number + 7 * SLOTS.index(slot)) % 13


def _point(name: str, value: float, step: int = 0) -> Metric:
    return Metric(name, value, int(1000 * time.time()), step)


@contextmanager
def mlflow_server(store: str, folder: Path) -> Iterator[str]:
    """The address of MLflow's server on a store; on leaving, it has ended."""
    with UiServer(store, folder / "artifacts") as server:
        server.wait_until_ready()
        yield server.address
