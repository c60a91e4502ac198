"""What a study uses besides: TensorFlow, Ray, MLflow's store or server, the trials' storage, a C compiler."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wordlength.search.doctor.finding import Finding, Look, Question, State
from wordlength.search.doctor.machine import gpu_finding
from wordlength.search.home import Home, is_server, is_sqlite, without_login

if TYPE_CHECKING:
    from wordlength.search.study_file.spec import StudySpec

_NAME_GPUS = """
import json, tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
details = tf.config.experimental.get_device_details
print(json.dumps([details(gpu).get("device_name", gpu.name) for gpu in gpus]))
"""
_TRY_RAY = """
import json
from wordlength.search.workers import try_local
print(json.dumps(try_local()))
"""
_COUNT_EXPERIMENTS = """
import json, sys
from wordlength.search.tracking import count_experiments
print(json.dumps(count_experiments(sys.stdin.read())))
"""
_OPEN_STORAGE = """
import sys
from wordlength.search.storage import open_storage
open_storage(sys.stdin.read()).close()
print("true")
"""


def looks(home: Home, spec: StudySpec | None) -> Iterator[Look]:
    """Begin every slow look; whoever takes them ends their questions."""
    yield Look("GPU", Question(_NAME_GPUS), gpu_finding, "TensorFlow must start: python -c 'import tensorflow'")
    yield Look("Ray", Question(_TRY_RAY), ray_finding, "workers run on it; wordlength launch -v shows what it says")
    if (address := _known_tracking(home, spec)) is not None:
        yield Look(
            "MLflow",
            Question(_COUNT_EXPERIMENTS, address),
            lambda count: mlflow_finding(address, count),
            "start the server (storage.tracking); a damaged file may be moved away: the next launch records anew",
        )
    if spec is not None and spec.storage.optuna is not None and not is_sqlite(spec.storage.optuna):
        yield Look(
            "trials' storage",
            Question(_OPEN_STORAGE, spec.storage.optuna),
            lambda _: Finding("trials' storage", State.OK, "it opens (storage.optuna)"),
            "start the database that storage.optuna names",
        )


def ray_finding(seconds: float) -> Finding:
    """How long local Ray took to start, answer and stop."""
    return Finding("Ray", State.OK, f"starts, answers and stops in {seconds:.1f} s")


def mlflow_finding(address: str, count: int) -> Finding:
    """A store or server that was opened."""
    return Finding("MLflow", State.OK, f"{_shown(address)}: {count} experiment{'' if count == 1 else 's'}")


def new_store_finding(home: Home, spec: StudySpec | None) -> Finding | None:
    """A store that the first launch makes; None if there is one."""
    if _known_tracking(home, spec) is not None:
        return None
    return Finding("MLflow", State.OK, f"{_shown(home.tracking_address(spec))} is made by the first launch")


def _known_tracking(home: Home, spec: StudySpec | None) -> str | None:
    """Where MLflow records: a server, a database, or a file that is there; None before the first launch."""
    address = home.tracking_address(spec)
    return address if not is_sqlite(address) or Path(_shown(address)).exists() else None


def _shown(address: str) -> str:
    """An address without its login; of a database, which may have one anywhere, only what it is."""
    if is_sqlite(address):
        return address.removeprefix("sqlite:///")
    return without_login(address) if is_server(address) else f"{address.partition('://')[0]}://…"


def compiler_finding() -> Finding:
    """The C compiler that `verify` and `export` use."""
    from wordlength.search.export.proof import find_compiler

    words = find_compiler()
    if not words:
        advice = "for export and verify to run the C code: apt install gcc, or set CC"
        asked = os.environ.get("CC")
        return Finding("C compiler", State.WARNING, f"CC is {asked}, which is not here" if asked else "none", advice)
    try:
        done = subprocess.run([*words, "--version"], capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("C compiler", State.WARNING, f"{words[0]}: {error}", "set CC to one that works")
    return Finding("C compiler", State.OK, (done.stdout.splitlines() or [words[0]])[0])
