"""Ray actors that keep TensorFlow, data and graphs warm; the only file that imports ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from wordlength.errors import WorkerError
from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.quiet import start_tensorflow
from wordlength.objectives.report import TrialJob, Weights
from wordlength.objectives.settings import EvaluationSettings
from wordlength.space import Candidate, Format, SearchSpace, Slot, SlotInfo


@dataclass(frozen=True)
class DamagesJob:
    """Find what each of these formats by itself does to the float model: gives their damages. `part`: of all."""

    part: int
    alternatives: tuple[Mapping[Slot, Format], ...]


@dataclass(frozen=True)
class SharedJob:
    """Train one set of weights for all formats of the space: gives the weights."""

    space: SearchSpace
    passes: int
    seed: int


@dataclass(frozen=True)
class AssessJob:
    """Judge a candidate with shared weights, which are submitted beside it: gives (STOI improvement or None,).

    `share`: of the representative subset that it is first trained on, 0 for none.
    """

    candidate: Candidate
    rung: int
    share: float
    mixtures: int
    seed: int


Job = TrialJob | DamagesJob | SharedJob | AssessJob


@dataclass(frozen=True)
class Finished:
    """A job that ended: what it gives (for a trial report and weights), or the reason why it gives nothing.

    `died`: the worker did; else the job raised an exception.
    """

    job: Job
    result: Any
    reason: str = ""
    died: bool = False


@dataclass(frozen=True)
class Progress:
    """The share of a job that is done; it goes on."""

    job: Job
    share: float


class _BaselineWorker:
    """Knows the network before there are weights; trains the float baseline, or finds it in the cache."""

    def __init__(self, threads: int, verbose: bool) -> None:
        self._threads = threads
        start_tensorflow(threads, verbose)

    def slots(self, settings: EvaluationSettings) -> tuple[SlotInfo, ...]:
        from wordlength.objectives.models import build_model
        from wordlength.space import find_slots

        return find_slots(build_model(settings.model, seed=0))

    def run(
        self, data: PreparedData, settings: EvaluationSettings, seed: int, cache: Path
    ) -> Iterator[BaselineProgress | Baseline]:
        from wordlength.objectives.baseline import prepare_baseline

        yield from prepare_baseline(data, settings.model, settings.training, seed, cache, self._threads)


class _TrialWorker:
    """Evaluates one candidate after another."""

    def __init__(
        self,
        data: PreparedData,
        baseline: Baseline,
        settings: EvaluationSettings,
        formats: tuple[tuple[Slot, Format], ...],
        threads: int,
        verbose: bool,
    ) -> None:
        start_tensorflow(threads, verbose)
        from wordlength.objectives.evaluate import Evaluator

        self._evaluator = Evaluator(data, baseline, settings, formats)

    def run(self, job: Job, weights: Weights = ()) -> Iterator[Any]:
        """What the job gives; before it, perhaps, some Progress."""
        from wordlength.objectives.screening import Screener

        match job:
            case TrialJob():
                yield self._evaluator.evaluate(job)
            case DamagesJob():
                yield Screener(self._evaluator).damages(job.alternatives)
            case SharedJob():
                for state in Screener(self._evaluator).train_shared(job.space, job.passes, job.seed):
                    yield Progress(job, state) if isinstance(state, float) else state
            case AssessJob():
                screener = Screener(self._evaluator, job.mixtures)
                yield (screener.assess(job.candidate, weights, job.share, job.seed),)

    def traces(self) -> dict[str, int]:
        return self._evaluator.traces


def _actor(kind: type, cpus: int) -> Any:
    """The class as a Ray actor that holds so many cores."""
    return ray.remote(kind).options(num_cpus=cpus)


class WorkerPool:
    """A fixed number of warm workers on local Ray or on a cluster; use as a context manager.

    `address`: a Ray cluster's, or None for this machine. `count`: workers, None for as many as there is
    room for. `cpus`: cores and TensorFlow threads of each. Raises WorkerError if that does not fit.
    """

    def __init__(self, address: str | None, count: int | None, cpus: int, verbose: bool = False) -> None:
        self._verbose = verbose
        self._cpus = cpus
        self._baseline_worker: Any = None
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Job, Any]] = {}
        self._make: Callable[[], Any]
        # A session that the caller began is used as it is, and is the caller's to end.
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            _connect(address, verbose)
        room = sum(int(node["Resources"].get("CPU", 0)) // cpus for node in ray.nodes() if node["Alive"])
        if (count or 1) > room:
            self.close()
            raise WorkerError(
                f"workers must fit the machine's cores, but got {count or 1} x {cpus} CPUs with room for {room} "
                "(workers.count, workers.cpus)"
            )
        self.count = count or room

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def share(self, data: PreparedData) -> Any:
        """Put the data into Ray's object store, once per node and without copies for the workers."""
        return ray.put(data)

    def slots(self, settings: EvaluationSettings) -> tuple[SlotInfo, ...]:
        """The network's slots, before anything is trained."""
        # As many threads as a trial has, whatever the number of workers: sums over other threads round differently,
        # and with two the baseline was only a quarter faster.
        self._baseline_worker = _actor(_BaselineWorker, self._cpus).remote(self._cpus, self._verbose)
        try:
            return tuple(ray.get(self._baseline_worker.slots.remote(settings)))
        except RayError as error:
            raise WorkerError(f"the network must build, but it failed: {reason_of(error)}") from None

    def baseline(
        self, data: Any, settings: EvaluationSettings, seed: int, cache: Path
    ) -> Iterator[BaselineProgress | Baseline]:
        """The float baseline, epoch by epoch; last item the Baseline. After `slots`."""
        try:
            for item in self._baseline_worker.run.options(num_returns="streaming").remote(data, settings, seed, cache):
                yield ray.get(item)
        except RayError as error:
            raise WorkerError(f"the float baseline must train, but its worker failed: {reason_of(error)}") from None
        finally:
            ray.kill(self._baseline_worker)
            self._baseline_worker = None

    def start(
        self,
        data: Any,
        baseline: Baseline,
        settings: EvaluationSettings,
        formats: tuple[tuple[Slot, Format], ...] = (),
    ) -> None:
        """Start the workers; they get ready while the first jobs wait for them. `formats`: see Evaluator."""
        shared = ray.put(baseline)
        self._make = lambda: _actor(_TrialWorker, self._cpus).remote(
            data, shared, settings, formats, self._cpus, self._verbose
        )
        self._idle = [self._make() for _ in range(self.count)]

    @property
    def free(self) -> int:
        """Workers without a job."""
        return len(self._idle)

    @property
    def running(self) -> list[Job]:
        """Jobs under way."""
        return [job for job, _ in self._running.values()]

    @property
    def trials(self) -> list[TrialJob]:
        """Trials under way."""
        return [job for job in self.running if isinstance(job, TrialJob)]

    def keep(self, value: Any) -> Any:
        """Put a value where every worker can read it; `submit` takes what comes back."""
        return ray.put(value)

    def submit(self, job: Job, *kept: Any) -> None:
        """Give a job to a free worker."""
        worker = self._idle.pop()
        self._running[worker.run.options(num_returns="streaming").remote(job, *kept)] = (job, worker)

    def wait(self, timeout_seconds: float) -> list[Finished | Progress]:
        """What jobs told meanwhile; a dead worker is replaced and its job comes back with a reason."""
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout_seconds)
        return [self._collect(told) for told in ready]

    def traces(self) -> list[dict[str, int]]:
        """Graph traces of every idle worker."""
        return list(ray.get([worker.traces.remote() for worker in self._idle]))

    def close(self) -> None:
        """Stop the workers; local Ray ends with them."""
        for worker in (*self._idle, *(worker for _, worker in self._running.values())):
            ray.kill(worker)
        self._idle, self._running = [], {}
        if self._owns_ray:
            ray.shutdown()

    def _collect(self, told: Any) -> Finished | Progress:
        job, worker = self._running[told]
        try:
            result = ray.get(next(told))
        except RayActorError as error:
            finished = Finished(job, None, f"worker died: {reason_of(error)}", died=True)
            worker = self._make()
        except RayError as error:
            finished = Finished(job, None, reason_of(error))
        else:
            if isinstance(result, Progress):
                return result
            finished = Finished(job, result)
        del self._running[told]
        self._idle.append(worker)
        return finished


def _connect(address: str | None, verbose: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    level = "INFO" if verbose else "ERROR"
    dashboard = None if address else False
    try:
        ray.init(address, include_dashboard=dashboard, log_to_driver=verbose, logging_level=level)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WorkerError(f"Ray must be reachable, but {address or 'local Ray'} is not: {_first_line(error)}") from None


def reason_of(error: BaseException) -> str:
    """The exception that a worker raised, in one line."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if isinstance(error, RayActorError) and len(lines) > 1 and "creation task" in lines[0]:
        return lines[-1]  # Ray tells it with a traceback, whose last line is the exception.
    return f"{type(cause).__name__}: {_first_line(cause)}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
