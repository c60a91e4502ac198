from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordlength.errors import DataError
from wordlength.objectives.audio.corpora import read_noise, read_speech
from wordlength.objectives.audio.corpus_settings import CORPUS_KINDS, CorpusSettings
from wordlength.objectives.audio.files import read_audio
from wordlength.objectives.audio.listing import Clip

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Makes files; listing a corpus must not open its audio, so theirs is empty."""

    def make(*names: str) -> Path:
        for name in names:
            file = tmp_path / "corpus" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / "corpus"

    return make


def speech(kind: str, path: Path | None, limit: int | None = None) -> list[Clip]:
    return read_speech(CorpusSettings(kind, path, limit), Path("no-cache"))


def noise(kind: str, path: Path | None, limit: int | None = None) -> list[Clip]:
    return read_noise(CorpusSettings(kind, path, limit), Path("no-cache"))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match=r"must be one of timit, .*urbansound8k, esc, but got 'tmit'"):
        CorpusSettings("tmit", Path("x"))


@pytest.mark.parametrize("kind", [kind for kind in CORPUS_KINDS if kind != "builtin"])
def test_path_is_needed(kind: str) -> None:
    with pytest.raises(DataError, match=f"corpus kind '{kind}' needs a path, but got none"):
        CorpusSettings(kind)


def test_builtin_takes_no_path() -> None:
    with pytest.raises(DataError, match="builtin corpus takes no path, but got somewhere"):
        CorpusSettings("builtin", Path("somewhere"))


def test_limit_is_positive() -> None:
    with pytest.raises(DataError, match=r"limit must be at least 1, but got 0 \(corpus timit\)"):
        CorpusSettings("timit", Path("x"), limit=0)


@pytest.mark.parametrize("kind", ["timit", "folder"])
def test_missing_speech_folder_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=rf"folders must exist, but got .*absent \(corpus {kind}\)"):
        speech(kind, tmp_path / "absent")


@pytest.mark.parametrize("kind", ["urbansound8k", "esc", "folder"])
def test_missing_noise_folder_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=rf"folders must exist, but got .*absent \(corpus {kind}\)"):
        noise(kind, tmp_path / "absent")


@pytest.mark.parametrize(
    ("read", "kind", "layout"),
    [
        (speech, "timit", r"TRAIN/DR1/FCJF0/SA1\.WAV or .* dr1-fvmh0/sa1\.wav"),
        (speech, "folder", "one folder of audio files per speaker"),
        (noise, "folder", "one folder of audio files per noise class"),
        (noise, "urbansound8k", r"metadata/UrbanSound8K\.csv and audio/fold1"),
        (noise, "esc", r"meta/esc50\.csv .* '001 - Dog bark/1-30226-A\.ogg'"),
    ],
)
def test_folder_without_audio_names_the_expected_layout(touch: Touch, read: Callable, kind: str, layout: str) -> None:
    root = touch("readme.txt", ".hidden/a.wav")
    with pytest.raises(DataError, match=rf"must hold .*{layout}.*not? .*found \(.*corpus\)"):
        read(kind, root)


def test_speech_and_noise_corpora_are_not_interchangeable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"speech corpora must be one of timit, .*builtin, but got 'esc'"):
        speech("esc", tmp_path)
    with pytest.raises(DataError, match=r"noise corpora must be one of .*, but got 'timit'"):
        noise("timit", tmp_path)


def test_original_timit_tree(touch: Touch) -> None:
    root = touch(
        "TIMIT/TRAIN/DR1/FCJF0/SA1.WAV",
        "TIMIT/TRAIN/DR1/FCJF0/SA1.TXT",
        "TIMIT/TEST/DR8/MABC1/SX9.WAV",
        "TIMIT/DOC/readme.wav",
    )
    found = [(clip.group, clip.source, clip.label, clip.corpus) for clip in speech("timit", root)]
    assert found == [
        ("timit:fcjf0", "timit:fcjf0/sa1", "female", "timit"),
        ("timit:mabc1", "timit:mabc1/sx9", "male", "timit"),
    ]


def test_nltk_sample_of_timit_names_the_same_speakers(touch: Touch) -> None:
    root = touch("timit/dr1-fvmh0/sa1.wav", "timit/dr1-fvmh0/sa1.phn", "train/dr1/fvmh0/sa2.wav")
    assert [clip.source for clip in speech("timit", root)] == ["timit:fvmh0/sa1", "timit:fvmh0/sa2"]
    assert {clip.group for clip in speech("timit", root)} == {"timit:fvmh0"}


def test_timit_copy_with_both_sphere_and_riff_counts_an_utterance_once(touch: Touch) -> None:
    root = touch("TRAIN/DR1/FCJF0/SA1.WAV", "TRAIN/DR1/FCJF0/SA1.WAV.wav")
    assert [clip.path.name for clip in speech("timit", root)] == ["SA1.WAV.wav"]


def test_limit_takes_speakers_of_both_sexes(touch: Touch) -> None:
    root = touch(*(f"dr1-{name}/sa{k}.wav" for name in ("faaa0", "fbbb0", "fccc0", "mddd0", "meee0") for k in (1, 2)))
    clips = speech("timit", root, limit=3)
    assert [clip.source for clip in clips] == [
        f"timit:{name}/sa{k}" for name in ("faaa0", "fbbb0", "mddd0") for k in (1, 2)
    ]


def test_urbansound(touch: Touch) -> None:
    root = touch("UrbanSound8K/audio/fold2/101415-3-0-2.wav", "UrbanSound8K/audio/fold1/77-8-0-0.wav")
    table = root / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv"
    table.parent.mkdir()
    table.write_text(
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "101415-3-0-2.wav,101415,1.0,5.0,1,2,3,dog_bark\n"
        "77-8-0-0.wav,77,0,4,1,1,8,siren\n"
        "99-8-0-0.wav,99,0,4,1,1,8,siren\n"
    )
    expected = [("siren", "freesound:77", "fold1"), ("dog_bark", "freesound:101415", "fold2")]
    for folder in (root, root / "UrbanSound8K"):
        assert [(clip.group, clip.source, clip.label) for clip in noise("urbansound8k", folder)] == expected


def test_urbansound_without_any_listed_file_names_one(touch: Touch) -> None:
    root = touch("metadata/UrbanSound8K.csv")
    (root / "metadata" / "UrbanSound8K.csv").write_text(
        "slice_file_name,fsID,fold,class\n101415-3-0-2.wav,101415,2,dog_bark\n"
    )
    with pytest.raises(DataError, match=r"must exist, but none exists, e\.g\. .*fold2.101415-3-0-2\.wav"):
        noise("urbansound8k", root)


def test_table_of_no_rows_is_refused(touch: Touch) -> None:
    root = touch("metadata/UrbanSound8K.csv")
    (root / "metadata" / "UrbanSound8K.csv").write_text("slice_file_name,fsID,fold,class\n")
    with pytest.raises(DataError, match="must exist, but it lists none"):
        noise("urbansound8k", root)


def test_table_without_a_column_is_refused(touch: Touch) -> None:
    root = touch("metadata/UrbanSound8K.csv")
    (root / "metadata" / "UrbanSound8K.csv").write_text("slice_file_name,fold\n")
    with pytest.raises(DataError, match=r"must have columns .*, but lacks fsID, class \(.*UrbanSound8K\.csv\)"):
        noise("urbansound8k", root)


def test_esc50(touch: Touch) -> None:
    root = touch("audio/1-100032-A-0.wav", "audio/2-5-B-42.wav", "meta/esc50.csv")
    (root / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "2-5-B-42.wav,2,42,siren,False,5,B\n"
    )
    found = [(clip.group, clip.source, clip.label) for clip in noise("esc", root)]
    assert found == [("dog", "freesound:100032", "fold1"), ("siren", "freesound:5", "fold2")]


def test_esc10(touch: Touch) -> None:
    root = touch(
        "ESC-10/001 - Dog bark/1-30226-A.ogg",
        "ESC-10/001 - Dog bark/1-30226-B.ogg",
        "ESC-10/007 - Helicopter/5-99-C.wav",
        "ESC-10/notes/1-1-A.wav",
    )
    found = [(clip.group, clip.source) for clip in noise("esc", root)]
    assert found == [
        ("dog_bark", "freesound:30226"),
        ("dog_bark", "freesound:30226"),
        ("helicopter", "freesound:99"),
    ]


def test_a_freesound_recording_is_one_source_in_both_corpora(touch: Touch) -> None:
    root = touch("audio/fold1/30226-3-0-0.wav", "001 - Dog bark/1-30226-A.ogg", "metadata/UrbanSound8K.csv")
    (root / "metadata" / "UrbanSound8K.csv").write_text(
        "slice_file_name,fsID,fold,class\n30226-3-0-0.wav,30226,1,dog_bark\n"
    )
    assert {clip.source for clip in noise("esc", root) + noise("urbansound8k", root)} == {"freesound:30226"}


def test_folder_of_speech(touch: Touch) -> None:
    root = touch("ann/one/a.flac", "ann/b.WAV", "bob/a.ogg", "carl.wav", "ann/text.txt")
    found = [(clip.group, clip.source, clip.label) for clip in speech("folder", root)]
    assert found == [
        ("corpus:ann", "corpus:ann/b.WAV", "unknown"),
        ("corpus:ann", "corpus:ann/one/a.flac", "unknown"),
        ("corpus:bob", "corpus:bob/a.ogg", "unknown"),
        ("corpus:carl", "corpus:carl.wav", "unknown"),
    ]


def test_folder_of_noise(touch: Touch) -> None:
    root = touch("Car Horn/a.wav", "Car Horn/b.wav", "hum.wav")
    found = [(clip.group, clip.source) for clip in noise("folder", root)]
    assert found == [
        ("car_horn", "corpus:Car Horn/a.wav"),
        ("car_horn", "corpus:Car Horn/b.wav"),
        ("noise", "corpus:hum.wav"),
    ]


def test_folder_given_as_a_dot_keeps_its_name(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touch("a.wav"))
    assert [clip.group for clip in speech("folder", Path())] == ["corpus:a"]


def test_limit_keeps_recordings_of_every_class(touch: Touch) -> None:
    root = touch(*(f"{kind}/{k}.wav" for kind in ("hum", "rain") for k in range(4)))
    assert [clip.source for clip in noise("folder", root, limit=2)] == [
        f"corpus:{kind}/{k}.wav" for kind in ("hum", "rain") for k in (0, 1)
    ]


def test_sphere_files_of_a_timit_tree_are_read(touch: Touch) -> None:
    root = touch("TRAIN/DR2/MABC0/SX1.WAV")
    soundfile.write(root / "TRAIN/DR2/MABC0/SX1.WAV", np.full(400, 0.25), 16000, format="NIST", subtype="PCM_16")
    (clip,) = speech("timit", root)
    np.testing.assert_array_equal(read_audio(clip.path), np.full(400, 0.25, np.float32))


@pytest.mark.real_data
def test_real_corpora(real_data: Path) -> None:
    clips = speech("timit", real_data / "timit")
    assert len(clips) == 100
    assert len({clip.group for clip in clips}) == 10
    assert {clip.label for clip in clips} == {"female", "male"}
    urban, rest = noise("urbansound8k", real_data / "UrbanSound8K"), noise("esc", real_data / "ESC-10")
    assert (len(urban), len({clip.group for clip in urban})) == (50, 10)
    assert [clip.group for clip in rest] == ["rain"] * 5 + ["helicopter"] * 5
