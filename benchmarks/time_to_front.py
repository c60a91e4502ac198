"""Hypervolume against wall-clock minutes: wordlength beside the loops and tools it wants to be measured with.

    .venv/bin/python benchmarks/time_to_front.py run              # every leg that has not run yet, one after another
    .venv/bin/python benchmarks/time_to_front.py run ours:0 plain_loop:0
    .venv/bin/python benchmarks/time_to_front.py report           # docs/benchmarks/time_to_front*

A leg is one contender with one seed, alone on the machine, for --minutes on its own clock, which starts behind the
float baseline that all share. Legs lie in build/time_to_front and are kept; delete a leg's folder to run it again.
The report takes legs that are not there from the committed record (the CSV files).
AutoQKeras needs an environment of its own: see `contenders/autoqkeras.py`.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from contenders.common import Case, improvement

HERE = Path(__file__).parent
WORK = HERE.parent / "build" / "time_to_front"
DOCS = HERE.parent / "docs" / "benchmarks"
STUDY = HERE / "time_to_front.yaml"
AUTOQKERAS_PYTHON = HERE.parent / "build" / "autoqkeras-venv" / "bin" / "python"
POINTS_CSV, LEGS_CSV = "time_to_front.csv", "time_to_front_legs.csv"
LEGS = [
    *(f"{name}:{seed}" for seed in range(3) for name in ("plain_loop", "ours")),
    "autoqkeras:0",
    "uniform:0",
]
TITLES = {
    "plain_loop": "plain loop (Optuna TPE, QKeras, pystoi)",
    "autoqkeras": "AutoQKeras (qkeras 0.9)",
    "uniform": "uniform formats",
    "ours": "wordlength",
}
COLOURS = {"plain_loop": "#9a6b00", "autoqkeras": "#8a3a8a", "uniform": "#707070", "ours": "#0b6bcb"}


@dataclass(frozen=True)
class Point:
    """A result within the time. `test`: STOI improvement on the test mixtures, for points of the final front."""

    seconds: float
    gain: float
    size: int
    test: float | None = None


@dataclass(frozen=True)
class Leg:
    """What one contender found with one seed, in order of time."""

    name: str
    seed: int
    date: str
    minutes: float
    others_share: float
    float_bytes: int
    points: tuple[Point, ...]

    @cached_property
    def curve(self):
        """(seconds, hypervolume) after every point."""
        pairs = [(point.gain, point.size) for point in self.points]
        return [
            (point.seconds, hypervolume(pairs[: place + 1], self.float_bytes))
            for place, point in enumerate(self.points)
        ]

    @property
    def front(self):
        """The final front from the smallest on."""
        return sorted((point for point in self.points if point.test is not None), key=lambda point: point.size)

    @property
    def final(self):
        """Hypervolume in the end."""
        return self.curve[-1][1] if self.curve else 0.0

    @property
    def unheard(self):
        """Hypervolume of the final front on the test mixtures."""
        return hypervolume([(point.test, point.size) for point in self.front], self.float_bytes)

    def reaches(self, value):
        """Seconds until the hypervolume is at least `value`; None if it never is."""
        return next((seconds for seconds, reached in self.curve if reached >= value), None)

    def at(self, seconds):
        """Hypervolume after so many seconds; None if it did not run for so long."""
        if seconds > 60 * self.minutes:
            return None
        return max((reached for when, reached in self.curve if when <= seconds), default=0.0)


def leg_of(name, seed, folder, case):
    """The leg that a contender has left in its folder, its final front measured on the test mixtures."""
    end = json.loads((folder / "end.json").read_text(encoding="utf-8"))
    with (folder / "points.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    found = [(float(row["seconds"]), float(row["stoi_improvement"]), int(row["memory_bytes"])) for row in rows]
    found = [(number, *point) for number, point in enumerate(found) if point[0] <= 60 * end["minutes"]]
    points = []
    for number, seconds, gain, size in sorted(found, key=lambda point: point[1]):
        # Of equal points the first one counts.
        better = ((g, s) != (gain, size) or n < number for n, _, g, s in found if g >= gain and s <= size)
        mean = None
        if not any(better):
            with np.load(folder / "masks" / f"{number:03d}.npz") as stored:
                mean, _ = improvement(case.test, stored["masks"].astype(np.float32))
        points.append(Point(seconds, gain, size, mean))
    about = (end["began"][:10], end["minutes"], end["others_share"])
    return Leg(name, seed, *about, case.info["baseline"]["memory_bytes"], tuple(points))


def hypervolume(points, float_bytes):
    """Area that (STOI improvement, bytes) dominate up to no improvement and the float model's bytes, as a share.

    Not wordlength's own function: the yardstick stands beside what it measures.
    """
    area, best = 0.0, 0.0
    steps = []
    for gain, size in sorted(points, key=lambda point: (point[1], -point[0])):
        if gain > best and size < float_bytes:
            steps.append((size, gain))
            best = gain
    for place, (size, gain) in enumerate(steps):
        right = steps[place + 1][0] if place + 1 < len(steps) else float_bytes
        area += gain * (right - size) / float_bytes
    return area


def case_folder():
    folder = WORK / "case"
    if not (folder / "case.json").exists():
        subprocess.run([sys.executable, HERE / "contenders" / "case.py", STUDY, folder], check=True)
    return folder


def run(legs, minutes):
    """Run the legs that have not ended yet."""
    for leg in legs:
        name, _, seed = leg.partition(":")
        out = WORK / "legs" / f"{name}-{seed}"
        if (out / "end.json").exists():
            print(f"{leg}: has run already")
            continue
        python = AUTOQKERAS_PYTHON if name == "autoqkeras" else sys.executable
        command = [python, HERE / "contenders" / f"{name}.py", "--case", case_folder(), "--out", out]
        command += ["--seed", seed or "0", "--minutes", str(minutes)]
        print(f"{leg}: {minutes:g} minutes", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        with (out / "output.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env=os.environ)


def report():
    """Write the CSV files, the plot and the page of the legs here and, where there is none, of those on record."""
    case = Case(case_folder())
    legs = {(leg.name, leg.seed): leg for leg in recorded(case.info["baseline"]["memory_bytes"])}
    for folder in (WORK / "legs").glob("*-*"):
        if (folder / "end.json").exists():
            name, _, seed = folder.name.rpartition("-")
            legs[name, int(seed)] = leg_of(name, int(seed), folder, case)
    legs = [leg for name in TITLES for _, leg in sorted(legs.items()) if leg.name == name]
    DOCS.mkdir(parents=True, exist_ok=True)
    write_record(legs)
    plot(legs)
    float_test, _ = improvement(case.test, float_masks(case))
    text = "\n".join(page(legs, float_test))
    (DOCS / "time_to_front_figures.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def float_masks(case):
    """The float baseline's masks of the test mixtures."""
    from wordlength import load_spec
    from wordlength.objectives.models import build_model

    model = build_model(load_spec(STUDY).model, load_spec(STUDY).data.shape, seed=0)
    model.set_weights(case.weights)
    return model.predict(case.test.inputs, batch_size=128, verbose=0)


