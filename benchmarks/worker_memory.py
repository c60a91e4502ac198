"""What a worker holds in memory, and whether it grows: one warm worker, trial after trial of random candidates.

    .venv/bin/python benchmarks/worker_memory.py examples/klein.yaml --trials 200

The study's data and float baseline must be in WORDLENGTH_HOME, as any launch leaves them. Printed after trials 1, 10
and every 20th: resident memory of the worker's process (its share of the object store's pages included) and without
pages that it shares; in the end its growth since the tenth trial, and the peak.
"""

import argparse
import time
from pathlib import Path

import optuna
import psutil

from wordlength import Home, TrialJob, load_spec
from wordlength.objectives.baseline import baseline_digest, baseline_path, load_baseline
from wordlength.search.actors import TrialWorker
from wordlength.search.jobs import Finished
from wordlength.search.launch import evaluation_settings, prepare_data, search_space
from wordlength.search.workers import WorkerPool

MEBIBYTE = 1 << 20


def worker_process():
    """The one of this process' that Ray calls by its class."""
    own = psutil.Process().children(recursive=True)
    (found,) = [process for process in own if "".join(process.cmdline()).startswith("ray::TrialWorker")]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--trials", type=int, default=200)
    asked = parser.parse_args()
    spec, home = load_spec(asked.study), Home.default()
    data = prepare_data(spec, home)
    digest = baseline_digest(data, evaluation_settings(spec), spec.seed, spec.workers.cpus)
    baseline = load_baseline(baseline_path(home.cache, digest))
    if baseline is None:
        raise SystemExit(f"the float baseline of {asked.study} is not in {home.cache}; launch the study first")
    space, sizes = search_space(spec, baseline), {}
    chance = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    workers = spec.workers.model_copy(update={"count": 1})
    peak = 0
    with WorkerPool(None, workers) as pool:
        settings = evaluation_settings(spec)
        pool.start(
            TrialWorker, pool.share(data), pool.keep(baseline), settings, tuple(space.examples()), workers.cpus, False
        )
        began = time.monotonic()
        for number in range(1, asked.trials + 1):
            pool.submit(TrialJob(number, space.suggest(chance.ask())))
            told = []
            while not any(isinstance(one, Finished) for one in told):
                told = pool.wait(2)
                if pool.ready:
                    peak = max(peak, worker_process().memory_info().rss)
            memory = worker_process().memory_info()
            sizes[number] = memory.rss
            if number in (1, 10) or number % 20 == 0:
                own = memory.rss - memory.shared
                print(f"trial {number}: {memory.rss / MEBIBYTE:.0f} MiB, {own / MEBIBYTE:.0f} MiB unshared", flush=True)
    seconds = (time.monotonic() - began) / asked.trials
    growth = 100 * (sizes[asked.trials] / sizes[min(10, asked.trials)] - 1)
    print(f"growth since the tenth trial {growth:+.1f} %, peak {peak / MEBIBYTE:.0f} MiB, {seconds:.1f} s a trial")


if __name__ == "__main__":
    main()
