"""A study whose trials only sleep: real driver, storage, tracking and Ray workers, a made-up objective.

    python tests/reliability/rehearsal.py HOME --trials 20 --seconds 0.2 [--kill tell:after:3] …

Prints one JSON line with what came of it. `--kill WHERE:before|after:N` ends this process with SIGKILL around the N-th
call of that step; WHERE is a name of STEPS. Workers misbehave as a file `misbehave.json` in HOME says: trial number →
"die" (always), "die once", "hang", "raise", "die after" (its result is given).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals import DEFAULT_GOALS
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.network import NetworkFacts
from wordlength.objectives.report import TrialJob, TrialReport, TrialState
from wordlength.search import launch, loop, opening
from wordlength.search.cli import refusing
from wordlength.search.drivers import joined
from wordlength.search.front import FloatPoint
from wordlength.search.home import Home, is_sqlite
from wordlength.search.installed import machine
from wordlength.search.jobs import DamagesJob
from wordlength.search.ledger import Ledger
from wordlength.search.observer import Observer
from wordlength.search.stopping import stop_signals
from wordlength.search.study import StudyStore
from wordlength.search.study_file.spec import StudySpec, parse_spec
from wordlength.search.tracking import Description, Tracker, TrackerProcess, process
from wordlength.search.trials import StudyView
from wordlength.search.workers import WorkerPool
from wordlength.space import Candidate, Float32, Role, Slot, SlotInfo
from wordlength.space.slots import TensorInfo

STUDY = """
name: {name}
data: {{speech: [{{kind: builtin}}], noise: [{{kind: builtin}}]}}
space:
  weights: {{fixed: {{bits: [2, 8], offset: [-1, 1]}}, po2: {{bits: [1, 4]}}}}
  activations: fixed<16,4>
search: {{trials: {trials}, first_front: 3, startup_trials: 5, sampler: {sampler}}}
workers: {{count: {workers}, cpus: 1, minutes: {minutes}, retries: 2}}
storage: {{patience_minutes: {patience}{addresses}}}
seed: {seed}
"""
LAYERS = 4
HERE = Path(__file__).parent
SERVES = Path(sys.argv[0]).name == "killing_tracker.py"
"""Whether this is the process that records, and not the driver."""


def slots() -> tuple[SlotInfo, ...]:
    """Of dense layers with a hundred weights each."""

    def tensors(role: Role) -> tuple[TensorInfo, ...]:
        return {Role.WEIGHTS: (TensorInfo("kernel", (10, 10)),), Role.BIASES: (TensorInfo("bias", (10,)),)}.get(
            role, ()
        )

    layers = [f"dense_{number}" for number in range(1, LAYERS + 1)]
    return tuple(SlotInfo(Slot(layer, role), tensors(role)) for layer in layers for role in Role)


def baseline() -> Baseline:
    """A float model that was never trained."""
    chance = np.random.default_rng(0)
    known = slots()
    weights = tuple(chance.normal(0, 0.1, tensor.shape).astype(np.float32) for info in known for tensor in info.tensors)
    samples = {info.slot: chance.normal(0, 0.1, 200).astype(np.float32) for info in known}
    size = memory_bytes(known, Candidate.of({info.slot: Float32() for info in known}))
    network = NetworkFacts(())
    reached = {"stoi_improvement": 0.04}
    goal = DEFAULT_GOALS.quality
    return Baseline(
        weights, known, samples, network, goal, reached, 0.04, 0.001, (0.04,), size, (0.1,), (0.04,), 1, "rehearsal"
    )


def description(known: Baseline, identity: str) -> Description:
    """What MLflow is told of such a study."""
    values = {"stoi_improvement": known.quality, "memory_bytes": known.memory_bytes}
    about = FloatPoint(values, known.memory_bytes)
    searched = tuple(info.slot for info in known.slots)
    return Description(about, known.slots, searched, tags={"study.id": identity})


def improvement(candidate: Candidate) -> float:
    """Falls with every bit less, and with where a layer stands."""
    lost = sum(2.0**-fmt.width_bits * (1 + place / 7) for place, (_, fmt) in enumerate(candidate.pairs))
    return round(0.04 - 0.01 * lost, 7)


class SleepingWorker:
    """Sleeps for as long as a trial takes, give or take a share of it."""

    def __init__(self, home: Path, seconds: float, spread: float = 0.0) -> None:
        self._home, self._seconds, self._spread, self._slots = home, seconds, spread, slots()

    def ready(self) -> tuple[str, dict[str, str]]:
        """It is, once it exists."""
        return machine()

    def run(self, job: TrialJob | DamagesJob) -> Iterator[Any]:
        """A report and weights; of formats by themselves, what they damage."""
        if isinstance(job, DamagesJob):
            yield [sum(0.01 * 2.0**-fmt.width_bits for fmt in formats.values()) for formats in job.alternatives]
            return
        self._misbehave(job.number)
        seconds = self._seconds * (1 + self._spread * random.Random(job.number).uniform(-1, 1))
        time.sleep(seconds)
        size, value = memory_bytes(self._slots, job.candidate), improvement(job.candidate)
        report = TrialReport(
            job.number,
            job.candidate,
            TrialState.COMPLETE,
            size,
            {"stoi_improvement": value, "memory_bytes": size},
            value,
            0.001,
            seconds={"step1": seconds},
        )
        yield report, (np.full(100, job.number, np.float32),)
        self._misbehave(job.number, "after")

    def _misbehave(self, number: int, moment: str = "") -> None:
        orders = self._home / "misbehave.json"
        order = json.loads(orders.read_text()).get(str(number)) if orders.exists() else None
        if moment:
            order = order.removesuffix(f" {moment}") if order and order.endswith(moment) else None
        once = self._home / f"misbehaved-{number}"
        if order == "die" or (order == "die once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "hang":
            time.sleep(3600)
        if order == "raise":
            raise ValueError("this trial raises")


STEPS: dict[str, tuple[Any, str]] = {
    "create": (StudyStore, "create"),
    "remember": (StudyStore, "remember"),
    "begin": (TrackerProcess, "begin"),
    "study file": (opening, "write_atomically"),
    "ask": (StudyStore, "ask"),
    "submit": (WorkerPool, "submit"),
    "wait": (WorkerPool, "wait"),
    "report": (loop, "write_atomically"),
    "weights": (loop, "save_weights"),
    "tell": (StudyStore, "tell"),
    "note": (Ledger, "note"),
    "end": (Ledger, "end"),
    "create trial": (Ledger, "create"),
    "log": (TrackerProcess, "log_trial"),
    "show": (TrackerProcess, "show"),
    "finish": (TrackerProcess, "finish"),
    "running": (StudyStore, "running"),
    "interrupt": (StudyStore, "interrupt"),
    "queue": (StudyStore, "_queue"),
    "create run": (Tracker, "_create_child"),
    "artifacts": (Tracker, "_draw"),
}
"""Where a driver can be killed: name → owner and attribute."""


def kill_at(order: str) -> None:
    """Have the driver killed there."""
    where, moment, count = order.rsplit(":", 2)
    owner, name = STEPS[where]
    if owner is Tracker and not SERVES:
        process.PROGRAM = [str(HERE / "killing_tracker.py"), order]
        return
    victim = os.getppid() if SERVES else os.getpid()
    made = getattr(owner, name)
    calls = iter(range(1, 1_000_000))

    def killing(*arguments: Any, **named: Any) -> Any:
        now = next(calls) == int(count)
        if now and moment == "before":
            kill(victim)
        result = made(*arguments, **named)
        if now:
            kill(victim)
        return result

    bound: Callable[..., Any] = staticmethod(killing) if hasattr(made, "__self__") else killing
    setattr(owner, name, bound)


def kill(victim: int) -> None:
    """With what depends on it."""
    os.kill(victim, signal.SIGKILL)
    time.sleep(5)  # This process ends with it.


class Teller(Observer):
    """Keeps what is told of MLflow and of workers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tracking(self, line: str) -> None:
        self.lines.append(line)

    def retried(self, told: Any) -> None:
        self.lines.append(f"retried {told.job.number}: {told.reason}")


