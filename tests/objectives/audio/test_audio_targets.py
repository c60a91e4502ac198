"""Targets and the way back: what an ideal network would reach, at several rates, frames and hops."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pystoi import stoi

from wordlength.errors import DataError
from wordlength.objectives.audio import (
    CorpusSettings,
    DataSettings,
    Enhancer,
    FeatureSettings,
    MixtureSet,
    PreparedData,
    TargetSettings,
    prepare,
    scores,
)
from wordlength.objectives.audio.features import frame_count, stft
from wordlength.objectives.audio.files import read_audio
from wordlength.objectives.audio.masks import ideal_binary_mask, ideal_ratio_mask, phase_sensitive_mask
from wordlength.objectives.audio.scoring import pesq_of
from wordlength.objectives.audio.targets import frame_targets
from wordlength.objectives.goals import DEFAULT_OBJECTIVES
from wordlength.objectives.goals.meter import Meter
from wordlength.objectives.shape import NetworkShape

SIGNALS = {
    "default": FeatureSettings(),
    "8 kHz, a quarter of a frame apart": FeatureSettings("log_spectrum", 8000, 128, 32, look_ahead=2),
    "22.05 kHz, a third of an odd frame apart": FeatureSettings("log_mel", 22050, 441, 147, 40, 2, 1),
    "48 kHz": FeatureSettings("log_mel", 48000, 512, 256, look_back=4),
}
Prepare = Callable[[FeatureSettings, TargetSettings], PreparedData]


def meter(mixtures):
    return Meter(mixtures, DEFAULT_OBJECTIVES)


@pytest.fixture(scope="module")
def prepared(tiny_data_settings: DataSettings, study_cache: Path) -> Prepare:
    def prepare_with(features: FeatureSettings, target: TargetSettings) -> PreparedData:
        return prepare(dataclasses.replace(tiny_data_settings, features=features, target=target), study_cache)

    return prepare_with


def oracle(mixtures: MixtureSet) -> np.ndarray:
    return mixtures.frames.targets[mixtures.frames.windows]


SPEECH = np.array([[3, 0, 1j, 0, 5]], np.complex64)
NOISE = np.array([[4j, 2, 0, 0, 5j]], np.complex64)


def test_ideal_ratio_mask_by_hand() -> None:
    mask = ideal_ratio_mask(SPEECH, NOISE)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, [[0.6, 0, 1, 0, np.sqrt(0.5)]], rtol=1e-6)


def test_ideal_binary_mask_by_hand() -> None:
    assert ideal_binary_mask(SPEECH, NOISE, 0.0).tolist() == [[0, 0, 1, 0, 0]]  # 0 dB is not above 0 dB
    assert ideal_binary_mask(SPEECH, NOISE, -0.1).tolist() == [[0, 0, 1, 0, 1]]
    assert ideal_binary_mask(SPEECH, NOISE, -3.0).tolist() == [[1, 0, 1, 0, 1]]  # 9 / 16 are -2.5 dB


def test_phase_sensitive_mask_by_hand() -> None:
    speech, noise = np.array([[3, 1, 1, 0, 1]], np.complex64), np.array([[4j, -3, -0.5, 0, 1]], np.complex64)
    # |S| / |Y| · cos: 3/5 · 3/5; against the mixture's phase, clipped to 0; 2, clipped to 1; silence; a half.
    mask = phase_sensitive_mask(speech, noise)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, [[0.36, 0, 1, 0, 0.5]], rtol=1e-6)


def test_no_mask_brings_the_mixture_nearer_to_the_speech_than_the_phase_sensitive_one() -> None:
    rng = np.random.default_rng(0)
    speech, noise = (rng.standard_normal((20, 30)) + 1j * rng.standard_normal((20, 30)) for _ in range(2))
    best = phase_sensitive_mask(speech.astype(np.complex64), noise.astype(np.complex64))

    def distance(mask: Any) -> Any:
        return np.abs(mask * (speech + noise) - speech)

    for other in np.linspace(0, 1, 21):
        assert (distance(best) <= distance(other) + 1e-6).all()


def test_frames_have_no_score_of_their_own() -> None:
    with pytest.raises(ValueError, match="target kind score is of whole mixtures"):
        frame_targets(SPEECH, SPEECH + NOISE, TargetSettings("score"))


@pytest.mark.parametrize("features", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("kind", ["irm", "ibm", "psm", "spectrum"])
def test_an_ideal_network_improves_every_mixture(prepared: Prepare, features: FeatureSettings, kind: Any) -> None:
    data = prepared(features, TargetSettings(kind))
    frames = data.train
    frame = features.before + 1 + features.after
    assert data.shape == NetworkShape(frame, features.bins, features.spectrum_bins)
    assert (frames.before, frames.after) == (features.before, features.after)
    assert data.validation.frames.windows_of(0).size == frame_count(data.validation.mixture(0)[1].size, features)
    used = frames.features[frames.windows].astype(np.float64)
    np.testing.assert_allclose(used.mean(axis=0), 0, atol=1e-3)
    assert 1e-3 < np.median(used.std(axis=0)) < 1.01
    improvement = meter(data.validation).primary(oracle(data.validation))
    assert (improvement.per_mixture > 0.02).all()


@pytest.fixture(scope="module")
def whispers(tmp_path_factory: pytest.TempPathFactory) -> CorpusSettings:
    """Syllables of noise: no band of them is as empty as those between and above the harmonics of the tiny voices."""
    folder = tmp_path_factory.mktemp("whispers")
    for speaker in range(3):
        rng, time = np.random.default_rng(speaker), np.arange(24000) / 16000
        samples = 0.05 * rng.standard_normal(time.size) * (0.05 + np.sin(4 * np.pi * time + speaker) ** 2)
        (folder / f"s{speaker}").mkdir()
        soundfile.write(folder / f"s{speaker}" / "0.wav", samples, 16000)
    return CorpusSettings("folder", folder)


@pytest.mark.parametrize("features", SIGNALS.values(), ids=SIGNALS)
def test_the_clean_spectrum_is_nearly_as_intelligible_as_clean_speech(
    whispers: CorpusSettings, tiny_data_settings: DataSettings, study_cache: Path, features: FeatureSettings
) -> None:
    """What is missing is the noisy phase's doing: with less noise, nothing is."""
    for snr_db, reached in ((0.0, 0.9), (30.0, 0.995)):
        _assert_spectrum_reaches(reached, whispers, snr_db, features, tiny_data_settings, study_cache)


