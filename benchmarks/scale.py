"""How many workers one driver keeps busy: real driver, storage and tracking, workers that only sleep.

    .venv/bin/python benchmarks/scale.py                                  # every combination: some hours
    .venv/bin/python benchmarks/scale.py --workers 256 --finished 10000 --storage sqlite --tracking direct --seconds 30

A study gets FINISHED trials in its storage (and no runs in MLflow), then WORKERS workers run trials of SECONDS each, a
fifth more or less, for MINUTES. A worker is a thread of a Ray actor that sleeps: 256 processes would need more memory
than this machine has. Printed: the share of the workers' time in which they worked, once all had begun; trials told a
second; the driver's milliseconds in ask and tell; the share of the time in which it did not wait for workers; the
trials that MLflow had not yet got 30 s after the end.
"""

import argparse
import contextlib
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
import ray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reliability"))
import rehearsal
from servers import has_postgresql, mlflow_server, postgresql

from wordlength.objectives.report import TrialJob
from wordlength.search import launch, opening
from wordlength.search.delivery import Delivery
from wordlength.search.drivers import joined
from wordlength.search.home import Home
from wordlength.search.observer import Observer
from wordlength.search.stopping import stop_signals
from wordlength.search.study import StudyStore
from wordlength.search.workers import WorkerPool

SPREAD = 0.2
"""Of the trials' durations."""
THREADS = 64
"""Simulated workers of each actor."""


class TimedWorker(rehearsal.SleepingWorker):
    """Gives in place of weights when it began and ended."""

    def run(self, job):
        began = time.time()
        for told in super().run(job):
            yield (told[0], (np.array([began, time.time()]),)) if isinstance(job, TrialJob) else told


