"""The float baseline of a study: trained once, cached by the content of everything that decides it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordlength.atomic import write_atomically
from wordlength.objectives.audio import PreparedData
from wordlength.objectives.models import ModelSettings
from wordlength.objectives.settings import TrainingSettings
from wordlength.space import Slot, SlotInfo, TensorInfo

BASELINE_VERSION = 3
"""Part of the cache key; raised when the same settings would give another baseline."""


@dataclass(frozen=True)
class Baseline:
    """A trained float model and what the search needs to know of it.

    `weights`: in Keras' order, batch normalization folded. `samples`: per slot, float values that its format will have
    to hold.
    `gains`: STOI improvement of every validation mixture, whose mean is `stoi_improvement`.
    """

    weights: tuple[npt.NDArray[np.float32], ...]
    slots: tuple[SlotInfo, ...]
    samples: Mapping[Slot, npt.NDArray[np.float32]]
    stoi_improvement: float
    stoi_standard_error: float
    gains: tuple[float, ...]
    memory_bytes: int
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int
    digest: str

    def parameters(self, slot: Slot) -> tuple[npt.NDArray[np.float32], ...]:
        """The slot's float tensors as its format sees them, output channels last; none for activations."""
        tensors = {info.slot: info.tensors for info in self.slots}[slot]
        return tuple(self.weights[tensor.place].reshape(tensor.packed_shape) for tensor in tensors)

    @property
    def content_digest(self) -> str:
        """16 hex digits of weights and samples: two baselines of the same settings may differ between machines."""
        content = hashlib.sha256()
        for array in (*self.weights, *self.samples.values()):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()[:16]


@dataclass(frozen=True)
class BaselineProgress:
    """After one epoch of the baseline's training."""

    epoch: int
    epochs: int
    loss: float
    stoi_improvement: float


def baseline_digest(
    data: PreparedData, model: ModelSettings, training: TrainingSettings, seed: int, threads: int = 1
) -> str:
    """Names everything that decides the baseline: data content, network, its training, seed, TensorFlow's threads."""
    decides = {
        "version": BASELINE_VERSION,
        "data": data.digest,
        "model": asdict(model),
        "epochs": training.baseline_epochs,
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "seed": seed,
        "threads": threads,
    }
    if training.baseline_patience:  # Without it the digest is what it was before there was any.
        decides["patience"] = training.baseline_patience
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def prepare_baseline(
    data: PreparedData, model: ModelSettings, training: TrainingSettings, seed: int, cache: Path, threads: int = 1
) -> Iterator[BaselineProgress | Baseline]:
    """The baseline from the cache, or trained now: progress after each epoch, last the Baseline."""
    digest = baseline_digest(data, model, training, seed, threads)
    path = baseline_path(cache, digest)
    known = load_baseline(path)
    if known is None:
        for state in _train(data, model, training, seed, digest):
            if isinstance(state, Baseline):
                save_baseline(state, path)
            yield state
    else:
        yield known


def _train(
    data: PreparedData, settings: ModelSettings, training: TrainingSettings, seed: int, digest: str
) -> Iterator[BaselineProgress | Baseline]:
    from wordlength.objectives.folding import folded
    from wordlength.objectives.memory import float_bytes
    from wordlength.objectives.models import build_model
    from wordlength.objectives.quantized_model import quantize
    from wordlength.objectives.stoi import StoiMeter
    from wordlength.objectives.training import Predictor, Windows, train_baseline

    model = build_model(settings, data.shape, seed)
    windows = Windows.of(data.train)
    predictor, meter = Predictor(model, Windows.of(data.validation.frames)), StoiMeter(data.validation)
    states = train_baseline(model, windows, training, seed, lambda: meter.improvement(predictor.masks()).mean)
    for state in states:
        yield BaselineProgress(len(state.losses), training.baseline_epochs, state.losses[-1], state.scores[-1])
    improvement = meter.improvement(predictor.masks())
    model = folded(model)
    quantized = quantize(model)
    yield Baseline(
        weights=tuple(model.get_weights()),
        slots=quantized.slots,
        samples=_samples(quantized, windows, data.subset_windows, seed),
        stoi_improvement=improvement.mean,
        stoi_standard_error=improvement.standard_error,
        gains=tuple(improvement.per_mixture.tolist()),
        memory_bytes=float_bytes(quantized.slots),
        losses=state.losses,
        scores=state.scores,
        best_epoch=state.best_epoch,
        digest=digest,
    )


def baseline_path(cache: Path, digest: str) -> Path:
    """Where the baseline of this digest is cached."""
    return cache / "baselines" / f"{digest}.npz"


def spread(windows: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    """At most `count` of the windows, evenly spaced over all of them."""
    chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int)
    return np.asarray(windows[chosen], np.int32)


def _samples(
    quantized: Any, windows: Any, subset: npt.NDArray[np.int32], seed: int
) -> dict[Slot, npt.NDArray[np.float32]]:
    from wordlength.objectives.proposals import sample

    *taps, _ = quantized.taps(windows.inputs(spread(subset, 256)), training=False)
    values = {slot: tap.numpy() for slot, tap in zip(quantized.activation_slots, taps, strict=True)}
    for info in quantized.slots:
        if info.tensors:
            tensors = [np.ravel(variable.numpy()) for variable in quantized.parameters(info.slot)]
            values[info.slot] = np.concatenate(tensors)
    return {info.slot: sample(values[info.slot], seed) for info in quantized.slots}


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write atomically: a killed process leaves the old file or none."""
    plain = {
        name: getattr(baseline, name)
        for name in (
            "stoi_improvement",
            "stoi_standard_error",
            "gains",
            "memory_bytes",
            "losses",
            "scores",
            "best_epoch",
            "digest",
        )
    }
    plain["slots"] = [
        [str(info.slot), info.no_binary, [[t.name, list(t.shape), t.channel_axes, t.place] for t in info.tensors]]
        for info in baseline.slots
    ]
    arrays = {f"weight_{number}": weight for number, weight in enumerate(baseline.weights)}
    arrays |= {f"sample_{slot}": values for slot, values in baseline.samples.items()}
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(json.dumps(plain)), allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def load_baseline(path: Path) -> Baseline | None:
    """Inverse of `save_baseline`; None if the file is missing or damaged, so that it is made again."""
    try:
        # Opened here, because np.load leaves a damaged file open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return _read_baseline(stored)
    except (OSError, EOFError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return None


def _read_baseline(stored: Any) -> Baseline:
    plain = json.loads(str(stored["meta"]))
    plain["slots"] = tuple(
        SlotInfo(Slot.parse(slot), tuple(TensorInfo(name, tuple(shape), *rest) for name, shape, *rest in tensors), told)
        for slot, told, tensors in plain["slots"]
    )
    plain |= {name: tuple(plain[name]) for name in ("gains", "losses", "scores")}
    weights = tuple(stored[f"weight_{n}"] for n in range(sum(name.startswith("weight_") for name in stored)))
    samples = {Slot.parse(n.removeprefix("sample_")): stored[n] for n in stored if n.startswith("sample_")}
    return Baseline(weights=weights, samples=samples, **plain)
