"""A pool of warm workers on Ray, here or on a cluster; the only file that imports ray.

What runs inside a worker is in actors.py. A worker that dies is replaced and its job tried again; one that takes
longer than the study's limit is ended and replaced. Nothing is written here: what a worker gave counts once it is told.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.exceptions import RayActorError, RayError, RayTaskError

from wordlength.errors import ModelError, WorkerError, first_line, named
from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.report import TrialJob
from wordlength.objectives.settings import EvaluationSettings
from wordlength.objectives.shape import NetworkShape
from wordlength.search.actors import BaselineWorker, Worker
from wordlength.search.installed import check_same, installed
from wordlength.search.jobs import Finished, Job, JobProgress, Retried, Told
from wordlength.search.study_file.spec import WorkersSpec
from wordlength.space import SlotInfo

NODE_SECONDS = 120
"""How long a node of a cluster has to tell what is installed there."""
DEATHS_WHILE_STARTING = 3
"""Per worker: after so many deaths in a row before a worker was ready, with none that got ready, the study stops."""


@dataclass
class _Task:
    """A job on its way. `kept`: arguments beside it that lie in Ray's object store; `deaths`: of its workers so far."""

    job: Job
    kept: tuple[Any, ...]
    deaths: int = 0


@dataclass(frozen=True)
class _Running:
    task: _Task
    worker: Any
    due: float


