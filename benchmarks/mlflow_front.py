"""What MLflow costs a study: milliseconds of recording per trial, seconds until a view of all trials is drawn.

    .venv/bin/python benchmarks/mlflow_front.py [--trials 2000] [--store FOLDER] [--rounds 5]

Records made-up trials of the case study's size through the real recorder: 27 slots, of which 18 are searched, two steps
of one epoch, every figure, note and page, 1.9 MB of weights with each front member. Recording and drawing are timed
apart: a launch draws at most every 20 seconds, this loop would do it all the time. Then opens the study again, as a
resumed launch does, and each view several times in Chromium, as a first visit, in a window high enough for all its
charts. Takes some minutes; with --store the study stays, and only its views are opened the next time.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from mlflow import MlflowClient

sys.path.append(str(Path(__file__).parents[1] / "tests" / "browser"))

from browser import Browser, find_chromium, running_browser

from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport, TrialState
from wordlength.search.front import FloatPoint
from wordlength.search.tracking import Description, Tracker, tracker
from wordlength.search.trials import StudyView, TrialRow
from wordlength.search.ui import UiServer
from wordlength.search.views import link
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot, SlotInfo
from wordlength.space.slots import TensorInfo

PARAMETERS = {
    "conv_1": (72, 8),
    "conv_2": (200, 16),
    "conv_3": (400, 16),
    "conv_4": (656, 32),
    "conv_5": (2336, 64),
    "conv_6": (4672, 64),
    "dense_1": (131072, 512),
    "dense_2": (262144, 512),
    "dense_3": (66048, 129),
}
SLOTS = tuple(
    SlotInfo(Slot(layer, role), (TensorInfo(role, (sizes[place],)),) if place < 2 else ())
    for layer, sizes in PARAMETERS.items()
    for place, role in enumerate(Role)
)
BASELINE = FloatPoint({"stoi_improvement": 0.044, "memory_bytes": 1_875_812}, 1_875_812)
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


def report(number: int, count: int, rng: random.Random) -> TrialReport:
    """One in ten pruned, one in fifty failed, the rest a cloud below a curve that about 40 trials reach."""
    formats = {}
    for info in SLOTS:
        wide = info.slot.role is not Role.WEIGHTS
        bits = 16 if wide else rng.randint(2, 8)
        formats[info.slot] = Fixed(bits, 2) if wide or rng.random() < 0.7 else PowerOfTwo(min(bits, 5), -1)
    candidate = Candidate.of(formats)
    state = TrialState.FAILED if number % 50 == 49 else TrialState.PRUNED if number % 10 == 9 else TrialState.COMPLETE
    memory = int(100_000 * 12 ** rng.random())
    best = number % (count // 40 or 1) == 0
    stoi = 0.05 - 1500 / memory - (not best) * (0.0005 + rng.random() / 50)
    steps = {TrialState.COMPLETE: (1, 2), TrialState.PRUNED: (1,), TrialState.FAILED: ()}[state]
    return TrialReport(
        number,
        candidate,
        state,
        memory,
        {"stoi_improvement": stoi, "memory_bytes": memory} if state is TrialState.COMPLETE else {},
        stoi if state is TrialState.COMPLETE else None,
        0.0035 if state is TrialState.COMPLETE else None,
        stoi - 0.044 if state is TrialState.COMPLETE else None,
        0.0008 if state is TrialState.COMPLETE else None,
        gains=tuple(stoi + rng.gauss(0, 0.02) for _ in range(60)) if state is TrialState.COMPLETE else (),
        reason="" if state is TrialState.COMPLETE else "precision of conv_2.weights is 99.0%, limit 90.0%",
        constraints={"overflow": -0.4, "underflow": -0.5, "precision": -0.1},
        losses=tuple((rng.random(),) for _ in steps),
        analyses=tuple(analysis(info.slot, candidate, step, rng) for step in steps for info in SLOTS),
        accumulators=tuple(
            Accumulator(layer, "kernel", step, 1, -9.1, 8.2, -3.1, 2.2, 12, True)
            for step in steps
            for layer in PARAMETERS
        ),
        seconds={"step1_training": 7.5, "step1_analysis": 0.4, "step2_training": 7.5, "prediction": 2.0, "stoi": 2.0},
    )


def analysis(slot: Slot, candidate: Candidate, step: int, rng: random.Random) -> LayerAnalysis:
    fmt = Float32() if step == 1 and slot.role is Role.ACTIVATIONS else candidate[slot]
    shares = [rng.random() ** 4 for _ in range(4)]
    bins = tuple((exponent, rng.randint(1, 1000)) for exponent in range(-18, 2))
    return LayerAnalysis(slot, fmt, step, 1, 100_000, *shares, 3.1, 2, -3.1, 2.9, 0.0, 0.5, 25.0, bins)


def row(report: TrialReport) -> TrialRow:
    return TrialRow(
        report.number,
        report.state.value,
        report.candidate,
        "",
        report.reason,
        report.values,
        report.standard_error,
        report.gains,
        report.baseline_difference,
        report.baseline_difference_error,
        report.memory_bytes,
        20.0,
        ended=datetime.now(),
    )


def record(store: str, folder: Path, count: int) -> None:
    """One trial after the other, as fast as they come."""
    weights = folder / "weights.npz"
    weights.write_bytes(os.urandom(BASELINE.memory_bytes))
    recorder = Tracker(store, folder / "artifacts", "large")
    searched = tuple(info.slot for info in SLOTS if info.slot.role is not Role.BIASES)
    recorder.begin(Description(BASELINE, SLOTS, searched))
    rng, rows, spent = random.Random(0), [], []
    drawn = timed_drawing()
    for number in range(count):
        finished = report(number, count, rng)
        rows.append(row(finished))
        view = StudyView("large", tuple(rows), BASELINE, count)
        assert len(view.front) <= number + 1  # The loop has asked for it already.
        before, started = sum(drawn), time.perf_counter()
        recorder.log_trial(finished)
        recorder.show(view, lambda number: weights)
        spent.append(time.perf_counter() - started - (sum(drawn) - before))
    started = time.perf_counter()
    recorder.show(view, lambda number: weights, final=True)
    recorder.finish()
    final = time.perf_counter() - started
    milliseconds = sorted(1000 * seconds for seconds in spent)
    print(
        f"recording, ms per trial: mean {statistics.mean(milliseconds):.1f}, "
        f"median {statistics.median(milliseconds):.1f}, 90 % below {milliseconds[int(0.9 * count)]:.1f}; "
        f"front of {len(view.front)}"
    )
    print(
        f"drawing: {len(drawn) - 1} times {1000 * statistics.median(drawn):.0f} ms; "
        f"the last, importance anew: {final:.1f} s"
    )
    started = time.perf_counter()
    Tracker(store, folder / "artifacts", "large").finish()
    print(f"opened again, as by a resumed launch: {time.perf_counter() - started:.1f} s", flush=True)


def timed_drawing() -> list[float]:
    """The seconds of each drawing from now on."""
    found: list[float] = []
    draw = tracker.Tracker._draw

    def timed(self: Tracker, *arguments: object) -> None:
        started = time.perf_counter()
        draw(self, *arguments)
        found.append(time.perf_counter() - started)

    tracker.Tracker._draw = timed
    return found


def seconds_to_open(browser: Browser, address: str, view: str) -> float:
    started = time.perf_counter()
    browser.open(address, height=HEIGHT)
    browser.wait_for(DRAWN.replace("CHARTS", str(CHARTS[view])), 60)
    return time.perf_counter() - started


def main(count: int, folder: Path, rounds: int) -> None:
    executable = find_chromium()
    assert executable, "Chromium must be on PATH"
    store = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    if MlflowClient(store).get_experiment_by_name("large") is None:
        record(store, folder, count)
    experiment = MlflowClient(store).get_experiment_by_name("large").experiment_id
    started = time.perf_counter()
    with UiServer(store, folder / "artifacts") as server, running_browser(executable) as browser:
        server.wait_until_ready()
        print(f"server ready after {time.perf_counter() - started:.1f} s", flush=True)
        times = {view: [] for view in CHARTS}
        for _ in range(rounds):
            for view in CHARTS:
                times[view].append(seconds_to_open(browser, server.address + link(experiment, view), view))
    for view, seconds in times.items():
        print(f"{view}: drawn after {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")


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