def recorded(float_bytes):
    """The legs of the committed record, so that one contender may run again without hours of all others."""
    if not (DOCS / LEGS_CSV).exists():
        return []
    points = {}
    with (DOCS / POINTS_CSV).open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            test = float(row["test_stoi_improvement"]) if row["test_stoi_improvement"] else None
            figures = (float(row["seconds"]), float(row["stoi_improvement"]), int(row["memory_bytes"]), test)
            points.setdefault((row["contender"], row["seed"]), []).append(Point(*figures))
    with (DOCS / LEGS_CSV).open(newline="", encoding="utf-8") as handle:
        return [
            Leg(
                row["contender"],
                int(row["seed"]),
                row["date"],
                float(row["minutes"]),
                float(row["other_load"]),
                float_bytes,
                tuple(points.get((row["contender"], row["seed"]), ())),
            )
            for row in csv.DictReader(handle)
        ]


def write_record(legs):
    with (DOCS / LEGS_CSV).open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(["contender", "seed", "date", "minutes", "other_load"])
        table.writerows([leg.name, leg.seed, leg.date, f"{leg.minutes:g}", leg.others_share] for leg in legs)
    with (DOCS / POINTS_CSV).open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(
            ["contender", "seed", "seconds", "stoi_improvement", "memory_bytes", "hypervolume", "test_stoi_improvement"]
        )
        for leg in legs:
            for point, (_, reached) in zip(leg.points, leg.curve, strict=True):
                test = "" if point.test is None else f"{point.test:.6f}"
                figures = (f"{point.seconds:.1f}", f"{point.gain:.6f}", point.size, f"{reached:.6f}", test)
                table.writerow([leg.name, leg.seed, *figures])


