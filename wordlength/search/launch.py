"""A launch: everything that must be good before the first trial, then the loop."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from wordlength.errors import SpecError
from wordlength.objectives.audio import PreparedData, prepare
from wordlength.objectives.baseline import Baseline, baseline_digest, baseline_path, load_baseline, save_baseline
from wordlength.objectives.goals import require_measurable
from wordlength.objectives.memory import allocation_of
from wordlength.objectives.proposals import anchors
from wordlength.objectives.settings import EvaluationSettings
from wordlength.search.actors import TrialWorker
from wordlength.search.description import describe
from wordlength.search.drivers import joined
from wordlength.search.home import Home, is_sqlite
from wordlength.search.observer import Observer
from wordlength.search.opening import Prepared, known_study, run_study
from wordlength.search.stopping import stop_signals
from wordlength.search.study_file.references import references, require_references
from wordlength.search.study_file.space import build_space
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.study_file.unchanged import check_baseline
from wordlength.search.tracking import check_server
from wordlength.search.trials import StudyView
from wordlength.search.workers import WorkerPool
from wordlength.space import Format, SearchSpace, Slot, SlotInfo
from wordlength.space.search_space import Anchors


def launch(
    spec: StudySpec,
    home: Home | None = None,
    *,
    ray_address: str | None = None,
    observer: Observer | None = None,
    verbose: bool = False,
) -> StudyView:
    """Run the study until it has `spec.search.trials` finished trials, or go on with it.

    Nothing is written but caches until data, stores, workers, space and baseline are known to be good. On
    KeyboardInterrupt every running trial is told and queued again before the exception goes on. Raises
    SpecError, DataError, WorkerError.
    """
    home, observer = home or Home.default(), observer or Observer()
    folder = home.study(spec.name)
    several = not is_sqlite(home.optuna_address(spec))
    with stop_signals() as stopping, folder.locked(shared=several), joined(folder.path, several) as drivers:
        data = prepare_data(spec, home, observer)  # Under the lock: what it caches is then not removed as unused.
        known = known_study(spec, home, data.digest)
        check_server(home.tracking_address(spec))
        with WorkerPool(ray_address, spec.workers, verbose) as pool:
            stopping.install()  # Ray has put a handler of its own for SIGTERM, which aborts.
            shared, settings = pool.share(data), evaluation_settings(spec)
            baseline = _known_baseline(data, spec, home, observer)
            _require_fitting(spec, baseline.slots if baseline else pool.slots(settings, data.shape))
            baseline = baseline or _baseline(pool, shared, settings, spec, home, observer)
            check_baseline(known, spec.name, baseline.content_digest)
            space = search_space(spec, baseline)
            formats = _formats(spec, space, baseline)
            pool.start(TrialWorker, shared, pool.keep(baseline), settings, formats, spec.workers.cpus, verbose)
            about = partial(describe, spec, data, baseline, space)
            prepared = Prepared(data.digest, baseline, space, about)
            return run_study(spec, home, prepared, pool, drivers, observer, stopping)


def evaluation_settings(spec: StudySpec) -> EvaluationSettings:
    """The part of the spec that every trial needs."""
    return EvaluationSettings(spec.model, spec.training, spec.analysis, spec.gate, spec.objectives, spec.baseline)


def prepare_data(spec: StudySpec, home: Home, observer: Observer | None = None) -> PreparedData:
    """The study's data, from the cache if it was prepared before. Raises DataError.

    Raises SpecError for an objective that cannot be measured on it.
    """
    require_measurable(spec.objectives, spec.data.target.kind, spec.data.features.sample_rate_hz)
    data = prepare(spec.data, home.cache, observer.data if observer else None)
    if observer:
        observer.prepared(data)
    return data


def search_space(spec: StudySpec, baseline: Baseline) -> SearchSpace:
    """The study's space, anchored on the float model's values. Raises SpecError for patterns without a layer."""
    space = build_space(spec.space, baseline.slots)
    return dataclasses.replace(space, anchors=anchors(baseline, space.needed_anchors()))


def _require_fitting(spec: StudySpec, slots: tuple[SlotInfo, ...]) -> None:
    """Refuse patterns and formats that do not fit the network, and budgets too small, before anything is trained."""
    space = build_space(spec.space, slots)
    # Bytes are of widths alone, wherever the proposals will be.
    anywhere = Anchors({(slot, limits.kind, bits): 0 for slot, limits, bits in space.needed_anchors()})
    smallest = allocation_of(dataclasses.replace(space, anchors=anywhere), slots).smallest_bytes
    for budget in spec.search.budgets:
        if budget < smallest:
            raise SpecError(
                f"a budget must hold the smallest candidate's {smallest} bytes, but got {budget} (search.budgets)"
            )
    require_references(spec.search.uniform, slots)


def _formats(spec: StudySpec, space: SearchSpace, baseline: Baseline) -> tuple[tuple[Slot, Format], ...]:
    """Formats of every kind that may come up, so that workers trace their graphs once."""
    uniform = [pair for known, _ in references(spec.search.uniform, baseline) for pair in known.items()]
    return tuple(dict.fromkeys([*space.examples(), *uniform]))


def _known_baseline(data: PreparedData, spec: StudySpec, home: Home, observer: Observer) -> Baseline | None:
    """The float baseline if it is cached here: no worker has to start TensorFlow to find it."""
    digest = baseline_digest(data, evaluation_settings(spec), spec.seed, spec.workers.cpus)
    baseline = load_baseline(baseline_path(home.cache, digest))
    if baseline is not None:
        observer.baseline(baseline)
    return baseline


def _baseline(
    pool: WorkerPool, shared: Any, settings: EvaluationSettings, spec: StudySpec, home: Home, observer: Observer
) -> Baseline:
    for item in pool.baseline(shared, settings, spec.seed, home.cache):
        observer.baseline(item)
    assert isinstance(item, Baseline)
    path = baseline_path(home.cache, item.digest)
    if load_baseline(path) is None:  # The worker's cache was another machine's.
        save_baseline(item, path)
    return item
