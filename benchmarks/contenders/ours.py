"""Contender (d): wordlength, launched as its user does, on the shared float baseline.

    .venv/bin/python benchmarks/contenders/ours.py --case CASE --out OUT --seed 0 --minutes 30

The clock starts when the command does: importing, starting Ray and the workers, tracing, the first front, the
shared weights and MLflow's recording are all on it. `--set search.screening=null` turns a lever off.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from common import Case, Recorder

from wordlength import load_spec
from wordlength.objectives.baseline import baseline_digest, baseline_path, load_baseline, save_baseline
from wordlength.search.home import Home
from wordlength.search.launch import evaluation_settings, prepare_data
from wordlength.search.study import load_study
from wordlength.search.weights import load_weights

NAME = "ours"


def prepare_study(case, study, out, seed, changes):
    """A home with the case's data and float baseline, and a study file of this seed in it."""
    home = Home(out / "home")
    shutil.rmtree(out / "home", ignore_errors=True)
    shutil.copytree(Home.default().cache / "prepared", home.cache / "prepared", copy_function=os.link)
    spec = load_spec(study)
    plain = yaml.safe_load(study.read_text(encoding="utf-8")) | {"name": NAME, "seed": seed}
    plain["data_root"] = str(spec.data_root)
    plain.setdefault("search", {})["trials"] = 10_000
    for change in changes:
        place, _, value = change.partition("=")
        *parents, key = place.split(".")
        node = plain
        for parent in parents:
            node = node.setdefault(parent, {})
        node[key] = yaml.safe_load(value)
    file = out / "study.yaml"
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    own = load_spec(file)
    data = prepare_data(own, home)
    known = load_baseline(baseline_path(Home.default().cache, case.info["baseline"]["digest"]))
    digest = baseline_digest(data, evaluation_settings(own), seed, own.workers.cpus)
    # All seeds start from the one float baseline that the case has.
    save_baseline(known, baseline_path(home.cache, digest))
    return file, home, data


class CpuWatch(threading.Thread):
    """Adds up the CPU seconds of a launch's processes, which Ray does not leave to their parents.

    They are known by the WORDLENGTH_HOME in their environment. `but`: a process that is counted elsewhere.
    """

    def __init__(self, home, but):
        super().__init__(daemon=True)
        self._but = str(but)
        self._mark = f"WORDLENGTH_HOME={home}".encode()
        self._theirs, self._seconds, self._over = {}, {}, threading.Event()

    def run(self):
        while not self._over.wait(2):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    self._look(folder)
                except OSError:  # It has ended.
                    continue

    def stop(self):
        """CPU seconds of all of them, but for their last two seconds at most."""
        self._over.set()
        self.join()
        return sum(self._seconds.values())

    def _look(self, folder):
        stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        process = (folder.name, stat[19])  # With its start: numbers are used again.
        if process not in self._theirs:
            environment = (folder / "environ").read_bytes().split(b"\0")
            self._theirs[process] = self._mark in environment and folder.name != self._but
        if self._theirs[process]:
            self._seconds[process] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_masks(spec, home, data, front):
    """Of each front member, on the test mixtures: trial → (windows, 129)."""
    from wordlength.objectives.models import build_model
    from wordlength.objectives.quantized_model import frozen
    from wordlength.objectives.training import Predictor, Windows

    model, windows = build_model(spec.model, data.shape, seed=0), Windows.of(data.test.frames)
    for point in front:
        weights = load_weights(home.study(NAME).weights(point.number))
        yield point.number, Predictor(frozen(weights, model, point.candidate).model, windows).outputs()


def launch(file, home, minutes, log):
    """Run the command until it ends or its time is over; the CPU seconds of all its processes."""
    command = [Path(sys.executable).with_name("wordlength"), "launch", file, "--no-ui"]
    with log.open("w") as told:
        process = subprocess.Popen(
            command, env=os.environ | {"WORDLENGTH_HOME": str(home.root)}, stdout=told, stderr=told
        )
        watch = CpuWatch(home.root, but=process.pid)
        watch.start()
        try:
            status, ended = process.wait(timeout=60 * minutes), 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            status, ended = process.wait(timeout=120), 130
        if status != ended:
            sys.exit(f"the launch must end with {ended}, but it ended with {status}: see {log}")
    return watch.stop()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--study", type=Path, default=Path(__file__).parents[1] / "time_to_front.yaml")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the study file")
    return parser.parse_args()


def main():
    asked = arguments()
    out = asked.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    case = Case(asked.case)
    file, home, data = prepare_study(case, asked.study, out, asked.seed, asked.set)
    recorder = Recorder(out, case, asked.minutes, asked.seed, ("tensorflow", "keras", "optuna", "ray", "mlflow"))
    began = datetime.now(UTC)
    cpu_seconds = launch(file, home, asked.minutes, out / "launch.log")
    view = load_study(NAME, home)
    rows = sorted((row for row in view.rows if row.point), key=lambda row: row.ended)
    for row in rows:
        seconds = (row.ended.astimezone(UTC) - began).total_seconds()
        recorder.add(seconds, f"trial {row.number}", "two-step", row.quality, row.memory_bytes)
    for number, masks in test_masks(load_spec(file), home, data, view.front):
        place = next(place for place, row in enumerate(rows) if row.number == number)
        np.savez_compressed(out / "masks" / f"{place:03d}.npz", masks=masks.astype(np.float16))
    front = sorted({point.number for point in view.front})
    recorder.finish(cpu_seconds, front=front, hypervolume=view.hypervolume, changes=asked.set)


if __name__ == "__main__":
    main()