def study_of(asked: argparse.Namespace) -> StudySpec:
    """The study file with what was asked for."""
    addresses = "".join(f", {key}: '{value}'" for key in ("optuna", "tracking") if (value := getattr(asked, key)))
    named = {
        key: getattr(asked, key) for key in ("name", "trials", "sampler", "workers", "minutes", "patience", "seed")
    }
    return parse_spec(STUDY.format(**named, addresses=addresses), asked.home / "rehearsal.yaml")


def rehearse(asked: argparse.Namespace, observer: Observer) -> StudyView:
    """The part of a launch that comes after data and float baseline."""
    home, spec, known = Home(asked.home), study_of(asked), baseline()
    folder, several = home.study(spec.name), not is_sqlite(home.optuna_address(study_of(asked)))
    with stop_signals() as stopping, folder.locked(shared=several), joined(folder.path, several) as drivers:
        opening.known_study(spec, home, "rehearsal")
        with WorkerPool(asked.ray, spec.workers) as pool:
            stopping.install()
            space = launch.search_space(spec, known)
            pool.start(SleepingWorker, asked.home, asked.seconds)
            prepared = opening.Prepared("rehearsal", known, space, lambda identity: description(known, identity))
            return opening.run_study(spec, home, prepared, pool, drivers, observer, stopping)


def parser() -> argparse.ArgumentParser:
    """Its defaults are a study of seconds."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("home", type=Path)
    made.add_argument("--name", default="rehearsal")
    made.add_argument("--trials", type=int, default=12)
    made.add_argument("--seconds", type=float, default=0.1)
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--minutes", type=float, default=10)
    made.add_argument("--patience", type=float, default=1)
    made.add_argument("--sampler", default="tpe")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--optuna")
    made.add_argument("--tracking")
    made.add_argument("--ray", help="a Ray cluster's address; else Ray is started here")
    made.add_argument("--kill", action="append", default=[], metavar="WHERE:before|after:N")
    return made


def main() -> None:
    asked = parser().parse_args()
    asked.home = asked.home.absolute()
    for order in asked.kill:
        kill_at(order)
    teller = Teller()
    began = time.monotonic()
    with refusing():
        view = rehearse(asked, teller)
    told = {"counts": view.counts, "finished": view.finished, "seconds": time.monotonic() - began}
    print(json.dumps(told | {"lines": teller.lines}))


if __name__ == "__main__":
    main()
