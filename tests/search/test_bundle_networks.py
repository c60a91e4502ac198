"""Bundles of all kinds of networks: with C wherever there is integer arithmetic, elsewhere with the reason."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.objectives.evaluate import Evaluator
from wordlength.objectives.memory import float_bytes, memory_bytes
from wordlength.search.export.config import BundleConfig
from wordlength.search.export.contents import Asked, Subject, write_bundle
from wordlength.search.export.verify import verify
from wordlength.search.session import open_evaluator
from wordlength.space import Candidate, Fixed, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def opened(tiny_study) -> Evaluator:
    _, home, view = tiny_study
    return open_evaluator(home.find(view.name), home)[0]


@pytest.fixture
def bundled(tiny_study, opened: Evaluator, tmp_path: Path) -> Callable[[Any], BundleConfig]:
    """Writes a bundle of a network with random weights, as if the study were of it, to `tmp_path / "bundle"`."""
    _, home, view = tiny_study

    def write(model: Any) -> BundleConfig:
        rng, slots = np.random.default_rng(1), find_slots(model)
        weights = tuple(rng.normal(0, 0.4, weight.shape).astype(np.float32) for weight in model.weights)
        candidate = Candidate.uniform((info.slot for info in slots), Fixed(4, 0), Fixed(8, 1), Fixed(8, 2))
        evaluator = copy.copy(opened)
        evaluator.float_model, evaluator.baseline = model, dataclasses.replace(opened.baseline, slots=slots)
        known = dataclasses.replace(view.baseline, memory_bytes=float_bytes(slots))
        point = dataclasses.replace(view.front[-1], candidate=candidate, memory_bytes=memory_bytes(slots, candidate))
        mine = dataclasses.replace(view, baseline=known)
        subject = Subject(home.find(view.name), mine, point, weights, None, None, evaluator)
        return write_bundle(tmp_path / "bundle", subject, Asked(vectors=5, verify=False), lambda *_: None)

    return write


def network(*stack: Any) -> keras.Model:
    """(16, 64) → (2,); a window is narrowed first, since all of this is run again in Python."""
    x = inputs = keras.Input((16, 64))
    x = layers.Conv1D(3, 4, strides=4, name="narrow")(x)
    for layer in stack:
        x = layer(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(inputs, layers.Dense(2, "sigmoid", name="mask")(x))


def branched(x: Any) -> Any:
    left = layers.Conv1D(3, 2, padding="causal", name="past")(x)
    joined = layers.ReLU(name="joined")(layers.Add(name="sum")([left, x]))
    gated = layers.Multiply(name="gated")([joined, layers.Dense(3, "sigmoid", name="gate")(x)])
    return layers.Concatenate(name="beside")([gated, layers.Maximum(name="most")([left, x])])


COMPUTED: dict[str, Callable[[], tuple[Any, ...]]] = {
    "branches": lambda: (branched,),
    "over time": lambda: (layers.TimeDistributed(layers.Dense(2, "tanh"), name="each"),),
    "transposed": lambda: (layers.Conv1DTranspose(2, 3, strides=2, name="up"), layers.UpSampling1D(2)),
    "recurrent": lambda: (
        layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both"),
        layers.GRU(2, recurrent_activation="hard_sigmoid", return_sequences=True, name="gru"),
        layers.SimpleRNN(2, name="simple"),
    ),
}


@pytest.mark.parametrize("kind", COMPUTED)
def test_a_network_that_integers_compute_has_c_that_is_verified(
    kind: str, bundled: Callable[[Any], BundleConfig], tiny_study, tmp_path: Path
) -> None:
    config = bundled(network(*COMPUTED[kind]()))
    assert config.no_arithmetic == ""
    done = verify(tmp_path / "bundle", tiny_study[1], stoi=False, fpga=False)
    assert "the C code gives every layer of 5 test frames to the last bit" in done.checked


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "softmax": (lambda: layers.Softmax(name="odd"), "'odd' is a Softmax"),
    "a dense softmax": (lambda: layers.Dense(3, "softmax", name="odd"), "'odd' has the function softmax"),
    "normalization": (lambda: layers.LayerNormalization(name="odd"), "'odd' is a LayerNormalization"),
    "a GRU before": (lambda: layers.GRU(2, reset_after=False, name="odd"), "a GRU must have reset_after=True"),
    "added directions": (lambda: layers.Bidirectional(layers.GRU(2), merge_mode="sum", name="odd"), "merge_mode='sum'"),
    "open gates": (lambda: layers.LSTM(2, recurrent_activation="relu", name="odd"), "gates of odd must lie in 0 … 1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_network_that_integers_do_not_compute_has_the_reason_instead(
    kind: str, bundled: Callable[[Any], BundleConfig], tiny_study, tmp_path: Path
) -> None:
    make, reason = REFUSED[kind]
    config = bundled(network(make()))
    assert config.arithmetic is None
    assert reason in config.no_arithmetic
    assert not {"c", "vectors", "hls4ml"} & {path.name for path in (tmp_path / "bundle").iterdir()}
    for page in ("report.md", "report.html"):
        assert "odd" in (tmp_path / "bundle" / page).read_text(encoding="utf-8")
    assert config.no_arithmetic in (tmp_path / "bundle" / "report.md").read_text(encoding="utf-8")
    done = verify(tmp_path / "bundle", tiny_study[1], stoi=False)
    assert done.left_out[-1] == f"integers and C: {config.no_arithmetic}"
