"""What every contender shares: the case's files, the score of a mask, the clock and the record of a run.

Runs in every contender's environment (Python 3.10 and NumPy 1.23 onwards), so it needs NumPy, SciPy and pystoi
alone, and nothing of wordlength. `case.py` writes the folder that `Case` reads.
"""

import csv
import json
import math
import os
import time
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

import numpy as np
from pystoi import stoi
from scipy import signal

FRAME_SAMPLES = 256
HISTORY_FRAMES = 15
COLUMNS = ("seconds", "label", "kind", "stoi_improvement", "memory_bytes")


class Part:
    """Mixtures to be scored, `validation` or `test`; mixture i of `clean` and `noisy` is offsets[i]:offsets[i + 1]."""

    def __init__(self, arrays, name, rate):
        self.name, self.rate = name, rate
        self.features = arrays[f"{name}_features"]  # (frames, 64), history included
        self.windows = arrays[f"{name}_windows"]
        self.mixture_of_window = arrays[f"{name}_mixture_of_window"]
        self.clean, self.noisy = arrays[f"{name}_clean"], arrays[f"{name}_noisy"]
        self.offsets = arrays[f"{name}_offsets"]
        self.noisy_stoi = arrays[f"{name}_noisy_stoi"]

    def __len__(self):
        return len(self.noisy_stoi)

    @property
    def inputs(self):
        """All windows in order, (windows, 16, 64); materialised anew at every call."""
        return windows_of(self.features, self.windows)

    @cached_property
    def spectra(self):
        """The noisy mixtures' spectra, each (frames, 129)."""
        return [stft(self.noisy[low:high]) for low, high in zip(self.offsets[:-1], self.offsets[1:], strict=True)]


class Case:
    """One folder of `case.py`: training frames, mixtures to score, float weights and settings (`info`)."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.info = json.loads((self.folder / "case.json").read_text(encoding="utf-8"))
        with np.load(self.folder / "case.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.features, self.targets = arrays["train_features"], arrays["train_targets"]
        self.train_windows, self.subset_windows = arrays["train_windows"], arrays["subset_windows"]
        self.validation = Part(arrays, "validation", self.info["sample_rate_hz"])
        self.test = Part(arrays, "test", self.info["sample_rate_hz"])
        self.weights = [arrays[f"weight_{n}"] for n in range(sum(name.startswith("weight_") for name in arrays))]

    def training(self, windows=None):
        """Inputs (n, 16, 64) and target masks (n, 129) of training windows, by default the subset's."""
        windows = self.subset_windows if windows is None else windows
        return windows_of(self.features, windows), self.targets[windows]


def windows_of(features, windows):
    """The 16 frames up to and including each window's current frame: (n, 16, 64)."""
    return features[windows[:, None] + np.arange(-HISTORY_FRAMES, 1)]


def stft(samples):
    """Hann-windowed spectra (frames, 129), half a frame of zeros before the signal."""
    return signal.stft(samples, nperseg=FRAME_SAMPLES)[2].T


def istft(spectrum, length):
    """Weighted overlap-add, the inverse of `stft`: (length,)."""
    return signal.istft(spectrum.T, nperseg=FRAME_SAMPLES)[1][:length]


