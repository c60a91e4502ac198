"""A launch: data, baseline, then trials until the study has as many as it wants."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wordlength.atomic import write_atomically
from wordlength.errors import WorkerError
from wordlength.objectives.audio import PreparedData, prepare
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.proposals import anchors
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.objectives.settings import EvaluationSettings
from wordlength.search import front as fronts
from wordlength.search.home import Home, StudyFolder
from wordlength.search.space_spec import build_space
from wordlength.search.spec import StudySpec
from wordlength.search.study import StudyStore, check_unchanged
from wordlength.search.tracking import Tracker
from wordlength.search.trials import StudyView
from wordlength.search.workers import Finished, WorkerPool
from wordlength.space.search_space import SearchSpace

MOST_FAILURES_IN_A_ROW = 8
"""After so many failed trials with none in between that ended otherwise, the study stops: it would burn its budget."""


class Observer:
    """What a launch tells while it runs; the methods do nothing unless overridden."""

    def data(self, stage: str, done: int, total: int) -> None:
        """Preparing data: "render", "hash", "train", "validation", "test"."""

    def prepared(self, data: PreparedData) -> None:
        """The data is ready."""

    def baseline(self, progress: BaselineProgress | Baseline) -> None:
        """After each epoch of the float baseline; last, the Baseline."""

    def study(self, view: StudyView, recovered: int, workers: int) -> None:
        """The study is open; `recovered` candidates of a killed launch are queued again."""

    def trial(self, view: StudyView) -> None:
        """A trial was begun or has ended."""


def evaluation_settings(spec: StudySpec) -> EvaluationSettings:
    """The part of the spec that every trial needs."""
    return EvaluationSettings(spec.model, spec.training, spec.analysis, spec.gate)


def prepare_data(spec: StudySpec, home: Home, observer: Observer | None = None) -> PreparedData:
    """The study's data, from the cache if it was prepared before. Raises DataError."""
    data = prepare(spec.data, home.cache, observer.data if observer else None)
    if observer:
        observer.prepared(data)
    return data


def search_space(spec: StudySpec, baseline: Baseline) -> SearchSpace:
    """The study's space, anchored on the float model's values. Raises SpecError for patterns without a layer."""
    space = build_space(spec.space, (info.slot for info in baseline.slots))
    return dataclasses.replace(space, anchors=anchors(baseline.samples, space.needed_anchors()))


def launch(
    spec: StudySpec,
    home: Home | None = None,
    *,
    ray_address: str | None = None,
    observer: Observer | None = None,
    verbose: bool = False,
) -> StudyView:
    """Run the study until it has `spec.search.trials` finished trials, or go on with it.

    Nothing is written but caches until data, workers, baseline and space are known to be good. On
    KeyboardInterrupt every running trial is told and queued again before the exception goes on. Raises
    SpecError, DataError, WorkerError.
    """
    home, observer = home or Home.default(), observer or Observer()
    data = prepare_data(spec, home, observer)
    if spec.name in home.names():
        check_unchanged(StudyStore.open(spec.name, home.optuna_address(spec)), spec, data.digest)
    with WorkerPool(ray_address, spec.workers.count, spec.workers.cpus, verbose) as pool:
        shared, settings = pool.share(data), evaluation_settings(spec)
        build_space(spec.space, (info.slot for info in pool.slots(settings)))  # Refuses bad patterns before training.
        baseline = _baseline(pool, shared, settings, spec, home, observer)
        space = search_space(spec, baseline)
        with home.study(spec.name).locked():
            store = StudyStore.create(spec, home.optuna_address(spec))
            check_unchanged(store, spec, data.digest)
            pool.start(shared, baseline, settings)
            _describe(store, spec, home, data, baseline)
            tracker = _tracker(spec, home, data, baseline)
            return _Loop(spec, home.study(spec.name), store, space, baseline, pool, tracker, observer).run()


def _baseline(
    pool: WorkerPool, shared: Any, settings: EvaluationSettings, spec: StudySpec, home: Home, observer: Observer
) -> Baseline:
    for item in pool.baseline(shared, settings, spec.seed, home.cache):
        observer.baseline(item)
    assert isinstance(item, Baseline)
    return item


def _describe(store: StudyStore, spec: StudySpec, home: Home, data: PreparedData, baseline: Baseline) -> None:
    store.remember(
        {
            "fingerprint": spec.fingerprint(),
            "data_digest": data.digest,
            "baseline_digest": baseline.digest,
            "baseline": dataclasses.asdict(_reference(baseline)),
            "wanted": spec.search.trials,
            "wordlength": version("wordlength"),
        }
    )
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    write_atomically(home.study(spec.name).study_file, text.encode())


def _reference(baseline: Baseline) -> fronts.Baseline:
    return fronts.Baseline(baseline.stoi_improvement, baseline.memory_bytes)


def _tracker(spec: StudySpec, home: Home, data: PreparedData, baseline: Baseline) -> Tracker:
    artifacts = None if spec.storage.tracking else home.artifacts
    tracker = Tracker(home.tracking_address(spec), artifacts, spec.name)
    parts: dict[str, Any] = {
        "model": spec.model,
        "training": spec.training,
        "analysis": spec.analysis,
        "gate": spec.gate,
    }
    params = {
        f"{part}.{name}": str(value) for part, s in parts.items() for name, value in dataclasses.asdict(s).items()
    }
    params |= {f"search.{name}": str(value) for name, value in spec.search.model_dump(exclude={"uniform"}).items()}
    params |= {f"data.{name}": str(value) for name, value in data.summary.items()}
    metrics = {
        "baseline_stoi_improvement": baseline.stoi_improvement,
        "baseline_stoi_standard_error": baseline.stoi_standard_error,
        "baseline_memory_bytes": float(baseline.memory_bytes),
        "noisy_stoi": float(np.mean(data.validation.noisy_stoi)),
    }
    tags = {"data.digest": data.digest, "baseline.digest": baseline.digest, "wordlength.version": version("wordlength")}
    tracker.start(params, tags, metrics, yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False))
    return tracker


