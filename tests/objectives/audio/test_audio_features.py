from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.objectives.audio import FeatureSettings, features
from wordlength.objectives.audio.masks import ideal_ratio_mask

DEFAULT = FeatureSettings()
stft = partial(features.stft, settings=DEFAULT)
istft = partial(features.istft, settings=DEFAULT)
log_mel = partial(features.log_mel, settings=DEFAULT)
frame_count = partial(features.frame_count, settings=DEFAULT)


def mel_filterbank(bins: int = 64) -> np.ndarray:
    return features.mel_filterbank(FeatureSettings(mel_bins=bins))


def signal(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


@given(samples=st.integers(1, 5000), seed=st.integers(0, 9))
def test_perfect_reconstruction(samples: int, seed: int) -> None:
    original = signal(samples, seed)
    spectrum = stft(original)
    assert spectrum.shape == (frame_count(samples), 129)
    assert spectrum.dtype == np.complex64
    restored = istft(spectrum, samples)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, original, atol=1e-5)


def test_frames_against_a_direct_transform() -> None:
    original = signal(1000)
    padded = np.concatenate([np.zeros(128), original, np.zeros(256)])
    window = np.sin(np.pi * np.arange(256) / 256) ** 2
    direct = [np.fft.rfft(window * padded[128 * t : 128 * t + 256]) for t in range(9)]
    np.testing.assert_allclose(stft(original), direct, atol=1e-4)


@pytest.mark.parametrize("frame", [0, 3, 6])
def test_a_frame_needs_no_later_samples(frame: int) -> None:
    original = signal(1024)
    changed = original.copy()
    changed[128 * (frame + 1) :] = 0.123
    before, after = log_mel(stft(original)), log_mel(stft(changed))
    np.testing.assert_array_equal(before[: frame + 1], after[: frame + 1])
    assert not np.array_equal(before[frame + 1], after[frame + 1])


def test_istft_is_the_least_squares_inverse() -> None:
    """No signal near istft's answer has a spectrum nearer to an inconsistent spectrum."""
    rng = np.random.default_rng(0)
    wanted = (stft(signal(640)) * rng.uniform(0, 1, (6, 129))).astype(np.complex64)
    weights = np.r_[1, np.full(127, 2), 1]  # the inner bins stand for two of the full transform

    def distance(candidate: np.ndarray) -> float:
        return float((weights * np.abs(stft(candidate.astype(np.float32)) - wanted) ** 2).sum())

    best = istft(wanted, 640)
    for seed in range(20):
        assert distance(best + 0.05 * signal(640, seed)) > distance(best)


def test_istft_refuses_another_length() -> None:
    with pytest.raises(ValueError, match=r"shape \(9, 129\) for 1000 samples, but got \(8, 129\)"):
        istft(stft(signal(1000))[:-1], 1000)


@pytest.mark.parametrize("bins", [1, 8, 40, 64, 129])
def test_no_mel_filter_is_empty(bins: int) -> None:
    filters = mel_filterbank(bins)
    assert filters.shape == (129, bins)
    assert filters.dtype == np.float32
    assert filters.min() >= 0
    np.testing.assert_allclose(filters.sum(axis=0), 1, rtol=1e-6)
    assert not filters[0].any()  # the constant component carries no speech


def test_mel_filters_differ_and_rise_in_frequency() -> None:
    filters = mel_filterbank()
    centres = (np.arange(129)[:, None] * filters).sum(axis=0)
    assert np.diff(centres).min() > 0.2  # in bins of 62.5 Hz
    assert np.linalg.matrix_rank(filters) > 50


def test_filterbank_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        mel_filterbank()[0, 0] = 1


def test_log_mel_of_a_tone_peaks_at_its_band() -> None:
    spectrum = stft(0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000).astype(np.float32))
    features = log_mel(spectrum)
    assert features.shape == (64, 64)
    assert features.dtype == np.float32
    assert set(features[2:-2].argmax(axis=1)) == {int(mel_filterbank()[16].argmax())}  # 1000 Hz is bin 16


def test_log_mel_of_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros((3, 129), np.complex64)), np.log(1e-6), rtol=1e-6)


def test_gain_moves_log_mel_by_its_logarithm() -> None:
    spectrum = stft(signal(4000))
    moved = log_mel(10 * spectrum) - log_mel(spectrum)
    np.testing.assert_allclose(moved, 2 * np.log(10), atol=5e-3)  # less where the floor still counts


def test_mask_values() -> None:
    speech = np.array([[3, 0, 1j, 0, 5]], np.complex64)
    noise = np.array([[4j, 2, 0, 0, 5j]], np.complex64)
    mask = ideal_ratio_mask(speech, noise)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, [[0.6, 0, 1, 0, np.sqrt(0.5)]], rtol=1e-6)


def test_mask_brings_the_mixture_nearer_to_the_speech() -> None:
    seconds = np.arange(16000) / 16000
    speech = (0.3 * np.sin(2 * np.pi * 500 * seconds)).astype(np.float32)
    noise = 0.2 * signal(16000)
    mask = ideal_ratio_mask(stft(speech), stft(noise))
    enhanced = istft(stft(speech + noise) * mask, 16000)
    assert np.mean((enhanced - speech) ** 2) < 0.1 * np.mean(noise**2)