def page(legs, float_test):
    """Markdown: hypervolumes, times, ratios, and the fronts on unheard mixtures."""
    ours = [leg for leg in legs if leg.name == "ours"]
    yield "| contender | seed | run on | minutes | points | H after 1.5 | 3 | 10 min | at the end | on test | others |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for leg in legs:
        reached = (leg.at(seconds) for seconds in (90, 180, 600))
        after = " | ".join("–" if value is None else f"{value:.5f}" for value in reached)
        about = f"| {TITLES[leg.name]} | {leg.seed} | {leg.date} | {leg.minutes:g} | {len(leg.points)} | {after} "
        yield about + f"| {leg.final:.5f} | {leg.unheard:.5f} | {leg.others_share:.0%} |"
    yield ""
    yield "| peer | seed | its final H | reached after | wordlength after (each seed) | ratio, median (range) |"
    yield "| --- | ---: | ---: | ---: | --- | ---: |"
    for peer in (leg for leg in legs if leg.name != "ours" and leg.points):
        times = [leg.reaches(peer.final) for leg in ours]
        shown = ", ".join("never" if seconds is None else f"{seconds:.0f} s" for seconds in times)
        known = [peer.reaches(peer.final) / seconds for seconds in times if seconds]
        ratio = f"{statistics.median(known):.1f} ({min(known):.1f} – {max(known):.1f})" if known and all(times) else "–"
        about = f"| {TITLES[peer.name]} | {peer.seed} | {peer.final:.5f} | {peer.reaches(peer.final):.0f} s "
        yield about + f"| {shown} | {ratio} |"
    yield ""
    yield f"Final fronts on the test mixtures, where float32 has {float_test:+.4f}:"
    yield ""
    yield "| contender | seed | bytes | validation | test |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for leg in legs:
        for point in leg.front:
            yield f"| {TITLES[leg.name]} | {leg.seed} | {point.size:,} | {point.gain:+.4f} | {point.test:+.4f} |"


def plot(legs):
    """Hypervolume against minutes, one step line a leg."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), dpi=120)
    named = set()
    for leg in legs:
        end = 60 * leg.minutes
        seconds, reached = zip((0, 0), *leg.curve, (end, leg.final), strict=True)
        label = None if leg.name in named else TITLES[leg.name]
        named.add(leg.name)
        axes.step(np.array(seconds) / 60, reached, where="post", color=COLOURS[leg.name], label=label, alpha=0.85)
    axes.set_xlabel("minutes after the float baseline")
    axes.set_ylabel("hypervolume (STOI improvement × share of memory saved)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(DOCS / "time_to_front.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run legs that have not run yet")
    running.add_argument("legs", nargs="*", default=LEGS, metavar="CONTENDER:SEED")
    running.add_argument("--minutes", type=float, default=30)
    commands.add_parser("report", help="write CSV, plot and tables of the legs there are")
    asked = parser.parse_args()
    if asked.command == "run":
        run(asked.legs, asked.minutes)
    else:
        report()


if __name__ == "__main__":
    main()