class WorkerPool:
    """A number of warm workers on local Ray or on a cluster; use as a context manager.

    `address`: a Ray cluster's, or None for this machine. `settings`: how many workers (None: as many as there is room
    for), what each holds, how often a job is tried, how long it may take. Raises WorkerError if that does not fit (of a
    cluster, to which machines may still come: if not even one does), if Ray does not answer, or if the cluster's nodes
    have another wordlength installed.
    """

    def __init__(self, address: str | None, settings: WorkersSpec, verbose: bool = False) -> None:
        self._settings = settings
        self._verbose = verbose
        self._baseline_worker: Any = None
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._running: dict[Any, _Running] = {}
        self._waiting: deque[_Task] = deque()
        self._deaths_while_starting = 0
        self._make: Callable[[], Any]
        # A session that the caller began is used as it is, and is the caller's to end.
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            _connect(address, verbose)
        try:
            self.count = self._fitting(may_grow=address is not None)
            if address is not None:
                _check_nodes()
        except WorkerError:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def share(self, data: PreparedData) -> Any:
        """Put the data into Ray's object store, once per node and without copies for the workers."""
        return self.keep(data)

    def slots(self, settings: EvaluationSettings, shape: NetworkShape) -> tuple[SlotInfo, ...]:
        """The network's slots, before anything is trained."""
        # As many threads as a trial has, whatever the number of workers: sums over other threads round differently,
        # and with two the baseline was only a quarter faster.
        self._baseline_worker = self._actor(BaselineWorker).remote(self._settings.cpus, self._verbose)
        try:
            return tuple(ray.get(self._baseline_worker.slots.remote(settings, shape)))
        except RayError as error:
            raise _refusal(error) or WorkerError(f"the network must build, but it failed: {reason_of(error)}") from None

    def baseline(
        self, data: Any, settings: EvaluationSettings, seed: int, cache: Path
    ) -> Iterator[BaselineProgress | Baseline]:
        """The float baseline, epoch by epoch; last item the Baseline. After `slots`."""
        try:
            for item in self._baseline_worker.run.options(num_returns="streaming").remote(data, settings, seed, cache):
                yield ray.get(item)
        except RayError as error:
            raise _refusal(error) or WorkerError(
                f"the float baseline must train, but its worker failed: {reason_of(error)}"
            ) from None
        finally:
            ray.kill(self._baseline_worker)
            self._baseline_worker = None

    def start(self, kind: type[Worker], *arguments: Any) -> None:
        """Start the workers, each a `kind` made from these arguments; `wait` tells when they can be used."""
        self._make = lambda: self._actor(kind).remote(*arguments)
        for _ in range(self.count):
            self._begin()

    @property
    def free(self) -> int:
        """Workers that are ready and have nothing to do."""
        return max(0, len(self._idle) - len(self._waiting))

    @property
    def ready(self) -> int:
        """Workers that are ready, at work or not."""
        return len(self._idle) + len(self._running)

    @property
    def running(self) -> list[Job]:
        """Jobs under way, those that wait for another worker included."""
        return [known.task.job for known in self._running.values()] + [task.job for task in self._waiting]

    @property
    def trials(self) -> list[TrialJob]:
        """Trials under way."""
        return [job for job in self.running if isinstance(job, TrialJob)]

    def keep(self, value: Any) -> Any:
        """Put a value where every worker can read it; `submit` takes what comes back."""
        try:
            return ray.put(value)
        except RayError as error:
            raise WorkerError(f"Ray's object store must hold what workers share, but {reason_of(error)}") from None

    def submit(self, job: Job, *kept: Any) -> None:
        """Give a job to a free worker, or to the next that will be."""
        self._waiting.append(_Task(job, kept))
        self._dispatch()

    def wait(self, timeout_seconds: float) -> list[Told]:
        """What jobs told meanwhile. Raises WorkerError if no worker gets ready."""
        under_way = [*self._starting, *self._running]
        if not under_way:  # All are free, and whoever waits does so for another launch.
            time.sleep(timeout_seconds)
            return []
        first_due = min((known.due for known in self._running.values()), default=math.inf) - time.monotonic()
        timeout_seconds = max(0.0, min(timeout_seconds, first_due))
        ready, _ = ray.wait(under_way, num_returns=1, timeout=timeout_seconds)
        if ready:
            ready, _ = ray.wait(under_way, num_returns=len(under_way), timeout=0)
        told = [self._collect(reference) for reference in ready if reference in self._running]
        for reference in ready:
            if reference in self._starting:
                self._started(reference)
        told += [self._end(reference) for reference in self._overdue()]
        self._dispatch()
        return told

    def traces(self) -> list[dict[str, int]]:
        """Graph traces of every idle worker."""
        return list(ray.get([worker.traces.remote() for worker in self._idle]))

    def close(self) -> None:
        """Stop the workers; local Ray ends with them."""
        busy = (known.worker for known in self._running.values())
        for worker in (*self._idle, *self._starting.values(), *busy):
            ray.kill(worker)
        self._idle, self._starting, self._running = [], {}, {}
        self._waiting.clear()
        if self._owns_ray:
            ray.shutdown()

    def _actor(self, kind: type) -> Any:
        """The class as a Ray actor that holds what the study file gives each worker."""
        needs = self._settings
        return ray.remote(kind).options(num_cpus=needs.cpus, num_gpus=needs.gpus, memory=needs.memory)

    def _fitting(self, may_grow: bool) -> int:
        """How many workers there will be."""
        needs, asked = self._settings, self._settings.count or 1
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory or 0}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(min(int(node.get(name, 0) // each) for name, each in wanted.items() if each) for node in nodes)
        if (1 if may_grow else asked) > room:
            each = f"{needs.cpus} CPUs" + (f", {needs.gpus:g} GPUs" if needs.gpus else "")
            each += f", {needs.memory} bytes" if needs.memory else ""
            keys = ", ".join(f"workers.{name}" for name in ("count", "cpus", "gpus", "memory") if getattr(needs, name))
            raise WorkerError(f"workers must fit the machines, but got {asked} x {each} with room for {room} ({keys})")
        return needs.count or room

    def _begin(self) -> None:
        worker = self._make()
        self._starting[worker.ready.remote()] = worker

    def _started(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            place, found = ray.get(reference)
        except RayError as error:
            self._deaths_while_starting += 1
            raised = _raised_while_starting(error)
            if raised or self._deaths_while_starting >= DEATHS_WHILE_STARTING * self.count:
                raise WorkerError(f"workers must get ready, but they do not: {reason_of(error)}") from None
            self._begin()
        else:
            check_same(place, found, installed())  # Its machine may have joined after the others were asked.
            self._deaths_while_starting = 0
            self._idle.append(worker)

    def _dispatch(self) -> None:
        while self._waiting and self._idle:
            task, worker = self._waiting.popleft(), self._idle.pop()
            reference = worker.run.options(num_returns="streaming").remote(task.job, *task.kept)
            self._running[reference] = _Running(task, worker, time.monotonic() + 60 * self._settings.minutes)

    def _collect(self, reference: Any) -> Told:
        known = self._running[reference]
        task = known.task
        try:
            result = ray.get(next(reference))
        except RayTaskError as error:  # The job's own: it would fail again.
            told: Told = Finished(task.job, None, reason_of(error))
        except RayError as error:
            return self._died(reference, reason_of(error))
        else:
            if isinstance(result, JobProgress):
                return result
            told = Finished(task.job, result)
        del self._running[reference]
        self._idle.append(known.worker)
        return told

    def _died(self, reference: Any, reason: str) -> Told:
        task = self._replace(reference)
        task.deaths += 1
        if task.deaths <= self._settings.retries:
            self._waiting.append(task)
            return Retried(task.job, task.deaths, reason)
        times = f" {task.deaths} times" if task.deaths > 1 else ""
        return Finished(task.job, None, f"worker died{times}: {reason}")

    def _overdue(self) -> list[Any]:
        now = time.monotonic()
        return [reference for reference, known in self._running.items() if known.due <= now]

    def _end(self, reference: Any) -> Finished:
        task = self._replace(reference)
        return Finished(task.job, None, f"it took longer than {self._settings.minutes:g} minutes (workers.minutes)")

    def _replace(self, reference: Any) -> _Task:
        """Another worker for one that is dead, or lost, or hangs."""
        known = self._running.pop(reference)
        ray.kill(known.worker)  # It may live on where it cannot be reached.
        self._begin()
        return known.task


def try_local() -> float:
    """Start local Ray with a core, have a task answer, stop it: seconds. Raises WorkerError, or what Ray raises."""
    started = time.monotonic()
    _connect(None, False, cores=1)
    try:
        assert ray.get(ray.remote(lambda: 1).remote()) == 1
    finally:
        ray.shutdown()
    return time.monotonic() - started


def _connect(address: str | None, verbose: bool, cores: int | None = None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    level = "INFO" if verbose else "ERROR"
    dashboard = None if address else False
    _listen_on_loopback_only(address is None)
    try:
        # Without "local", Ray would join whatever cluster was started last on this machine.
        ray.init(
            address or "local",
            num_cpus=cores,
            include_dashboard=dashboard,
            log_to_driver=verbose,
            logging_level=level,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        hint = " (one with a token also needs RAY_AUTH_TOKEN, RAY_AUTH_MODE=token)" if address else ""
        told = f"{address or 'local Ray'} is not: {first_line(error)}{hint}"
        raise WorkerError(f"Ray must be reachable, but {told}") from None


def _listen_on_loopback_only(only: bool) -> None:
    """Have Ray's processes do so, or not; on other systems than Linux they do by themselves."""
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0" if only else "1"
    ray_constants.ENABLE_RAY_CLUSTER = not only  # This process has read the variable already.


def _check_nodes() -> None:
    """Raise WorkerError unless every node would run what the driver runs."""
    asked, here = {}, installed()
    for node in ray.nodes():
        if node["Alive"]:
            there = {f"node:{node['NodeManagerAddress']}": 0.001}
            asked[node["NodeManagerAddress"]] = ray.remote(installed).options(num_cpus=0, resources=there).remote()
    for place, reference in asked.items():
        try:
            found = ray.get(reference, timeout=NODE_SECONDS)
        except RayError as error:
            raise WorkerError(f"every node must have wordlength, but {place} has not: {reason_of(error)}") from None
        check_same(place, found, here)


def _raised_while_starting(error: RayError) -> bool:
    """Whether a worker's constructor raised, which it would do again."""
    return isinstance(error, RayTaskError) or "creation task" in str(error).partition("\n")[0]


def _refusal(error: RayError) -> ModelError | None:
    """What a worker said of the user's network: it stands as it is."""
    cause = getattr(error, "cause", None)
    return ModelError(str(cause)) if isinstance(cause, ModelError) else None


def reason_of(error: BaseException) -> str:
    """The exception that a worker raised, in one line."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if isinstance(error, RayActorError) and len(lines) > 1 and "creation task" in lines[0]:
        return lines[-1]  # Ray tells it with a traceback, whose last line is the exception.
    return named(cause)
