import dataclasses
from pathlib import Path

import numpy as np
import pytest
from pystoi import stoi

from wordlength.objectives.audio import (
    SAMPLE_RATE_HZ,
    CorpusSettings,
    DataSettings,
    FeatureSettings,
    MixtureSet,
    PreparedData,
    prepare,
)
from wordlength.objectives.audio.features import istft, stft
from wordlength.objectives.goals import DEFAULT_OBJECTIVES
from wordlength.objectives.goals.meter import Meter


@pytest.fixture(scope="module")
def mixtures(tiny_data: PreparedData) -> MixtureSet:
    assert len(tiny_data.validation) == 2
    return tiny_data.validation


@pytest.fixture(scope="module")
def meter(tiny_data: PreparedData, mixtures: MixtureSet) -> Meter:
    return Meter(mixtures, DEFAULT_OBJECTIVES)


def oracle(mixtures: MixtureSet) -> np.ndarray:
    """The ideal ratio masks of all windows in order."""
    return mixtures.frames.targets[mixtures.frames.windows]


def test_each_improvement_is_pystois(mixtures: MixtureSet, meter: Meter) -> None:
    masks = np.random.default_rng(0).uniform(0, 1, oracle(mixtures).shape).astype(np.float32) * oracle(mixtures)
    improvement = meter.primary(masks)
    assert improvement.per_mixture.shape == (2,)
    for number in range(2):
        clean, noisy = mixtures.mixture(number)
        mask = masks[mixtures.frames.mixture_of_window == number]
        enhanced = istft(stft(noisy, FeatureSettings()) * mask, clean.size, FeatureSettings())
        wanted = stoi(clean, enhanced, SAMPLE_RATE_HZ) - stoi(clean, noisy, SAMPLE_RATE_HZ)
        assert improvement.per_mixture[number] == pytest.approx(wanted, abs=1e-12)
        assert wanted != 0
    assert improvement.value == pytest.approx(np.mean(improvement.per_mixture), abs=1e-12)
    assert improvement.standard_error == pytest.approx(abs(np.diff(improvement.per_mixture)[0]) / 2, abs=1e-12)


def test_the_oracle_mask_improves_every_mixture(mixtures: MixtureSet, meter: Meter) -> None:
    assert (meter.primary(oracle(mixtures)).per_mixture > 0.02).all()


def test_a_mask_of_ones_changes_nothing(mixtures: MixtureSet, meter: Meter) -> None:
    """Within 1e-3: a spectrum and back in float32 changes samples by 1e-7, and pystoi keeps or drops a frame
    by comparing its energy with a threshold, so that one frame may fall on the other side."""
    improvement = meter.primary(np.ones_like(oracle(mixtures)))
    assert np.abs(improvement.per_mixture).max() < 1e-3


def test_the_order_of_mixtures_is_that_of_the_windows(mixtures: MixtureSet, meter: Meter) -> None:
    """The oracle for the first mixture and silence-free ones for the second: only the first improves."""
    masks = oracle(mixtures).copy()
    masks[mixtures.frames.mixture_of_window == 1] = 1
    first, second = meter.primary(masks).per_mixture
    assert first > 0.02
    assert abs(second) < 1e-3


def test_one_mixture_has_no_standard_error(tiny_data: PreparedData, mixtures: MixtureSet) -> None:
    end = int(mixtures.offsets[1])
    one = dataclasses.replace(
        mixtures,
        clean=mixtures.clean[:end],
        noisy=mixtures.noisy[:end],
        offsets=mixtures.offsets[:2],
        noisy_stoi=mixtures.noisy_stoi[:1],
        names=mixtures.names[:1],
        frames=dataclasses.replace(
            mixtures.frames,
            windows=mixtures.frames.windows_of(0),
            mixture_of_window=mixtures.frames.mixture_of_window[: len(mixtures.frames.windows_of(0))],
        ),
    )
    masks = oracle(mixtures)[mixtures.frames.mixture_of_window == 0]
    improvement = Meter(one, DEFAULT_OBJECTIVES).primary(masks)
    assert improvement.standard_error == 0
    assert improvement.value == improvement.per_mixture[0] > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_masks_must_be_finite(mixtures: MixtureSet, meter: Meter, value: float) -> None:
    masks = oracle(mixtures).copy()
    masks[3, 5] = value
    with pytest.raises(ValueError, match="outputs must be finite, but the model's are not"):
        meter.primary(masks)


@pytest.mark.parametrize("rows", [-1, 1])
def test_as_many_masks_as_windows_are_needed(mixtures: MixtureSet, meter: Meter, rows: int) -> None:
    masks = np.resize(oracle(mixtures), (oracle(mixtures).shape[0] + rows, 129))
    with pytest.raises(ValueError, match=r"outputs must be of [0-9]+ windows, but there are [0-9]+"):
        meter.primary(masks)


@pytest.mark.real_data
def test_the_oracle_mask_improves_real_speech_in_real_noise(real_data: Path, tmp_path: Path) -> None:
    settings = DataSettings(
        speech=(CorpusSettings("timit", real_data / "timit"),),
        noise=(CorpusSettings("urbansound8k", real_data / "UrbanSound8K"),),
        mixtures_per_utterance=1,
    )
    data = prepare(settings, tmp_path)
    validation = data.validation
    assert len(validation) >= 10
    assert Meter(validation, DEFAULT_OBJECTIVES).primary(oracle(validation)).value > 0.1