def _assert_spectrum_reaches(
    reached: float, speech: CorpusSettings, snr_db: float, features: FeatureSettings, data: DataSettings, cache: Path
) -> None:
    changes = {"features": features, "target": TargetSettings("spectrum"), "speech": (speech,), "snr_db": (snr_db,)}
    mixtures = prepare(dataclasses.replace(data, **changes), cache).validation
    clean, _ = mixtures.mixture(0)
    enhanced = Enhancer(mixtures).enhanced(0, oracle(mixtures))
    assert enhanced.shape == clean.shape
    assert enhanced.dtype == np.float32
    assert stoi(clean, enhanced, features.sample_rate_hz) > max(reached, mixtures.noisy_stoi[0])


@pytest.mark.real_data
@pytest.mark.parametrize(("kind", "reached"), [("irm", 0.92), ("ibm", 0.88), ("psm", 0.92), ("spectrum", 0.93)])
def test_ideal_networks_on_real_speech_in_real_noise(
    real_data: Path, tmp_path: Path, kind: Any, reached: float
) -> None:
    """Of 0.77 when noisy; direct mapping keeps the noisy phase and reaches the most for all that."""
    speech, noise = CorpusSettings("timit", real_data / "timit"), CorpusSettings("esc", real_data / "ESC-10")
    validation = prepare(DataSettings((speech,), (noise,), target=TargetSettings(kind)), tmp_path).validation
    improvement = meter(validation).primary(oracle(validation))
    assert validation.noisy_stoi.mean() < 0.8
    assert validation.noisy_stoi.mean() + improvement.value > reached


