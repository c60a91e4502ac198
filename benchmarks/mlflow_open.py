"""How long MLflow's UI takes to open a large study: seconds until all charts of a view are drawn.

    .venv/bin/python benchmarks/mlflow_open.py [--trials 2000] [--store FOLDER] [--rounds 5]

Writes a study of made-up trials with about 300 metrics each, which takes minutes; with --store it stays, and is used
again. Every round opens the three views, each as a first visit, in a window high enough for all charts.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mlflow import MlflowClient

sys.path.append(str(Path(__file__).parents[1] / "tests" / "browser"))

from browser import Browser, find_chromium, running_browser
from mlflow_study import OBJECTIVES, SLOTS, Study, Trial, mlflow_server

from wordlength.search.views import link, published_views

CHARTS = {"pareto-front": 3, "all-trials": 5, "fixed-point-health": 4}
HEIGHT = 2600
"""Pixels in which all charts lie in the window: the page draws the others when they are scrolled to."""

DRAWN = """
(() => {
  const scatters = [...document.querySelectorAll('.js-plotly-plot')].filter(e => e.data?.[0]?.x.length > 0)
  const parallel = [...document.querySelectorAll('.parcoords')].filter(e => e.querySelector('.dimension'))
  return scatters.length + parallel.length >= CHARTS
})()
"""


def trials(count: int) -> list[Trial]:
    """One in ten pruned, one in fifty failed, the rest a cloud below a curve that about 40 trials reach."""
    rng = random.Random(0)
    found = []
    for number in range(count):
        memory = float(rng.randint(12_000, 90_000))
        if number % 50 == 49:
            found.append(Trial(number, "failed"))
        elif number % 10 == 9:
            found.append(Trial(number, "pruned", memory))
        else:
            best = number % (count // 40 or 1) == 0
            found.append(Trial(number, "complete", memory, 0.05 - 600 / memory - (not best) * rng.random() / 50, best))
    return found


def write(client: MlflowClient, count: int) -> None:
    study = Study(client, "large")
    started = time.perf_counter()
    for trial in trials(count):
        study.add(trial)
    seconds = time.perf_counter() - started
    print(f"{count} trials written in {seconds:.0f} s, {1000 * seconds / count:.0f} ms each", flush=True)


def seconds_to_open(browser: Browser, address: str, view: str) -> float:
    started = time.perf_counter()
    browser.open(address, height=HEIGHT)
    browser.wait_for(DRAWN.replace("CHARTS", str(CHARTS[view])), 60)
    return time.perf_counter() - started


def main(count: int, folder: Path, rounds: int) -> None:
    executable = find_chromium()
    assert executable, "Chromium must be on PATH"
    store = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=store)
    if client.get_experiment_by_name("large") is None:
        write(client, count)
    experiment = client.get_experiment_by_name("large").experiment_id
    for view in published_views(SLOTS, OBJECTIVES):
        client.set_experiment_tag(experiment, *view.tag)
    started = time.perf_counter()
    with mlflow_server(store, folder) as server:
        print(f"server ready after {time.perf_counter() - started:.1f} s", flush=True)
        with running_browser(executable) as browser:
            times = {view: [] for view in CHARTS}
            for _ in range(rounds):
                for view in CHARTS:
                    times[view].append(seconds_to_open(browser, server + link(experiment, view), view))
    for view, seconds in times.items():
        print(f"{view}: {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--store", type=Path, help="folder of the store; by default one that is deleted afterwards")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        where = options.store or Path(temporary)
        where.mkdir(parents=True, exist_ok=True)
        main(options.trials, where, options.rounds)