@dataclass
class _Loop:
    """Keeps every worker busy and every finished trial told and recorded."""

    spec: StudySpec
    folder: StudyFolder
    store: StudyStore
    space: SearchSpace
    baseline: Baseline
    pool: WorkerPool
    tracker: Tracker
    observer: Observer
    # Trials that wait for a running one with the same candidate: digest → numbers.
    twins: dict[str, list[int]] = field(default_factory=dict)
    failures: int = 0

    def run(self) -> StudyView:
        recovered = self.store.recover()
        slots = self.space.order
        for uniform in self.spec.search.uniform:
            self.store.queue(uniform.candidate(slots), uniform.label, self.space)
        for candidate in self.space.sweep() if self.spec.search.sweep else ():
            self.store.queue(candidate, "", self.space)
        self._catch_up()
        self.observer.study(self.store.view(), recovered, self.pool.count)
        try:
            self._work()
        except BaseException as error:
            self._stop(error)
            raise
        self._show_front()
        self.tracker.finish()
        return self.store.view()

    def _work(self) -> None:
        while True:
            while self.pool.free and self._wanted() > 0:
                self._propose()
            if not self.pool.running:
                return
            for finished in self.pool.wait(timeout_seconds=1.0):
                self._record(finished)
            self.observer.trial(self.store.view())

    def _wanted(self) -> int:
        begun = len(self.pool.running) + sum(map(len, self.twins.values()))
        return self.spec.search.trials - self.store.view().finished - begun

    def _propose(self) -> None:
        number, candidate, _ = self.store.ask(self.space)
        known = next(
            (row for row in self.store.rows() if row.candidate == candidate and row.state in ("complete", "pruned")),
            None,
        )
        if known is not None and (report := self._load_report(known.number)) is not None:
            self._finish(dataclasses.replace(report, number=number), None, reused_from=known.number)
        elif any(job.candidate == candidate for job in self.pool.running):
            self.twins.setdefault(candidate.digest, []).append(number)
        else:
            self.pool.submit(TrialJob(number, candidate, self.spec.seed))
        self.observer.trial(self.store.view())

    def _record(self, finished: Finished) -> None:
        job = finished.job
        report = finished.report or TrialReport(
            number=job.number,
            candidate=job.candidate,
            state=TrialState.FAILED,
            memory_bytes=memory_bytes(self.baseline.slots, job.candidate),
            reason=finished.reason,
        )
        self._finish(report, finished.weights)
        for twin in self.twins.pop(job.candidate.digest, []):
            self._finish(dataclasses.replace(report, number=twin), None, reused_from=job.number)
        self._count_failure(report)

    def _finish(self, report: TrialReport, weights: Weights | None, reused_from: int | None = None) -> None:
        """Files first, then Optuna, then MLflow: whatever is told can be recorded and exported."""
        before = {point.number for point in self.store.view().front}
        write_atomically(self.folder.report(report.number), report.to_json().encode())
        if weights is not None and report.state is TrialState.COMPLETE:
            save_weights(self.folder.weights(report.number), weights)
        self.store.tell(report, reused_from)
        view = self.store.view()
        members = {point.number for point in view.front}
        label = next(row.label for row in view.rows if row.number == report.number)
        self.tracker.log_trial(report, label, members)
        if members != before:
            self._show_front()
        self._drop_weights(members)

    def _show_front(self) -> None:
        view = self.store.view()
        self.tracker.show_front(view.points, view.front, view.baseline)

    def _drop_weights(self, members: Iterable[int]) -> None:
        kept = {self.folder.weights(number) for number in members}
        for path in self.folder.weights(0).parent.glob("*.npz"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Record what a killed launch told Optuna but not MLflow."""
        view = self.store.view()
        members = {point.number for point in view.front}
        for row in view.rows:
            if row.number not in self.tracker.trials and row.state in ("complete", "pruned", "failed"):
                report = self._load_report(row.number)
                if report is not None:
                    self.tracker.log_trial(report, row.label, members)
        if view.rows:
            self._show_front()

    def _load_report(self, number: int) -> TrialReport | None:
        try:
            return TrialReport.from_json(self.folder.report(number).read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            return None

    def _count_failure(self, report: TrialReport) -> None:
        self.failures = self.failures + 1 if report.state is TrialState.FAILED else 0
        if self.failures >= MOST_FAILURES_IN_A_ROW:
            raise WorkerError(
                f"trials must not all fail, but the last {self.failures} did; the latest: {report.reason}"
            )

    def _stop(self, error: BaseException) -> None:
        self.store.recover()  # Whatever runs is this launch's: it holds the study's lock.
        self.tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        self.observer.trial(self.store.view())


def save_weights(path: Path, weights: Weights) -> None:
    """Keras' weights in order, written atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, *weights)
    write_atomically(path, buffer.getvalue())


def load_weights(path: Path) -> Weights | None:
    """Inverse of `save_weights`; None if there is no such file."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return tuple(stored[f"arr_{number}"] for number in range(len(stored.files)))