def test_spectra_are_standardised_with_the_training_sets_moments(prepared: Prepare) -> None:
    data = prepared(FeatureSettings(), TargetSettings("spectrum"))
    targets = data.train.targets[data.train.windows].astype(np.float64)
    np.testing.assert_allclose(targets.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(targets.std(axis=0), 1, atol=1e-3)
    mixtures, signal = data.validation, data.signal
    clean, _ = mixtures.mixture(1)
    logarithm = oracle(mixtures)[mixtures.frames.mixture_of_window == 1] * signal.target_std + signal.target_mean
    magnitude = np.abs(stft(clean, FeatureSettings()))
    np.testing.assert_allclose(np.exp(logarithm), np.sqrt(magnitude**2 + 1e-6), rtol=1e-3)


def test_an_absurd_spectrum_stays_a_signal(prepared: Prepare) -> None:
    mixtures = prepared(FeatureSettings(), TargetSettings("spectrum")).validation
    absurd = np.full_like(oracle(mixtures), 1e6)
    for outputs in (absurd, -absurd):
        assert np.isfinite(meter(mixtures).primary(outputs).value)


@pytest.mark.parametrize("seconds", [0.5, 0.4, 4.0])
def test_scores_of_segments(prepared: Prepare, seconds: float) -> None:
    features = FeatureSettings()
    data = prepared(features, TargetSettings("score", segment_seconds=seconds))
    mixtures, length = data.validation, round(seconds * 125)
    assert data.shape.outputs == data.train.targets.shape[1] == 1
    assert data.shape.frames == data.train.before + 1 == length
    assert data.train.after == 0
    np.testing.assert_array_equal(scores(mixtures.frames), mixtures.noisy_stoi.astype(np.float32))
    known = np.float32(mixtures.noisy_stoi)
    assert mixtures.noisy_scores == {"lowest_stoi": known.min(), "highest_stoi": known.max()}
    assert "noisy_stoi" not in data.summary["validation"]
    assert np.ptp(scores(data.train)) > 0.01
    for number in range(len(mixtures)):
        _, noisy = mixtures.mixture(number)
        windows = mixtures.frames.windows_of(number)
        # 1.5 s hold 3 segments of 0.5 s and 3 of 0.4 s; for one of 4 s the mixture is heard three times.
        assert windows.size == (1 if seconds == 4.0 else 3)
        heard = np.tile(noisy, 3) if seconds == 4.0 else noisy
        signal = data.signal
        wanted = (features_by_hand(heard, features) - signal.mean) / signal.std
        held = mixtures.frames.features[windows[:, np.newaxis] + np.arange(1 - length, 1)]
        np.testing.assert_allclose(np.concatenate(held), wanted[: length * windows.size], atol=1e-4)


def features_by_hand(signal: np.ndarray, features: FeatureSettings) -> np.ndarray:
    from wordlength.objectives.audio.features import log_mel

    return log_mel(stft(signal, features), features)


def test_estimates_are_averaged_per_mixture(prepared: Prepare) -> None:
    frames = prepared(FeatureSettings(), TargetSettings("score", segment_seconds=0.5)).validation.frames
    assert scores(frames, np.float32([[1], [2], [6], [0], [0], [1.5]])).tolist() == [3, 0.5]
    with pytest.raises(ValueError, match=r"scores must have shape \(6, 1\), but got \(5, 1\)"):
        scores(frames, np.zeros((5, 1), np.float32))


def test_a_score_makes_no_sound(prepared: Prepare) -> None:
    mixtures = prepared(FeatureSettings(), TargetSettings("score", segment_seconds=0.5)).validation
    for maker in (Enhancer,):
        with pytest.raises(DataError, match="only masks and spectra make enhanced speech, but target kind is score"):
            maker(mixtures)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16001, 48000])
def test_audio_is_read_at_any_rate(tiny_corpora: Path, rate_hz: int) -> None:
    file = next((tiny_corpora / "speech").rglob("*.wav"))
    samples = read_audio(file, rate_hz)
    assert samples.size == pytest.approx(1.5 * rate_hz, abs=1)
    there = read_audio(file)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(np.mean(there**2)), rel=0.05)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_pesq_of_speech(tiny_corpora: Path, rate_hz: int) -> None:
    pytest.importorskip("pesq")
    file = next((tiny_corpora / "speech").rglob("*.wav"))
    clean = read_audio(file, rate_hz)
    noise = 0.1 * np.random.default_rng(0).standard_normal(clean.size).astype(np.float32)
    assert pesq_of(clean, clean, rate_hz, file) > 4.2
    assert 1 <= pesq_of(clean, clean + noise, rate_hz, file) < 3