def improvement(case_part, masks):
    """STOI improvement of the masks (windows, 129) of all mixtures in order: mean, and per mixture (m,).

    Raises ValueError if a mask is not finite, since pystoi would answer with a number all the same.
    """
    if not np.isfinite(masks).all():
        raise ValueError("masks must be finite, but some are not")
    ends = np.cumsum([len(spectrum) for spectrum in case_part.spectra])
    if masks.shape != (ends[-1], FRAME_SAMPLES // 2 + 1):
        raise ValueError(f"masks must have shape {(ends[-1], FRAME_SAMPLES // 2 + 1)}, but got {masks.shape}")
    gains = np.empty(len(case_part))
    for number, mask in enumerate(np.split(masks, ends[:-1])):
        clean = case_part.clean[case_part.offsets[number] : case_part.offsets[number + 1]]
        enhanced = istft(case_part.spectra[number] * mask, len(clean))
        gains[number] = stoi(clean, enhanced, case_part.rate) - case_part.noisy_stoi[number]
    return float(gains.mean()), gains


def packed_bytes(tensors):
    """Bytes of tensors given as (count, bits), each packed without gaps from a byte boundary."""
    return sum(math.ceil(count * bits / 8) for count, bits in tensors)


class Recorder:
    """A contender's clock and its record: `points.csv`, `masks/NNN.npz` and, after `finish`, `end.json`.

    The clock runs from construction or the last `start()` and stands still within `paused()`. Points that finish
    after the time is up are recorded too; who reads the record cuts it at the `minutes` of `end.json`.
    """

    def __init__(self, out_dir, case, minutes, seed=0, packages=()):
        self.folder, self.case, self.minutes, self.seed = Path(out_dir), case, minutes, seed
        self.packages = ("numpy", "scipy", "pystoi", *packages)
        self.points = []
        (self.folder / "masks").mkdir(parents=True, exist_ok=True)
        for old in [self.folder / "end.json", *(self.folder / "masks").glob("*.npz")]:  # Of an earlier run.
            old.unlink(missing_ok=True)
        self._write_row(COLUMNS, "w")
        self.start()

    def start(self):
        """Set the clock to zero."""
        self._began, self._excluded, self._pauses = time.perf_counter(), 0.0, 0
        self._began_utc, self._cpu = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), _cpu_seconds()

    @property
    def seconds(self):
        """On the clock so far."""
        now = self._pause_began if self._pauses else time.perf_counter()
        return now - self._began - self._excluded

    @property
    def over(self):
        """Whether the time is up."""
        return self.seconds >= 60 * self.minutes

    @contextmanager
    def paused(self):
        """For the benchmark's own bookkeeping: the clock stands still."""
        if not self._pauses:
            self._pause_began = time.perf_counter()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._excluded += time.perf_counter() - self._pause_began

    def point(self, label, kind, stoi_improvement, memory_bytes, test_masks):
        """Record a finished point; True if it is on the contender's own front now.

        `test_masks`: a function without arguments that predicts the masks of the test mixtures (windows, 129). It
        is called for front points only, off the clock; the model must still be the one that was measured.
        """
        seconds = self.seconds
        with self.paused():
            number = len(self.points)
            on_front = not any(gain >= stoi_improvement and size <= memory_bytes for gain, size in self.points)
            self.points.append((stoi_improvement, memory_bytes))
            self._write_point(seconds, label, kind, stoi_improvement, memory_bytes)
            if on_front:
                masks = np.asarray(test_masks()).astype(np.float16)  # Moves no STOI by more than about 1e-5.
                np.savez_compressed(self.folder / "masks" / f"{number:03d}.npz", masks=masks)
        return on_front

    def add(self, seconds, label, kind, stoi_improvement, memory_bytes):
        """Record a point that a contender with a clock of its own has finished after so many seconds."""
        self.points.append((stoi_improvement, memory_bytes))
        self._write_point(seconds, label, kind, stoi_improvement, memory_bytes)

    def finish(self, launched=0.0, **more):
        """Write `end.json`; `more` is added to it. `launched`: CPU seconds of processes that are no children."""
        with self.paused():
            own, busy, stolen, total = (now - then for now, then in zip(_cpu_seconds(), self._cpu, strict=True))
            own += launched
            end = {
                "began": self._began_utc,
                "minutes": self.minutes,
                "seconds": round(self.seconds, 3),
                "seconds_excluded": round(self._excluded + time.perf_counter() - self._pause_began, 3),
                "points": len(self.points),
                "seed": self.seed,
                "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "usable_cores": len(os.sched_getaffinity(0))},
                "versions": {"python": python_version(), **_versions(self.packages)},
                # From start to finish, pauses included; children count once they have ended.
                "cpu_seconds": round(own, 2),
                "others_share": round(max(0.0, busy - own) / total, 4) if total else None,
                "stolen_share": round(stolen / total, 4) if total else None,
                **more,
            }
            (self.folder / "end.json").write_text(json.dumps(end, indent=2) + "\n", encoding="utf-8")

    def _write_point(self, seconds, label, kind, stoi_improvement, memory_bytes):
        self._write_row((f"{seconds:.3f}", label, kind, f"{stoi_improvement:.6f}", memory_bytes), "a")

    def _write_row(self, row, mode):
        with (self.folder / "points.csv").open(mode, newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerow(row)


def _cpu_seconds():
    """CPU seconds: of this process and its ended children; of the machine busy, stolen from it, and in all."""
    user, system, child_user, child_system, _ = os.times()
    line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in line.split()[1:9]]
    idle, waiting, stolen = ticks[3], ticks[4], ticks[7]
    busy = sum(ticks) - idle - waiting - stolen
    return user + system + child_user + child_system, busy, stolen, sum(ticks)


def _cpu_model():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _versions(packages):
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
