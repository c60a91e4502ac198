from functools import partial

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wordlength.objectives.audio import FeatureSettings, features
from wordlength.objectives.audio.features import log_magnitude

DEFAULT = FeatureSettings()
stft = partial(features.stft, settings=DEFAULT)
istft = partial(features.istft, settings=DEFAULT)
log_mel = partial(features.log_mel, settings=DEFAULT)
frame_count = partial(features.frame_count, settings=DEFAULT)


def mel_filterbank(bins: int = 64) -> np.ndarray:
    return features.mel_filterbank(FeatureSettings(mel_bins=bins))


def signal(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


FRAMINGS = [
    FeatureSettings(kind="log_spectrum", frame_samples=frame, hop_samples=hop)
    for frame, hop in [(256, 128), (256, 64), (320, 160), (255, 85), (480, 96), (512, 16), (16, 8), (17, 1)]
]


@pytest.mark.parametrize("settings", FRAMINGS, ids=lambda s: f"{s.frame_samples}/{s.hop_samples}")
@given(samples=st.integers(1, 3000), seed=st.integers(0, 9))
@hypothesis_settings(max_examples=25)
def test_perfect_reconstruction(settings: FeatureSettings, samples: int, seed: int) -> None:
    original = signal(samples, seed)
    spectrum = features.stft(original, settings)
    assert spectrum.shape == (features.frame_count(samples, settings), settings.spectrum_bins)
    assert spectrum.dtype == np.complex64
    restored = features.istft(spectrum, samples, settings)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, original, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 127, 128, 129, 5000])
def test_half_a_frame_apart_is_bit_for_bit_what_it_was(samples: int) -> None:
    """The case study's arrays must not move: its transform as it was before frames and hops became settings."""
    original = signal(samples)
    padded = np.zeros((frame_count(samples) + 1) * 128, np.float32)
    padded[128 : 128 + samples] = original
    halves = padded.reshape(-1, 128)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)).astype(np.float32)
    spectrum = scipy.fft.rfft(np.concatenate([halves[:-1], halves[1:]], axis=1) * window, axis=1)
    np.testing.assert_array_equal(stft(original), spectrum)
    synthesis = (window / (window**2 + np.roll(window, 128) ** 2)).astype(np.float32)
    frames = scipy.fft.irfft(spectrum, n=256, axis=1) * synthesis
    restored = (frames[:-1, 128:] + frames[1:, :128]).reshape(-1)[:samples]
    np.testing.assert_array_equal(istft(stft(original), samples), restored)


@pytest.mark.parametrize("settings", FRAMINGS, ids=lambda s: f"{s.frame_samples}/{s.hop_samples}")
def test_frames_against_a_direct_transform(settings: FeatureSettings) -> None:
    original, frame, hop = signal(1000), settings.frame_samples, settings.hop_samples
    padded = np.concatenate([np.zeros(frame - hop), original, np.zeros(2 * frame)])
    window = np.sin(np.pi * np.arange(frame) / frame) ** 2
    count = features.frame_count(1000, settings)
    direct = [np.fft.rfft(window * padded[hop * t : hop * t + frame]) for t in range(count)]
    np.testing.assert_allclose(features.stft(original, settings), direct, atol=1e-4)
    assert not padded[hop * count :].any()  # the next frame would hold no sample
    assert padded[hop * (count - 1) :].any()


@pytest.mark.parametrize("frame", [0, 3, 6])
@pytest.mark.parametrize("settings", FRAMINGS[:4], ids=lambda s: f"{s.frame_samples}/{s.hop_samples}")
def test_a_frame_needs_no_later_samples(settings: FeatureSettings, frame: int) -> None:
    original = signal(1600)
    changed = original.copy()
    changed[settings.hop_samples * (frame + 1) :] = 0.123
    before, after = (features.features_of(features.stft(x, settings), settings) for x in (original, changed))
    np.testing.assert_array_equal(before[: frame + 1], after[: frame + 1])
    assert not np.array_equal(before[frame + 1], after[frame + 1])


@pytest.mark.parametrize("settings", FRAMINGS[:2], ids=lambda s: f"{s.frame_samples}/{s.hop_samples}")
def test_istft_is_the_least_squares_inverse(settings: FeatureSettings) -> None:
    """No signal near istft's answer has a spectrum nearer to an inconsistent spectrum."""
    rng = np.random.default_rng(0)
    spectrum = features.stft(signal(640), settings)
    wanted = (spectrum * rng.uniform(0, 1, spectrum.shape)).astype(np.complex64)
    weights = np.r_[1, np.full(127, 2), 1]  # the inner bins stand for two of the full transform

    def distance(candidate: np.ndarray) -> float:
        near = features.stft(candidate.astype(np.float32), settings)
        return float((weights * np.abs(near - wanted) ** 2).sum())

    best = features.istft(wanted, 640, settings)
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


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize(("frame", "bins"), [(16, 9), (255, 64), (256, 129), (512, 257), (2048, 64)])
def test_no_mel_filter_is_empty_at_any_rate(rate_hz: int, frame: int, bins: int) -> None:
    hop = frame // (3 if frame % 2 else 2)
    chosen = FeatureSettings(sample_rate_hz=rate_hz, frame_samples=frame, hop_samples=hop, mel_bins=bins)
    filters = features.mel_filterbank(chosen)
    assert filters.shape == (frame // 2 + 1, bins)
    assert np.isfinite(filters).all()
    np.testing.assert_allclose(filters.sum(axis=0), 1, rtol=1e-5)
    assert not filters[0].any()


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
    bands = log_mel(spectrum)
    assert bands.shape == (64, 64)
    assert bands.dtype == np.float32
    assert set(bands[2:-2].argmax(axis=1)) == {int(mel_filterbank()[16].argmax())}  # 1000 Hz is bin 16


def test_log_mel_of_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros((3, 129), np.complex64)), np.log(1e-6), rtol=1e-6)


def test_gain_moves_log_mel_by_its_logarithm() -> None:
    spectrum = stft(signal(4000))
    moved = log_mel(10 * spectrum) - log_mel(spectrum)
    np.testing.assert_allclose(moved, 2 * np.log(10), atol=5e-3)  # less where the floor still counts


def test_log_magnitude_is_that_of_every_bin() -> None:
    spectrum = np.array([[3 + 4j, 0, 1e-9]], np.complex64)
    logarithm = log_magnitude(spectrum)
    assert logarithm.dtype == np.float32
    np.testing.assert_allclose(logarithm, [[np.log(5), np.log(1e-3), np.log(1e-3)]], rtol=1e-6)
