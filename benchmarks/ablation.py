"""What each lever is worth: short legs of wordlength with some of them changed, on time_to_front.py's case and clock.

    .venv/bin/python benchmarks/ablation.py run 4 [VARIANT[:SEED] …]   # minutes; what has not run yet, one by one
    .venv/bin/python benchmarks/ablation.py report                     # a table of all legs there are

Legs lie in build/ablation; delete a leg's folder to run it again. WORDLENGTH_HOME as for time_to_front.py.
"""

import subprocess
import sys

from contenders.common import Case, improvement
from time_to_front import HERE, WORK, case_folder, float_masks, leg_of

LEGS = WORK.parent / "ablation"
VARIANTS = {
    "all": [],
    "no-distillation": ["training.distillation=0"],
    "half-distillation": ["training.distillation=0.5"],
    "step-one-3e-4": ["training.step_one_learning_rate=null"],
    "no-first-front": ["search.first_front=0"],
    "sampler-alone": ["search.first_front=0", "search.allocated=0", "search.uniform=[]"],
    "no-allocated": ["search.allocated=0"],
    "allocated-only": ["search.allocated=1"],
    "nsga2": ["search.sampler=nsga2", "search.allocated=0", "search.trials=60"],
    "screening": ["search.screening={}"],
    "screening-first-front-only": ["search.screening={}", "search.allocated=0"],
    "two-bits": ["space.weights.po2.bits=[2, 5]", "space.biases=fixed<16,2>"],
    "per-channel": ["space.weights.fixed.per_channel=true"],
    "none": [
        "training.distillation=0",
        "training.step_one_learning_rate=null",
        "search.first_front=0",
        "search.allocated=0",
        "space.weights.po2.bits=[2, 5]",
        "space.biases=fixed<16,2>",
    ],
}
"""Name → what is changed in the study file."""


def seeded(leg):
    name, _, seed = leg.partition(":")
    return name, seed or "0"


def run(minutes, names):
    for leg in names or VARIANTS:
        name, seed = seeded(leg)
        out = LEGS / f"{name}-{seed}"
        if (out / "end.json").exists():
            continue
        changes = [part for change in VARIANTS[name] for part in ("--set", change)]
        command = [sys.executable, HERE / "contenders" / "ours.py", "--case", case_folder(), "--out", out]
        command += ["--seed", seed]
        print(f"{name}, seed {seed}: {minutes} minutes", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        with (out / "output.log").open("w") as log:
            subprocess.run([*command, "--minutes", minutes, *changes], check=True, stdout=log, stderr=subprocess.STDOUT)


def report():
    case = Case(case_folder())
    float_test, _ = improvement(case.test, float_masks(case))
    print(f"float32: {case.info['baseline']['stoi_improvement']:+.4f} on validation, {float_test:+.4f} on test")
    print("| variant | seed | minutes | trials | first after | H after 1.5 | 3 | 5 min | in the end | on test |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    ended = sorted(end.parent for end in LEGS.glob("*/end.json"))
    for folder in ended:
        name, _, seed = folder.name.rpartition("-")
        leg = leg_of(name, int(seed), folder, case)
        after = " | ".join("–" if (h := leg.at(s)) is None else f"{h:.5f}" for s in (90, 180, 300))
        first = f"{leg.points[0].seconds:.0f} s" if leg.points else "–"
        about = f"| {name} | {seed} | {leg.minutes:g} | {len(leg.points)} | {first} | {after} "
        print(about + f"| {leg.final:.5f} | {leg.unheard:.5f} |")


if __name__ == "__main__":
    run(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "run" else report()
