"""Thirty rounds of one study in which something is killed, then gone on with and checked; `make soak`.

    .venv/bin/python tests/reliability/soak.py [--rounds 30] [--seed 0]

The same seed kills the same things at the same places. Prints a line a round, and ends with 1 on the first violation. A
round whose launch did not come to the place where it was to be killed does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rehearsal
from servers import JOINING, Server, has_postgresql, mlflow_server, postgresql, ray_head

from wordlength.search.check import check_study
from wordlength.search.home import Home

HERE = Path(__file__).parent
TRIALS = 8
"""Of each round, more than the study had before."""


def command(home: Path, *options: object) -> list[str]:
    return [str(part) for part in (sys.executable, HERE / "rehearsal.py", home, *options)]


class Round:
    """What is killed, how, and how often."""

    def __init__(self, number: int, chance: random.Random, servers: list[str]) -> None:
        self.number = number
        self.kind = chance.choice(["driver", "driver", "driver", "workers", "two drivers", *servers])
        steps = [step for step in rehearsal.STEPS if step not in ("create", "begin", "study file", "finish")]
        self.place = f"{chance.choice(steps)}:{chance.choice(['before', 'after'])}:{chance.randint(1, 6)}"
        orders = ["die", "die once", "die after", "raise"]
        self.orders = {str(chance.randint(0, 9)): chance.choice(orders) for _ in range(3)}
        self.after_seconds = chance.uniform(0.5, 3.0)
        self.away_seconds = chance.choice([1, 1, 60]) if self.kind == "mlflow" else 1

    def __str__(self) -> str:
        detail = {"driver": self.place, "two drivers": self.place, "workers": json.dumps(self.orders)}
        moment = f"after {self.after_seconds:.1f} s, away for {self.away_seconds} s"
        return f"{self.kind} {detail.get(self.kind, moment)}"


def run(asked: Round, home: Path, options: list[object], servers: dict[str, Server], first: int) -> tuple[bool, str]:
    """Begin a launch, or two, and kill. Whether something was killed; what the launches wrote of errors."""
    orders = {str(first + int(number)): order for number, order in asked.orders.items()}
    (home / "misbehave.json").write_text(json.dumps(orders if asked.kind == "workers" else {}))
    kill = ("--kill", asked.place) if asked.kind in ("driver", "two drivers") else ()
    count = 2 if asked.kind == "two drivers" else 1
    with (home / "stderr.txt").open("w") as told:
        launches = [subprocess.Popen(command(home, *options, *kill), **_QUIET, stderr=told) for _ in range(count)]
    if (server := servers.get(asked.kind)) is not None:
        time.sleep(asked.after_seconds)
        server.kill()
        time.sleep(asked.away_seconds)
        server.start()
    ended = [launch.wait(timeout=300) for launch in launches]
    if server is not None:  # A launch does not begin without it.
        server.until_up()
    return not kill or -signal.SIGKILL in ended, (home / "stderr.txt").read_text()


_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "env": JOINING}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", action="store_true", help="SQLite files in place of PostgreSQL and an MLflow server")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="soak"))
    chance, began, killed, number = random.Random(asked.seed), time.monotonic(), 0, 0
    with contextlib.ExitStack() as stack:
        head = stack.enter_context(ray_head())
        servers: dict[str, Server] = {"ray": head}
        options: list[object] = ["--ray", head.address, "--seconds", 0.15, "--patience", 2]
        if not asked.files and has_postgresql():
            servers["postgresql"] = stack.enter_context(postgresql())
            servers["mlflow"] = stack.enter_context(mlflow_server(home / "mlflow"))
            options += ["--optuna", servers["postgresql"].address, "--tracking", servers["mlflow"].address]
        while killed < asked.rounds:
            number += 1
            this = Round(number, chance, list(servers))
            trials = ["--trials", TRIALS * number]
            was_killed, errors = run(this, home, [*options, *trials], servers, TRIALS * (number - 1))
            killed += was_killed
            done = subprocess.run(
                command(home, *options, *trials), capture_output=True, text=True, timeout=300, env=JOINING
            )
            if done.returncode:
                print(f"round {number} ({this}): the study did not go on: {done.stderr[-3000:]}")
                return 1
            told = json.loads(done.stdout.splitlines()[-1])
            spec = rehearsal.study_of(rehearsal.parser().parse_args(list(map(str, [home, *options, *trials]))))
            found = [str(violation) for violation in check_study(spec, Home(home))]
            if told["finished"] != TRIALS * number:
                found.append(f"{told['finished']} trials count, but {TRIALS * number} were asked for")
            if "Traceback" in errors and this.kind != "ray":
                found.append(f"a launch did not end with one line, but with {errors}")
            killing = f"{killed:2} of {asked.rounds}" if was_killed else "not reached"
            print(f"{killing}: {this}: {told['counts']}, {len(found)} violations", flush=True)
            if found:
                print(*found, sep="\n")
                return 1
    print(f"{killed} rounds, 0 violations, {time.monotonic() - began:.0f} s (seed {asked.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
