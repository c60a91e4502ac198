"""The float baseline of a study: trained once or read from a file, cached by the content of all that decides it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.atomic import write_atomically
from wordlength.digests import short_digest
from wordlength.objectives.audio.prepared import PreparedData, spread
from wordlength.objectives.goals import Goal, GoalKind
from wordlength.objectives.network import NetworkFacts, network_facts
from wordlength.objectives.settings import EvaluationSettings
from wordlength.space import Slot, SlotInfo, TensorInfo

BASELINE_VERSION = 3
"""Part of the cache key; raised when the same settings would give another baseline."""


@dataclass(frozen=True)
class Baseline:
    """A trained float model and what the search needs to know of it.

    `weights`: of the network without batch normalization, in Keras' order. `samples`: per slot, float values that its
    format will have to hold. `values`: of every quality of the study; `quality`: that of `goal`, the first one, to
    which `standard_error` and `gains`, what each validation mixture contributes, belong. `network`: what costs are
    computed from. `losses`, `scores`: of each epoch of its training, `best_epoch` from 1 on; none and 0 where it came
    trained.
    """

    weights: tuple[FloatArray, ...]
    slots: tuple[SlotInfo, ...]
    samples: Mapping[Slot, FloatArray]
    network: NetworkFacts
    goal: Goal
    values: Mapping[str, float]
    quality: float
    standard_error: float
    gains: tuple[float, ...]
    memory_bytes: int
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int
    digest: str

    def parameters(self, slot: Slot) -> tuple[FloatArray, ...]:
        """The slot's float tensors as its format sees them, output channels last; none for activations."""
        tensors = {info.slot: info.tensors for info in self.slots}[slot]
        return tuple(self.weights[tensor.place].reshape(tensor.packed_shape) for tensor in tensors)

    @property
    def content_digest(self) -> str:
        """16 hex digits of weights and samples: two baselines of the same settings may differ between machines."""
        return short_digest(*(array.tobytes() for array in (*self.weights, *self.samples.values())))


@dataclass(frozen=True)
class BaselineProgress:
    """After one epoch of the baseline's training."""

    epoch: int
    epochs: int
    loss: float
    quality: float
    goal: Goal


def baseline_digest(data: PreparedData, settings: EvaluationSettings, seed: int, threads: int = 1) -> str:
    """Names everything that decides the baseline: data content, network, its training, seed, TensorFlow's threads.

    Of a network that comes trained, its file's content in place of training and seed of the weights. The qualities
    too: the first one chooses the best epoch. Costs are counted whenever they are needed.
    """
    decides = {
        "version": BASELINE_VERSION,
        "data": data.digest,
        "model": settings.model.described,
        "seed": seed,  # Of the values sampled, too.
        "threads": threads,
        "qualities": [asdict(one) for one in settings.objectives if one.goal.kind is GoalKind.QUALITY],
    }
    training = settings.training
    if settings.pretrained is None:
        decides |= {
            "epochs": training.baseline_epochs,
            "patience": training.baseline_patience,
            "batch_size": training.batch_size,
            "learning_rate": training.learning_rate,
        }
    else:
        decides["pretrained"] = settings.pretrained.digest
    return short_digest(json.dumps(decides, sort_keys=True).encode())


def prepare_baseline(
    data: PreparedData, settings: EvaluationSettings, seed: int, cache: Path, threads: int = 1
) -> Iterator[BaselineProgress | Baseline]:
    """The baseline from the cache, or made now: of a training, progress after each epoch; last the Baseline.

    Of a network that comes trained nothing is trained. Raises ModelError, TrainingDiverged.
    """
    digest = baseline_digest(data, settings, seed, threads)
    path = baseline_path(cache, digest)
    known = load_baseline(path)
    if known is None:
        made = _train if settings.pretrained is None else _from_file
        for state in made(data, settings, seed, digest):
            if isinstance(state, Baseline):
                save_baseline(state, path)
            yield state
    else:
        yield known


def _train(
    data: PreparedData, settings: EvaluationSettings, seed: int, digest: str
) -> Iterator[BaselineProgress | Baseline]:
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.models import build_model
    from wordlength.objectives.training import Predictor, Windows, train_baseline

    model, training = build_model(settings.model, data.shape, seed), settings.training
    windows = Windows.of(data.train)
    predictor = Predictor(model, Windows.of(data.validation.frames))
    meter = Meter(data.validation, settings.objectives)
    states = train_baseline(model, windows, training, seed, lambda: meter.ahead(predictor.outputs()))
    for state in states:
        reached = meter.goal.ahead(state.scores[-1])  # Its own inverse.
        yield BaselineProgress(len(state.losses), training.baseline_epochs, state.losses[-1], reached, meter.goal)
    known = {"losses": state.losses, "scores": state.scores, "best_epoch": state.best_epoch}
    yield _measured(model, data, seed, meter, digest=digest, **known)


def _from_file(
    data: PreparedData, settings: EvaluationSettings, seed: int, digest: str
) -> Iterator[BaselineProgress | Baseline]:
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.models.float_network import pretrained_network

    assert settings.pretrained is not None
    model = pretrained_network(settings.pretrained, settings.model, data.shape, seed)
    meter = Meter(data.validation, settings.objectives)
    yield _measured(model, data, seed, meter, losses=(), scores=(), best_epoch=0, digest=digest)


def _measured(model: Any, data: PreparedData, seed: int, meter: Any, **known: Any) -> Baseline:
    """The trained network, folded, and what it reaches."""
    from wordlength.objectives.folding import folded
    from wordlength.objectives.memory import float_bytes
    from wordlength.objectives.quantized_model import quantize
    from wordlength.objectives.training import Predictor, Windows, require_finite

    network = folded(model)
    quantized = quantize(network)
    outputs = Predictor(network, Windows.of(data.validation.frames)).outputs()
    require_finite(outputs, "the float baseline")
    measured = meter.measure(outputs)
    first = measured[meter.goal.name]
    return Baseline(
        weights=tuple(network.get_weights()),
        slots=quantized.slots,
        samples=_samples(quantized, Windows.of(data.train), data.subset_windows, seed),
        network=network_facts(network),
        goal=meter.goal,
        values={name: one.value for name, one in measured.items()},
        quality=first.value,
        standard_error=first.standard_error,
        gains=tuple(first.per_mixture.tolist()),
        memory_bytes=float_bytes(quantized.slots),
        **known,
    )


def baseline_path(cache: Path, digest: str) -> Path:
    """Where the baseline of this digest is cached."""
    return cache / "baselines" / f"{digest}.npz"


def _samples(quantized: Any, windows: Any, subset: npt.NDArray[np.int32], seed: int) -> dict[Slot, FloatArray]:
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
            "quality",
            "standard_error",
            "gains",
            "memory_bytes",
            "losses",
            "scores",
            "best_epoch",
            "digest",
        )
    }
    plain |= {"values": dict(baseline.values), "network": baseline.network.to_json(), "goal": asdict(baseline.goal)}
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
    plain["goal"] = Goal.from_json(plain["goal"])
    plain["network"] = NetworkFacts.from_json(plain["network"])
    plain |= {name: tuple(plain[name]) for name in ("gains", "losses", "scores")}
    weights = tuple(stored[f"weight_{n}"] for n in range(sum(name.startswith("weight_") for name in stored)))
    samples = {Slot.parse(n.removeprefix("sample_")): stored[n] for n in stored if n.startswith("sample_")}
    return Baseline(weights=weights, samples=samples, **plain)
