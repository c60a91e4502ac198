"""What runs inside a worker's process: TensorFlow, data and graphs, kept warm from job to job. Knows no Ray.

A class that takes jobs has `run`, a generator whose last item is what the job gives and whose other items are
JobProgress, and `ready`, which returns once jobs can be taken, and where they would be run by what.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.objectives.quiet import start_tensorflow
from wordlength.objectives.report import TrialJob, Weights
from wordlength.objectives.settings import EvaluationSettings
from wordlength.objectives.shape import NetworkShape
from wordlength.search.installed import machine
from wordlength.search.jobs import AssessJob, DamagesJob, Job, JobProgress, SharedJob
from wordlength.space import Format, Slot, SlotInfo


class Worker(Protocol):
    """Takes one job after another."""

    def ready(self) -> tuple[str, dict[str, str]]:
        """Once the worker can take jobs: its machine and what is installed there, see installed.machine."""

    def run(self, job: Job, *kept: Any) -> Iterator[Any]:
        """What the job gives; before it, perhaps, some JobProgress."""


class BaselineWorker:
    """Knows the network before there are weights; trains the float baseline, or finds it in the cache."""

    def __init__(self, threads: int, verbose: bool) -> None:
        self._threads = threads
        start_tensorflow(threads, verbose)

    def slots(self, settings: EvaluationSettings, shape: NetworkShape) -> tuple[SlotInfo, ...]:
        """Of the network that the settings describe."""
        from wordlength.objectives.models.float_network import float_network
        from wordlength.space import find_slots

        return find_slots(float_network(settings.model, shape))

    def run(
        self, data: PreparedData, settings: EvaluationSettings, seed: int, cache: Path
    ) -> Iterator[BaselineProgress | Baseline]:
        """Epoch by epoch; last item the Baseline."""
        from wordlength.objectives.baseline import prepare_baseline

        yield from prepare_baseline(data, settings, seed, cache, self._threads)


class TrialWorker:
    """Evaluates one candidate after another. `formats`: see Evaluator."""

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

    def ready(self) -> tuple[str, dict[str, str]]:
        """Ray answers this once the constructor has returned."""
        return machine()

    def run(self, job: Job, weights: Weights = ()) -> Iterator[Any]:
        """What the job gives; before it, perhaps, some JobProgress."""
        from wordlength.objectives.screening import Screener

        match job:
            case TrialJob():
                yield self._evaluator.evaluate(job)
            case DamagesJob():
                yield Screener(self._evaluator).damages(job.alternatives)
            case SharedJob():
                for state in Screener(self._evaluator).train_shared(job.space, job.passes, job.seed):
                    yield JobProgress(job, state) if isinstance(state, float) else state
            case AssessJob():
                screener = Screener(self._evaluator, job.mixtures)
                yield (screener.assess(job.candidate, weights, job.share, job.seed),)

    def traces(self) -> dict[str, int]:
        """Of each of its graphs, so far."""
        return self._evaluator.traces
