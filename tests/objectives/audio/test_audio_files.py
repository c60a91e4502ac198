from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordlength.digests import file_sha256
from wordlength.errors import DataError
from wordlength.objectives.audio.files import read_audio, write_wav
from wordlength.objectives.audio.publishing import publish_folder

RATE_HZ = 16000


def tone(samples: int, rate_hz: int = RATE_HZ, frequency_hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / rate_hz)


def sphere_header(samples: int, coding: str = "") -> bytes:
    fields = [
        "database_id -s5 TIMIT",
        "channel_count -i 1",
        f"sample_count -i {samples}",
        f"sample_rate -i {RATE_HZ}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
    ]
    if coding:
        fields.append(f"sample_coding -s{len(coding)} {coding}")
    return ("NIST_1A\n   1024\n" + "\n".join(fields) + "\nend_head\n").encode().ljust(1024, b" ")


def test_sixteen_bit_samples_come_back_exactly(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", stored, RATE_HZ)
    signal = read_audio(tmp_path / "a.wav")
    assert signal.dtype == np.float32
    np.testing.assert_array_equal(signal, stored.astype(np.float32) / 32768)


def test_sphere_written_by_soundfile(tmp_path: Path) -> None:
    stored = (20000 * tone(3000)).astype(np.int16)
    soundfile.write(tmp_path / "SA1.WAV", stored, RATE_HZ, format="NIST")
    assert (tmp_path / "SA1.WAV").read_bytes().startswith(b"NIST_1A")
    np.testing.assert_array_equal(read_audio(tmp_path / "SA1.WAV"), stored.astype(np.float32) / 32768)


def test_sphere_with_the_header_of_the_timit_discs(tmp_path: Path) -> None:
    stored = (20000 * tone(3000)).astype("<i2")
    (tmp_path / "SA1.WAV").write_bytes(sphere_header(3000) + stored.tobytes())
    np.testing.assert_array_equal(read_audio(tmp_path / "SA1.WAV"), stored.astype(np.float32) / 32768)


def test_compressed_sphere_is_refused_with_the_tool_that_helps(tmp_path: Path) -> None:
    (tmp_path / "sa1.wav").write_bytes(sphere_header(3000, "pcm,embedded-shorten-v2.00") + b"ajkg\x02" + bytes(900))
    with pytest.raises(DataError, match=r"must not be compressed, but got shorten.*sph2pipe.*sa1\.wav"):
        read_audio(tmp_path / "sa1.wav")


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(2000), tone(2000, frequency_hz=1000)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "stereo.wav"), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000])
def test_other_sampling_rates_are_resampled(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate_hz, rate_hz), rate_hz, subtype="FLOAT")
    signal = read_audio(tmp_path / "a.wav")
    assert signal.shape == (RATE_HZ,)
    middle = slice(2000, -2000)  # the filter needs samples on both sides
    np.testing.assert_allclose(signal[middle], tone(RATE_HZ)[middle], atol=2e-3)


def test_float_samples_above_full_scale_are_scaled_not_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", 4 * tone(2000), RATE_HZ, subtype="FLOAT")
    signal = read_audio(tmp_path / "loud.wav")
    assert np.abs(signal).max() == pytest.approx(1.0)
    np.testing.assert_allclose(signal, 4 * tone(2000) / np.abs(4 * tone(2000)).max(), atol=1e-6)


def test_text_named_wav_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("these are not samples, but words\n" * 20)
    with pytest.raises(DataError, match=r"known format, but notes\.wav is not readable"):
        read_audio(tmp_path / "notes.wav")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be readable, but got No such file.*gone\.wav"):
        read_audio(tmp_path / "gone.wav")


def test_file_of_no_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(DataError, match=r"must not be empty, but got 0 bytes \(.*a\.wav\)"):
        read_audio(tmp_path / "a.wav")


def test_file_of_no_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE_HZ)
    with pytest.raises(DataError, match=r"must not be empty, but got 0 samples \(.*a\.wav\)"):
        read_audio(tmp_path / "a.wav")


def test_silent_file_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(500), RATE_HZ)
    with pytest.raises(DataError, match=r"must not be silent, but no sample of 500 reaches 1e-05 .*a\.wav"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    samples = tone(500)
    samples[77] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(DataError, match=r"must be finite, but got NaN or infinity \(.*a\.wav\)"):
        read_audio(tmp_path / "a.wav")


def test_written_file_reads_back_within_half_a_step(tmp_path: Path) -> None:
    write_wav(tmp_path / "deep" / "a.wav", tone(1000))
    np.testing.assert_allclose(read_audio(tmp_path / "deep" / "a.wav"), tone(1000), atol=0.6 / 32768)


def test_hash_is_of_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def has_all(folder: Path) -> bool:
    return (folder / "one").exists()


def test_published_folder_appears_only_when_complete(tmp_path: Path) -> None:
    final = tmp_path / "cache" / "final"
    with publish_folder(final, has_all) as draft:
        (draft / "one").write_text("1")
        assert not final.exists()
    assert (final / "one").read_text() == "1"
    assert [child.name for child in final.parent.iterdir()] == ["final"]


def test_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="halfway"), publish_folder(tmp_path / "final", has_all) as draft:  # noqa: PT012
        (draft / "one").write_text("1")
        raise RuntimeError("halfway")
    assert list(tmp_path.iterdir()) == []


def test_published_folder_replaces_one_that_is_not_complete(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "other").touch()
    with publish_folder(final, has_all) as draft:
        (draft / "one").write_text("new")
    assert [child.name for child in final.iterdir()] == ["one"]
    assert [child.name for child in tmp_path.iterdir()] == ["final"]


def test_of_two_writers_the_first_stays(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with publish_folder(final, has_all) as first:
        with publish_folder(final, has_all) as second:
            (second / "one").write_text("quick")
        (first / "one").write_text("slow")
    assert (final / "one").read_text() == "quick"
    assert [child.name for child in tmp_path.iterdir()] == ["final"]


def test_folder_that_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "final").write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"must be writable, .* could not be replaced \(.*final\)"):  # noqa: SIM117
        with publish_folder(tmp_path / "final", has_all) as draft:
            (draft / "one").touch()
