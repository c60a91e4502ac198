"""The machine: cores and memory as far as this process may use them, GPU, room, stores and locks in the home folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from wordlength.search.doctor.finding import Finding, State

GIB = 2**30
WORKER_BYTES = GIB
"""What a worker with the case study's network takes."""
DRIVER_BYTES = 3 * GIB // 2
"""What the launch itself, Ray and MLflow's server take together."""
LOW_DISK_BYTES, NO_DISK_BYTES = 5 * GIB, GIB // 4
_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Of control groups, version 2 and 1: the most bytes, and those in use."""


def cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use: its affinity, cut by its control group's quota (version 2, or 1)."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = "max", "1"
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        if len(words := [word for file in files for word in _words(cgroup / file)]) == 2:
            quota, period = words
            break
    return free if quota == "max" or int(quota) <= 0 else max(1, min(free, int(quota) // int(period)))


def free_bytes(cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that is free for this process: the machine's, or what its control group has left; None if unknown."""
    rooms = []
    for line in meminfo.read_text().splitlines() if meminfo.is_file() else ():
        if line.startswith("MemAvailable:"):
            rooms.append(1024 * int(line.split()[1]))
    for limit, used in _LIMITS:
        most, now = _words(cgroup / limit), _words(cgroup / used)
        if most and now and most[0] != "max":
            rooms.append(max(0, int(most[0]) - int(now[0])))
    return min(rooms, default=None)


def machine_finding(cpus: int, memory: int | None, wanted: int | None = None, each: int = 1) -> Finding:
    """How many workers of `each` cores there is room for; `wanted`: by a study file."""
    by_cores = cpus // each
    by_memory = by_cores if memory is None else max(0, (memory - DRIVER_BYTES) // WORKER_BYTES)
    room = min(by_cores, by_memory)
    told = f"{cpus} cores, {'unknown' if memory is None else f'{memory / GIB:.1f} GiB'} of memory free"
    plural = "" if room == 1 else "s"
    told += f": room for {room} worker{plural} of {each} core{'' if each == 1 else 's'} and about 1 GiB"
    if not by_cores:
        return Finding("machine", State.FAULT, told, "lower workers.cpus in the study file")
    if not room:
        return Finding("machine", State.WARNING, told, "free some memory, or take a machine with 3 GiB and more")
    if wanted is not None and wanted > room:
        return Finding("machine", State.WARNING, f"{told}; the study wants {wanted}", "lower workers.count")
    return Finding("machine", State.OK, told)


def gpu_finding(names: list[str]) -> Finding:
    """The GPUs that TensorFlow sees."""
    if names:
        return Finding("GPU", State.OK, f"TensorFlow sees {', '.join(names)}; workers.gpus gives it to workers")
    if Path("/proc/driver/nvidia/version").exists():
        return Finding(
            "GPU",
            State.WARNING,
            "a driver of NVIDIA is there, but TensorFlow sees no GPU",
            "pip install 'tensorflow[and-cuda]'; studies run on the cores meanwhile",
        )
    return Finding("GPU", State.OK, "none; studies run on the cores")


def home_finding(root: Path) -> Finding:
    """Whether a store can be written and locked in the home folder, and how much room there is; leaves nothing."""
    place, told = root, f"{root}"
    try:
        while not place.exists():
            place = place.parent
        told = f"{root}{'' if place == root else ' (not there yet)'}"
        _write_store(place)
    except (OSError, sqlite3.Error) as error:
        advice = "choose a folder on a local disk that you may write: WORDLENGTH_HOME, or --home"
        return Finding("home", State.FAULT, f"{told}: {error}", advice)
    free = shutil.disk_usage(place).free
    told += f": writable, {free / GIB:.1f} GiB free"
    if free < LOW_DISK_BYTES:
        state = State.FAULT if free < NO_DISK_BYTES else State.WARNING
        return Finding("home", state, told, "free some room, or choose another folder: WORDLENGTH_HOME, or --home")
    return Finding("home", State.OK, told)


def _write_store(folder: Path) -> None:
    """What a study does there: SQLite's file, and a lock of our own. Raises OSError, sqlite3.Error."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".wordlength-doctor-") as place:
        with closing(sqlite3.connect(Path(place) / "store.db", timeout=5)) as store, store:
            store.execute("create table trials (number integer)")
            store.execute("insert into trials values (1)")
            assert store.execute("select number from trials").fetchall() == [(1,)]
        with (Path(place) / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
