import builtins
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from wordlength.digests import file_sha256
from wordlength.errors import DataError
from wordlength.objectives.audio import builtin, noises
from wordlength.objectives.audio.corpora import read_noise, read_speech
from wordlength.objectives.audio.corpus_settings import CorpusSettings
from wordlength.objectives.audio.files import read_audio
from wordlength.objectives.audio.sentences import SENTENCES


@pytest.fixture(scope="module")
def cache(builtin_cache: Path) -> Path:
    return builtin_cache


def pitch_hz(signal: np.ndarray) -> float:
    """The median over voiced frames of the lag at which the autocorrelation is highest."""
    found = []
    for start in range(0, signal.size - 1024, 512):
        frame = signal[start : start + 1024].astype(float)
        correlation = np.correlate(frame, frame, "full")[1023:]
        lag = 40 + int(correlation[40:260].argmax())
        if correlation[0] > 1 and correlation[lag] > 0.6 * correlation[0]:
            found.append(16000 / lag)
    assert len(found) > 10
    return float(np.median(found))


def test_sentences_are_many_distinct_and_plain() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) == 60
    assert all(text.isascii() and text[-1] in ".?!" and 8 <= len(text.split()) <= 14 for text in SENTENCES)
    assert set("abcdefghijklmnopqrstuvwxyz") <= set("".join(SENTENCES).lower())


def test_babblers_are_no_speakers() -> None:
    speakers = {(voice.language, voice.variant) for voice in builtin.SPEAKERS}
    assert len(speakers) == len(builtin.SPEAKERS) == 16
    assert not {voice.variant for voice in builtin.BABBLERS} & {voice.variant for voice in builtin.SPEAKERS}


def test_speech(cache: Path) -> None:
    clips = read_speech(CorpusSettings("builtin"), cache)
    assert len(clips) == 16 * builtin.SENTENCES_PER_SPEAKER
    assert sorted({clip.label for clip in clips}) == ["female", "male"]
    for clip in clips:
        signal = read_audio(clip.path)
        assert 1.5 * 16000 < signal.size < 7 * 16000, clip.source
        assert 0.05 < math.sqrt(np.mean(signal**2)) < 0.1, clip.source
        # Trimmed: within 50 ms of either end there is sound.
        assert min(np.abs(signal[:800]).max(), np.abs(signal[-800:]).max()) > 0.002, clip.source


def test_speakers_sound_different(cache: Path) -> None:
    clips = read_speech(CorpusSettings("builtin"), cache)
    pitches = {"female": [], "male": []}
    for _, group in itertools.groupby(clips, key=lambda clip: clip.group):
        first = next(group)
        pitches[first.label].append(pitch_hz(read_audio(first.path)))
    assert len(pitches["female"]) == len(pitches["male"]) == 8
    assert np.median(pitches["female"]) > 1.4 * np.median(pitches["male"])
    contents = [file_sha256(clip.path) for clip in clips]
    assert len(set(contents)) == len(contents)


def test_noises(cache: Path) -> None:
    clips = read_noise(CorpusSettings("builtin"), cache)
    assert sorted({clip.group for clip in clips}) == list(builtin.NOISES)
    assert len(clips) == len(builtin.NOISES) * builtin.RECORDINGS_PER_NOISE
    assert len({clip.source for clip in clips}) == len({file_sha256(clip.path) for clip in clips}) == len(clips)
    for clip in clips:
        signal = read_audio(clip.path)
        assert signal.size == 96000, clip.source
        assert 0.02 < math.sqrt(np.mean(signal**2)) < 0.11, clip.source
        assert np.abs(signal).max() < 0.95, clip.source


def test_rendering_again_gives_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    again, first = builtin.render(tmp_path), builtin.render(cache)
    files = sorted(file.relative_to(first) for file in first.rglob("*.wav"))
    assert len(files) == 138
    assert [file_sha256(again / file) for file in files] == [file_sha256(first / file) for file in files]


def test_rendered_corpus_is_not_rendered_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "_render_into", lambda *arguments: pytest.fail("rendered again"))
    assert builtin.render(cache).is_dir()


def test_damaged_corpus_is_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_one(folder: Path, progress: builtin.Progress) -> None:
        builtin.write_wav(folder / "speech" / "anna" / "00.wav", np.full(100, 0.1))
        builtin._write_manifest(folder)

    monkeypatch.setattr(builtin, "_render_into", write_one)
    file = builtin.render(tmp_path) / "speech" / "anna" / "00.wav"
    whole = file.read_bytes()
    file.write_bytes(whole[:50])
    builtin.render(tmp_path)
    assert file.read_bytes() == whole
    file.unlink()
    builtin.render(tmp_path)
    assert file.read_bytes() == whole


def test_killed_render_leaves_nothing_that_looks_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(folder: Path, progress: builtin.Progress) -> None:
        (folder / "half.wav").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(builtin, "_render_into", die)
    with pytest.raises(KeyboardInterrupt):
        builtin.render(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    told: list[tuple[int, int]] = []
    builtin.render(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(done, 29) for done in range(1, 30)]


def test_missing_espeak_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_espeak(name: str, *arguments: object, **options: object) -> object:
        if name == "espeakng_loader":
            raise ImportError(name)
        return real_import(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_espeak)
    with pytest.raises(DataError, match=r"espeakng_loader is not installed; hint: pip install wordlength\[demo\]"):
        builtin.render(tmp_path)


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (builtin.Voice("x", "male", "en-us", "nobody", 50, 170), r"variants must exist .* got 'nobody' \(x\)"),
        (builtin.Voice("x", "male", "en-mars", "m1", 50, 170), r"languages must exist .* got 'en-mars' \(x\)"),
    ],
)
def test_unknown_voices_are_refused(voice: builtin.Voice, message: str) -> None:
    pytest.importorskip("espeakng_loader")
    engine = builtin.Espeak()
    with pytest.raises(DataError, match=message):
        engine.say("Hello there.", voice)
    engine.close()


def test_trim_keeps_a_margin() -> None:
    signal = np.zeros(16000)
    signal[4000:8000] = 0.5
    assert builtin.trim_silence(signal, margin_seconds=0.01).size == 4000 + 2 * 160
    assert builtin.trim_silence(signal[4000:8000]).size == 4000


def slope_db_per_octave(signal: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequencies_hz = np.fft.rfftfreq(signal.size, 1 / 16000)
    octaves = [power[(frequencies_hz >= low) & (frequencies_hz < 2 * low)].mean() for low in (250, 500, 1000, 2000)]
    return float(np.polyfit(range(4), 10 * np.log10(octaves), 1)[0])


def test_spectra_of_the_coloured_noises() -> None:
    rng = np.random.default_rng(1)
    assert slope_db_per_octave(noises.white(96000, rng)) == pytest.approx(0, abs=0.3)
    assert slope_db_per_octave(noises.pink(96000, rng)) == pytest.approx(-3, abs=0.3)
    talk = noises.pink(96000, rng)
    assert slope_db_per_octave(noises.speech_shaped(96000, rng, [talk])) == pytest.approx(-3, abs=0.5)


@pytest.mark.parametrize("make", [noises.siren, noises.engine, noises.hammering, noises.white, noises.pink])
def test_noises_depend_on_their_generator_only(make: object) -> None:
    one, same, other = (make(16000, np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.isfinite(one).all()
