import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wordlength.objectives.audio.prepared import PreparedData, spread
from wordlength.objectives.baseline import (
    Baseline,
    BaselineProgress,
    baseline_digest,
    load_baseline,
    prepare_baseline,
    save_baseline,
)
from wordlength.objectives.goals import DEFAULT_GOALS
from wordlength.objectives.memory import float_bytes
from wordlength.objectives.models import IrmCnn, build_model
from wordlength.objectives.settings import EvaluationSettings, TrainingSettings
from wordlength.objectives.shape import NetworkShape
from wordlength.space import Role, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def assert_same(one: Baseline, other: Baseline) -> None:
    """Equal to the last bit in every field."""
    for field in dataclasses.fields(Baseline):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "samples":
            assert list(a) == list(b)
            a, b = tuple(a.values()), tuple(b.values())
        if field.name in ("samples", "weights"):
            assert len(a) == len(b) > 0
            for x, y in zip(a, b, strict=True):
                assert x.dtype == y.dtype == np.float32
                np.testing.assert_array_equal(x, y)
        else:
            assert a == b
            assert type(a) is type(b)


def test_the_baseline_tells_what_the_search_needs(
    tiny_baseline: Baseline, tiny_model_settings: IrmCnn, tiny_training_settings: TrainingSettings
) -> None:
    slots = find_slots(build_model(tiny_model_settings, NetworkShape(16, 64, 129), seed=0))
    assert tiny_baseline.slots == slots
    assert tiny_baseline.memory_bytes == float_bytes(slots) == 4 * sum(weight.size for weight in tiny_baseline.weights)
    assert len(tiny_baseline.losses) == len(tiny_baseline.scores) == tiny_training_settings.baseline_epochs
    assert tiny_baseline.scores[tiny_baseline.best_epoch - 1] == tiny_baseline.quality
    assert tiny_baseline.standard_error > 0


def test_samples_are_the_parameters_and_some_activations(tiny_baseline: Baseline) -> None:
    assert list(tiny_baseline.samples) == [info.slot for info in tiny_baseline.slots]
    parameters = iter(tiny_baseline.weights)
    for info in tiny_baseline.slots:
        values = tiny_baseline.samples[info.slot]
        assert values.ndim == 1
        assert values.size > 0
        if info.slot.role is Role.ACTIVATIONS:
            assert values.min() >= 0  # relu, or the sigmoid's
            assert values.max() > 0
        else:
            wanted = np.concatenate([next(parameters).ravel() for _ in info.tensors])
            np.testing.assert_array_equal(np.sort(values), np.sort(wanted))


def test_a_cache_hit_gives_the_same_at_once(
    tiny_baseline: Baseline,
    tiny_data: PreparedData,
    tiny_settings: EvaluationSettings,
    study_cache: Path,
) -> None:
    states = list(prepare_baseline(tiny_data, tiny_settings, 0, study_cache))
    assert len(states) == 1
    assert_same(states[0], tiny_baseline)


def test_saving_and_loading(tiny_baseline: Baseline, tmp_path: Path) -> None:
    save_baseline(tiny_baseline, tmp_path / "new" / "folder" / "one.npz")
    loaded = load_baseline(tmp_path / "new" / "folder" / "one.npz")
    assert loaded is not None
    assert_same(loaded, tiny_baseline)
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["one.npz"]


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0x10
    file.write_bytes(content)


def text(file: Path) -> None:
    file.write_text("not a baseline")


def without_meta(file: Path) -> None:
    with file.open("wb") as handle:
        np.savez(handle, weight_0=np.zeros(3, np.float32))


def meta_of_another_time(file: Path) -> None:
    with file.open("wb") as handle:
        np.savez(handle, meta=np.array('{"slots": [], "losses": [], "scores": [], "epochs": 3}'))


DAMAGES = [Path.unlink, empty, cut_in_half, flip_a_byte, text, without_meta, meta_of_another_time]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_no_baseline(tiny_baseline: Baseline, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = tmp_path / "one.npz"
    save_baseline(tiny_baseline, file)
    damage(file)
    assert load_baseline(file) is None


def test_a_damaged_cache_file_is_trained_again(
    tiny_baseline: Baseline,
    tiny_data: PreparedData,
    tiny_settings: EvaluationSettings,
    tmp_path: Path,
) -> None:
    file = tmp_path / "baselines" / f"{tiny_baseline.digest}.npz"
    save_baseline(tiny_baseline, file)
    text(file)
    progress, baseline = prepare_baseline(tiny_data, tiny_settings, 0, tmp_path)
    assert progress == BaselineProgress(1, 1, tiny_baseline.losses[0], tiny_baseline.scores[0], DEFAULT_GOALS.quality)
    assert isinstance(baseline, Baseline)
    assert_same(baseline, tiny_baseline)
    restored = load_baseline(file)
    assert restored is not None
    assert_same(restored, tiny_baseline)


def test_the_digest_names_what_decides_the_baseline(
    tiny_data: PreparedData, tiny_model_settings: IrmCnn, tiny_settings: EvaluationSettings
) -> None:
    def digest(data=tiny_data, model=tiny_model_settings, seed=0, **training: float) -> str:
        changed = dataclasses.replace(tiny_settings.training, **training)
        return baseline_digest(data, dataclasses.replace(tiny_settings, model=model, training=changed), seed)

    others = [
        digest(data=dataclasses.replace(tiny_data, digest="other")),
        digest(model=dataclasses.replace(tiny_model_settings, filters=(2, 2, 2, 2, 2, 3))),
        digest(model=dataclasses.replace(tiny_model_settings, dense=(8, 9))),
        digest(seed=1),
        digest(baseline_epochs=2),
        digest(batch_size=65),
        digest(learning_rate=2e-2),
        digest(baseline_patience=1),
        digest(baseline_patience=2),
    ]
    assert len({digest(), *others}) == len(others) + 1
    assert digest() == digest(baseline_patience=0)
    assert digest() == digest(step_one_epochs=7) == digest(step_two_epochs=7) == digest(quantized_learning_rate=0.5)


@pytest.mark.parametrize("count", [1, 2, 5, 10, 99])
def test_spread_windows_reach_from_the_first_on(count: int) -> None:
    windows = np.arange(100, 110, dtype=np.int32)
    chosen = spread(windows, count)
    assert chosen.dtype == np.int32
    assert len(chosen) == len(set(chosen.tolist())) == min(count, 10)
    assert chosen[0] == 100
    assert np.isin(chosen, windows).all()
    assert count == 1 or chosen[-1] == 109
