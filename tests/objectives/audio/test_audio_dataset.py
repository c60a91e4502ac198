import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
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
    FeatureSettings,
    PreparedData,
    dataset,
    features,
    prepare,
    scoring,
)
from wordlength.objectives.audio.masks import ideal_ratio_mask

RATE_HZ = 16000
stft = partial(features.stft, settings=FeatureSettings())
istft = partial(features.istft, settings=FeatureSettings())
log_mel = partial(features.log_mel, settings=FeatureSettings())


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Buzzing syllables: harmonics of a wavering pitch under an envelope of about four beats a second."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * rng.uniform(90, 240) * (time + 0.01 * np.sin(5 * time))
    buzz = sum(rng.uniform(0.2, 1) * np.sin(k * phase) / k for k in range(1, 20))
    return 0.1 * buzz * (0.15 + np.sin(2 * np.pi * 2 * time + rng.uniform(0, 6)) ** 2)


def write(file: Path, samples: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, RATE_HZ)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora")
    for speaker in range(5):
        for number in range(3):
            write(root / "speech" / f"s{speaker}" / f"{number}.wav", speech_like(0.8, 10 * speaker + number))
    for kind in range(3):
        for number in range(4):
            rng = np.random.default_rng([kind, number])
            write(root / "noise" / f"n{kind}" / f"{number}.wav", 0.1 * rng.standard_normal(RATE_HZ // 2).clip(-4, 4))
    return root


def settings_of(root: Path, **changes: Any) -> DataSettings:
    speech, noise = CorpusSettings("folder", root / "speech"), CorpusSettings("folder", root / "noise")
    return DataSettings(speech=(speech,), noise=(noise,), **changes)


@pytest.fixture(scope="module")
def prepared(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(settings_of(corpora, mixtures_per_utterance=2), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copy(corpora: Path, tmp_path: Path) -> Path:
    """A copy of the corpora that a test may change."""
    return Path(shutil.copytree(corpora, tmp_path / "copy"))


def assert_same(one: Any, other: Any) -> None:
    """Equal in every bit, through all nested fields."""
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speech": ()}, "speech must name at least one corpus, but got none"),
        ({"noise": ()}, "noise must name at least one corpus, but got none"),
        ({"speech": (CorpusSettings("esc", Path("x")),)}, "speech corpora must be one of timit.* but got 'esc'"),
        ({"noise": (CorpusSettings("timit", Path("x")),)}, "noise corpora must be one of urban.* but got 'timit'"),
        ({"snr_db": ()}, r"snr_db must hold one or more levels between -60 and 60, but got \(\)"),
        ({"snr_db": (0.0, float("nan"))}, "snr_db must hold .*nan"),
        ({"snr_db": (61.0,)}, r"snr_db must hold .*\(61\.0,\)"),
        ({"mixtures_per_utterance": 0}, "mixtures_per_utterance must be at least 1, but got 0"),
        ({"validation_fraction": 0.0}, r"must be above 0 .* but got 0\.0 and 0\.2"),
        ({"test_fraction": 1.0}, r"leave something for training, but got 0\.2 and 1\.0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, r"but got 0\.5 and 0\.5"),
        ({"subset_fraction": 0.0}, r"subset_fraction must be above 0 and at most 1, but got 0\.0"),
        ({"subset_fraction": 1.1}, r"subset_fraction .* but got 1\.1"),
        ({"validation_mixtures": 0}, "validation_mixtures must be at least 1, but got 0"),
        ({"seed": -1}, "seed must not be negative, but got -1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataclasses.replace(settings_of(Path("root")), **changes)


def test_shapes_and_types(prepared: PreparedData) -> None:
    for frames in (prepared.train, prepared.validation.frames, prepared.test.frames):
        mixtures = int(frames.mixture_of_window[-1]) + 1
        assert frames.features.shape == (frames.windows.size + 15 * mixtures, 64)
        assert frames.targets.shape == (frames.windows.size + 15 * mixtures, 129)
        assert frames.features.dtype == frames.targets.dtype == np.float32
        assert frames.windows.dtype == frames.mixture_of_window.dtype == prepared.subset_windows.dtype == np.int32
        assert np.isfinite(frames.features).all()
        assert 0 <= frames.targets.min() < frames.targets.max() <= 1
    signal = prepared.signal
    assert signal.mean.shape == signal.std.shape == (64,)
    assert signal.target_mean.shape == signal.target_std.shape == (129,)
    assert {moment.dtype for moment in (signal.mean, signal.std, signal.target_mean, signal.target_std)} == {
        np.dtype(np.float32)
    }
    assert len(prepared.validation) == len(prepared.test) == 6
    assert prepared.validation.offsets.dtype == np.int64


def test_features_and_targets_are_those_of_the_waveforms(prepared: PreparedData) -> None:
    for mixtures in (prepared.validation, prepared.test):
        for index in range(len(mixtures)):
            clean, noisy = mixtures.mixture(index)
            windows = mixtures.frames.windows_of(index)
            heard = (log_mel(stft(noisy)) - prepared.signal.mean) / prepared.signal.std
            np.testing.assert_allclose(mixtures.frames.features[windows], heard, atol=1e-5)
            mask = ideal_ratio_mask(stft(clean), stft(noisy) - stft(clean))
            np.testing.assert_array_equal(mixtures.frames.targets[windows], mask)


def test_history_repeats_the_first_frame(prepared: PreparedData) -> None:
    for index in range(len(prepared.validation)):
        features = prepared.validation.frames.features
        first = prepared.validation.frames.windows_of(index)[0]
        np.testing.assert_array_equal(features[first - 15 : first], np.tile(features[first], (15, 1)))


def test_windows_never_reach_into_another_mixture(prepared: PreparedData) -> None:
    frames = prepared.train
    starts = np.searchsorted(frames.mixture_of_window, np.arange(18))
    assert frames.mixture_of_window[-1] == 17
    assert frames.windows[0] == 15
    gaps = np.diff(frames.windows)
    np.testing.assert_array_equal(np.flatnonzero(gaps != 1), starts[1:] - 1)
    assert set(gaps[starts[1:] - 1].tolist()) == {16}


def test_training_features_are_standardised(prepared: PreparedData) -> None:
    used = prepared.train.features[prepared.train.windows].astype(np.float64)
    np.testing.assert_allclose(used.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(used.std(axis=0), 1, atol=1e-4)


def test_parts_share_no_speaker_and_no_recording(prepared: PreparedData) -> None:
    parts = ["train", "validation", "test"]
    speakers = [set(prepared.summary[part]["speakers"]) for part in parts]
    assert [len(part) for part in speakers] == [3, 1, 1]
    assert len(set.union(*speakers)) == 5
    heard = [
        {name.split(" + ")[1].split(" ")[1] for name in mixtures.names}
        for mixtures in (prepared.validation, prepared.test)
    ]
    assert all(heard)
    assert not heard[0] & heard[1]


def test_noisy_stoi_is_pystois(prepared: PreparedData) -> None:
    for index in range(3):
        clean, noisy = prepared.validation.mixture(index)
        assert prepared.validation.noisy_stoi[index] == stoi(clean, noisy, RATE_HZ, extended=False)
    assert 0.2 < prepared.validation.noisy_stoi.mean() < 0.99


def test_mixture_out_of_range(prepared: PreparedData) -> None:
    with pytest.raises(IndexError, match="between 0 and 5, but got 6"):
        prepared.validation.mixture(6)


def test_subset_consists_of_whole_training_mixtures(prepared: PreparedData) -> None:
    train = prepared.train
    places = np.searchsorted(train.windows, prepared.subset_windows)
    np.testing.assert_array_equal(train.windows[places], prepared.subset_windows)
    chosen = np.unique(train.mixture_of_window[places])
    assert len(chosen) == prepared.summary["subset"]["mixtures"] == 5  # a quarter of 18, rounded up
    assert prepared.subset_windows.size == np.isin(train.mixture_of_window, chosen).sum()
    assert prepared.summary["subset"]["speakers"] == prepared.summary["train"]["speakers"]


def test_summary_is_json(prepared: PreparedData) -> None:
    assert json.loads(json.dumps(prepared.summary)) == prepared.summary
    assert prepared.summary["train"]["mixtures"] == 18
    assert prepared.summary["train"]["noise_classes"] == ["n0", "n1", "n2"]
    assert prepared.summary["speech_corpora"] == ["folder:speech"]


def test_pickle_carries_all_arrays_out_of_band(prepared: PreparedData) -> None:
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(prepared, protocol=5, buffer_callback=buffers.append)
    assert len(body) < 10_000
    assert len(buffers) == 4 + 1 + 4 + 2 * 9
    assert_same(pickle.loads(body, buffers=buffers), prepared)


def test_levels_and_cap(corpora: Path, tmp_path: Path) -> None:
    settings = settings_of(corpora, mixtures_per_utterance=4, snr_db=(-5.0, 5.0), validation_mixtures=5)
    data = prepare(settings, tmp_path)
    assert len(data.validation) == 5
    assert len(data.test) == 12
    for index, level in enumerate(data.test.snr_db):
        clean, noisy = (wave.astype(np.float64) for wave in data.test.mixture(index))
        measured = 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2))
        assert measured == pytest.approx(level, abs=1e-3)
    assert set(data.test.snr_db.tolist()) == {-5.0, 5.0}


def test_same_settings_give_the_same_bits_cold_warm_and_elsewhere(corpora: Path, copy: Path, tmp_path: Path) -> None:
    cold = prepare(settings_of(corpora), tmp_path / "cache")
    warm = prepare(settings_of(corpora), tmp_path / "cache")
    elsewhere = prepare(settings_of(copy), tmp_path / "other")
    assert_same(warm, cold)
    assert_same(elsewhere, cold)


def test_warm_call_neither_hashes_nor_mixes(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(settings_of(corpora), tmp_path)
    monkeypatch.setattr(dataset, "_prepare_from_contents", lambda *arguments: pytest.fail("prepared again"))
    prepare(settings_of(corpora), tmp_path)


def test_moved_corpus_is_known_by_its_contents(
    corpora: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(settings_of(corpora), tmp_path / "cache")
    monkeypatch.setattr(dataset, "_build", lambda *arguments: pytest.fail("built again"))
    prepare(settings_of(copy), tmp_path / "cache")


def test_changed_file_changes_the_digest(copy: Path, tmp_path: Path) -> None:
    before = prepare(settings_of(copy), tmp_path / "cache")
    write(copy / "speech" / "s0" / "0.wav", speech_like(0.8, 999))
    after = prepare(settings_of(copy), tmp_path / "cache")
    assert after.digest != before.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"snr_db": (3.0,)},
        {"mixtures_per_utterance": 2},
        {"subset_fraction": 0.5},
        {"validation_mixtures": 2},
        {"validation_fraction": 0.4},
        {"test_fraction": 0.4},
    ],
)
def test_every_setting_is_part_of_the_digest(corpora: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert prepare(settings_of(corpora, **changes), tmp_path).digest != prepare(settings_of(corpora), tmp_path).digest


def test_features_version_is_part_of_the_digest(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prepare(settings_of(corpora), tmp_path)
    monkeypatch.setattr(dataset, "FEATURES_VERSION", dataset.FEATURES_VERSION + 1)
    assert prepare(settings_of(corpora), tmp_path).digest != before.digest


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 0x10
    file.write_bytes(content)


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip_a_byte, cut_in_half, Path.unlink])
@pytest.mark.parametrize("name", ["train.features.npy", "validation.noisy.npy", "meta.json", "index"])
def test_damaged_cache_is_rebuilt(corpora: Path, tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    cold = prepare(settings_of(corpora), tmp_path)
    folder = tmp_path / "prepared"
    file = next((folder / "index").iterdir()) if name == "index" else folder / cold.digest / name
    if name == "meta.json" and damage is flip_a_byte:
        file.write_text(file.read_text().replace(cold.digest, cold.digest[::-1]))
    else:
        damage(file)
    assert_same(prepare(settings_of(corpora), tmp_path), cold)
    assert_same(prepare(settings_of(corpora), tmp_path), cold)


def test_progress_reaches_the_end_of_every_stage(corpora: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    prepare(settings_of(corpora), tmp_path, lambda *report: told.append(report))
    ends = [(stage, total) for stage, done, total in told if done == total]
    assert ends == [("hash", 27), ("train", 9), ("validation", 3), ("test", 3)]


def test_copies_of_a_clip_are_dropped(copy: Path, tmp_path: Path) -> None:
    for speaker in range(5):  # the same sentence under five names would be in all three parts
        shutil.copy(copy / "speech" / "s0" / "0.wav", copy / "speech" / f"s{speaker}" / "copy.wav")
    data = prepare(settings_of(copy), tmp_path / "cache")
    assert sum(data.summary[part]["utterances"] for part in ("train", "validation", "test")) == 15


def test_two_speakers_are_too_few(copy: Path, tmp_path: Path) -> None:
    for speaker in (2, 3, 4):
        shutil.rmtree(copy / "speech" / f"s{speaker}")
    with pytest.raises(DataError, match=r"splits need at least 3 speakers, but got 2 \(speech:s0, speech:s1\)"):
        prepare(settings_of(copy), tmp_path / "cache")


def test_bad_file_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "speech" / "s1" / "1.wav").write_text("not audio")
    with pytest.raises(DataError, match=r"known format, but 1\.wav is not readable .*s1"):
        prepare(settings_of(copy), tmp_path / "cache")


def test_short_clips_are_refused_for_stoi_by_name(copy: Path, tmp_path: Path) -> None:
    for file in (copy / "speech").rglob("*.wav"):
        write(file, soundfile.read(file)[0][: int(0.3 * RATE_HZ)])
    with pytest.raises(DataError, match=r"at least 0\.41 s of speech .* but got 0\.30 s \(.*\.wav\)"):
        prepare(settings_of(copy), tmp_path / "cache")


@pytest.mark.parametrize("rate_hz", [8000, 10000, 11025, 16000, 22050, 44100, 48000])
def test_the_shortest_clip_is_pystois_limit(rate_hz: int) -> None:
    shortest, place = scoring.shortest_samples(rate_hz), Path("a.wav")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, shortest).astype(np.float32)
    assert scoring.stoi_of(noise, noise, rate_hz, place) == pytest.approx(1)
    with pytest.warns(RuntimeWarning, match="Not enough STFT frames"):
        assert stoi(noise[:-1], noise[:-1], rate_hz) == 1e-5
    with pytest.raises(DataError, match=r"at least 0\.41 s .* but got 0\.41 s \(a\.wav\)"):
        scoring.stoi_of(noise[:-1], noise[:-1], rate_hz, place)


def test_a_word_in_a_long_pause_is_refused_by_name() -> None:
    clean = np.zeros(2 * RATE_HZ, np.float32)
    clean[8000:11000] = np.random.default_rng(0).uniform(-0.5, 0.5, 3000)
    with pytest.raises(DataError, match=r"0\.41 s of speech .* but got 2\.00 s with too many pauses \(word\.wav\)"):
        scoring.stoi_of(clean, clean, RATE_HZ, Path("word.wav"))


@pytest.mark.real_data
def test_real_data(real_data: Path, tmp_path: Path) -> None:
    settings = DataSettings(
        speech=(CorpusSettings("timit", real_data / "timit"),),
        noise=(
            CorpusSettings("urbansound8k", real_data / "UrbanSound8K"),
            CorpusSettings("esc", real_data / "ESC-10"),
        ),
    )
    data = prepare(settings, tmp_path)
    assert [data.summary[part]["mixtures"] for part in ("train", "validation", "test")] == [60, 20, 20]
    assert [len(data.summary[part]["noise_classes"]) for part in ("train", "validation", "test")] == [12, 12, 12]
    assert 0.65 < data.validation.noisy_stoi.mean() < 0.85
    gains = []
    for index in range(len(data.validation)):
        clean, noisy = data.validation.mixture(index)
        mask = data.validation.frames.targets[data.validation.frames.windows_of(index)]
        enhanced = istft(stft(noisy) * mask, noisy.size)
        gains.append(stoi(clean, enhanced, RATE_HZ) - data.validation.noisy_stoi[index])
    assert np.mean(gains) > 0.15