class SimulatedPool(WorkerPool):
    """Its workers are threads of few actors; `worked`: when each trial ran."""

    def _fitting(self, may_grow):
        return self._settings.count

    def start(self, kind, *arguments):
        self.worked = []
        hosts = -(-self.count // THREADS)
        made = ray.remote(kind).options(num_cpus=0, max_concurrency=THREADS)
        places = itertools.cycle([made.remote(*arguments) for _ in range(hosts)])
        self._make = lambda: next(places)
        for _ in range(self.count):
            self._begin()

    def _collect(self, reference):
        told = super()._collect(reference)
        if isinstance(told.job, TrialJob):
            self.worked.append(told.result[1][0])
        return told

    def busy(self, longest_seconds):
        """Share of the workers' time from when all had begun until the first of the last ones could have begun."""
        began, ended = np.array(self.worked).T
        first, last = np.sort(began)[self.count - 1], ended.max() - longest_seconds
        worked = np.minimum(ended, last) - np.maximum(began, first)
        return worked.clip(0).sum() / (self.count * (last - first))


class Clock:
    """Durations of a method's calls."""

    def __init__(self, owner, name):
        self.seconds, made = [], getattr(owner, name)

        def timed(*arguments, **named):
            began = time.perf_counter()
            result = made(*arguments, **named)
            self.seconds.append(time.perf_counter() - began)
            return result

        setattr(owner, name, timed)

    def told(self):
        kept = sorted(self.seconds[len(self.seconds) // 4 :])
        if not kept:
            return "–"
        return f"{1000 * statistics.median(kept):.0f} ({1000 * kept[-1 - len(kept) // 20]:.0f})"


class Results:
    """What a method's calls gave."""

    def __init__(self, owner, name):
        self.results, made = [], getattr(owner, name)

        def kept(*arguments, **named):
            self.results.append(made(*arguments, **named))
            return self.results[-1]

        setattr(owner, name, kept)


class Watch(Observer):
    """When trials ended; stops the study after a time."""

    def __init__(self, minutes):
        self.minutes, self.began, self.over = minutes, None, False

    def trial(self, view):
        now = time.monotonic()
        if self.began is None:
            self.began, self.known = now, view.finished
        self.seconds, self.ended = now - self.began, view.finished - self.known
        if self.seconds > 60 * self.minutes and not self.over:
            self.over = True
            raise KeyboardInterrupt


def fill(store, space, slots, count, seed=1):
    """Finished trials of random candidates, straight into the storage."""
    chance = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=seed))
    study = store._study
    for _ in range(count):
        trial = chance.ask()
        candidate = space.suggest(trial)
        size = rehearsal.memory_bytes(slots, candidate)
        known = chance._storage.get_trial(trial._trial_id)
        study.add_trial(
            optuna.trial.create_trial(
                values=[rehearsal.improvement(candidate), float(size)],
                params=known.params,
                distributions=known.distributions,
                user_attrs={
                    "candidate": candidate.to_dict(),
                    "digest": candidate.digest,
                    "driver": "filled",
                    "result": {"memory_bytes": size, "seconds": 30.0},
                },
            )
        )


def measure(workers, finished, storage, tracking, seconds, minutes, kept):
    """One row of the table. `kept`: folder of filled SQLite files, copied where they are known."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale")))
        options = [str(home), "--trials", "1000000", "--workers", str(workers), "--seconds", str(seconds)]
        if storage == "postgresql":
            options += ["--optuna", stack.enter_context(postgresql()).address]
        if tracking == "server":
            options += ["--tracking", stack.enter_context(mlflow_server(home / "mlflow")).address]
        asked = rehearsal.parser().parse_args([*options, "--patience", "0.5"])
        place, spec, known = Home(home), rehearsal.study_of(asked), rehearsal.baseline()
        space, filled = launch.search_space(spec, known), kept / f"{finished}.db"
        if storage == "sqlite" and filled.exists():
            shutil.copy(filled, home / "optuna.db")
        else:
            with contextlib.closing(StudyStore.create(spec, place.optuna_address(spec))) as store:
                fill(store, space, known.slots, finished)
            if storage == "sqlite":
                shutil.copy(home / "optuna.db", filled)
        watch, folder = Watch(minutes), place.study(spec.name)
        os.environ["PYTHONPATH"] = str(Path(rehearsal.__file__).parent)  # Of Ray's workers.
        with stop_signals() as stopping, folder.locked(), joined(folder.path) as drivers:
            pool = stack.enter_context(SimulatedPool(None, spec.workers))
            pool.start(TimedWorker, home, seconds, SPREAD)
            prepared = opening.Prepared("rehearsal", known, space, lambda name: rehearsal.description(known, name))
            ask, tell = Clock(StudyStore, "ask"), Clock(StudyStore, "tell")
            waited, left = Clock(WorkerPool, "wait"), Results(Delivery, "end")
            with contextlib.suppress(KeyboardInterrupt):
                opening.run_study(spec, place, prepared, pool, drivers, watch, stopping)
        own, busy = 1 - sum(waited.seconds) / watch.seconds, pool.busy(seconds * (1 + SPREAD))
        return busy, watch.ended / watch.seconds, ask.told(), tell.told(), own, left.results[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="*", default=[4, 64, 256])
    parser.add_argument("--finished", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--storage", nargs="*", default=["sqlite", *(["postgresql"] if has_postgresql() else [])])
    parser.add_argument("--tracking", nargs="*", default=["direct", "server"])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--minutes", type=float, default=3)
    asked = parser.parse_args()
    figures = ("busy", "trials/s", "ask, ms (95 %)", "tell, ms (95 %)", "driver at work", "left")
    print("| workers | finished | storage | MLflow |", " | ".join(figures), "|")
    print("| ---: | ---: | --- | ---", *["---:"] * len(figures), sep=" | ", end=" |\n")
    with tempfile.TemporaryDirectory(prefix="filled") as kept:
        for case in itertools.product(asked.workers, asked.finished, asked.storage, asked.tracking):
            busy, rate, ask, tell, own, left = measure(*case, asked.seconds, asked.minutes, Path(kept))
            workers, finished, storage, tracking = case
            row = f"| {workers} | {finished:,} | {storage} | {tracking} | {100 * busy:.1f} % | {rate:.2f}"
            print(f"{row} | {ask} | {tell} | {100 * own:.0f} % | {left} |", flush=True)


if __name__ == "__main__":
    main()
