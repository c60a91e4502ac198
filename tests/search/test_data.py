"""wordlength data: what is told of good data, what is warned of, and what ends with status 1."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from wordlength.objectives.audio.survey import CorpusFigures, DataSurvey
from wordlength.search.data_tables import corpus_lines, corpus_table

RATE_HZ = 16000
STUDY = """
name: heard
data:
  {corpora}
"""
FOLDERS = """speech: [{kind: folder, path: speech}]
  noise: [{kind: folder, path: noise}]"""


def write(file: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, rate_hz, subtype=subtype)


def noise(number: int, seconds: float = 1.0, level: float = 0.05) -> np.ndarray:
    return level * np.random.default_rng(number).standard_normal(int(seconds * RATE_HZ)).clip(-4, 4)


@pytest.fixture
def place(tiny_corpora: Path, tmp_path: Path) -> Path:
    """A study file beside a copy of the tiny corpora, which a test may change."""
    shutil.copytree(tiny_corpora, tmp_path, dirs_exist_ok=True)
    (tmp_path / "study.yaml").write_text(STUDY.format(corpora=FOLDERS))
    return tmp_path


@pytest.fixture
def look(run_cli, place: Path) -> Callable[..., tuple[int, str, str]]:
    """Runs `wordlength data` on the study: status, output, errors; line breaks of tables count as spaces."""
    return lambda *options: run_cli("data", place / "study.yaml", "--home", place / "home", *options)


def test_good_data_are_told_in_two_tables(look, place: Path) -> None:
    status, out, err = look()
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["folder:speech", "speech", "12", "0:00:18", "6"] in [row[:5] for row in rows]
    assert ["folder:noise", "noise", "8", "0:00:16", "2"] in [row[:5] for row in rows]
    assert "folder:noise, noise: 16000 Hz; recordings by class: rumble 4, white 4\n" in out
    assert "level: softest…loudest file, root mean square in dB of full scale" in " ".join(out.split())
    assert [row[:2] for row in rows if row and row[0] in ("train", "validation", "test")] == [
        ["train", "8"],
        ["validation", "2"],
        ["test", "2"],
    ]
    assert not (place / "home" / "cache").exists()  # nothing is prepared


def test_long_lists_of_classes_are_wrapped() -> None:
    classes = {f"car_horn_{number}": 5 for number in range(12)}
    corpus = CorpusFigures("noise", "urbansound8k", 60, 0, 60.0, {}, classes, {16_000: 60}, None, 0.0, 0.0)
    lines = corpus_lines(DataSurvey((corpus,), (), (), ()), 80).split("\n")
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("urbansound8k, noise: 16000 Hz; recordings by class: ")
    assert all(line.startswith("  car_horn_") for line in lines[1:])


def test_no_figure_is_cut_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    speech = CorpusFigures(
        "clean of pairs",
        "folder:a_long_name",
        12_000,
        6,
        36_000.0,
        {"female": 8, "male": 8},
        {},
        {16_000: 9},
        (-46.0, -30.0, -28.0),
        0.124,
        0.158,
    )
    noise = CorpusFigures("noise", "folder:noise", 12, 0, 24.0, {}, {"hum": 6}, {16_000: 12}, None, 0.0, 0.0)
    Console(width=80).print(corpus_table(DataSurvey((speech, noise), (), (), ())))
    out = capsys.readouterr().out
    assert all(told in out for told in ("12,000", "10:00:00", "8 f, 8 m", "-46…-28", "12.4%", "15.8%", "silent"))
    assert "not used: empty, silent or unreadable" in out
    assert "clipped: at full scale for three samples" in out


def test_json_holds_every_figure(look, place: Path) -> None:
    status, *_ = look("--json", place / "data.json")
    assert status == 0
    figures = json.loads((place / "data.json").read_text())
    speech, sounds = figures["corpora"]
    assert (figures["study"], speech["files"], speech["speakers"]) == ("heard", 12, {"unknown": 6})
    assert speech["seconds"] == pytest.approx(18)
    assert sounds["noise_classes"] == {"rumble": 4, "white": 4}
    levels = sorted(10 * np.log10(np.mean(soundfile.read(file)[0] ** 2)) for file in (place / "noise").rglob("*.wav"))
    assert sounds["level_dbfs"] == pytest.approx([levels[0], (levels[3] + levels[4]) / 2, levels[-1]], abs=1e-3)
    assert [part["mixtures"] for part in figures["parts"]] == [8, 2, 2]
    assert figures["parts"][0]["snr_db"] == {"0": 8}
    assert figures["problems"] == []


def test_clipping_silence_rates_and_copies_are_warned_of(look, place: Path) -> None:
    write(place / "speech" / "speaker0" / "0.wav", (20 * noise(0, 1.5)).clip(-1, 1))
    write(place / "speech" / "speaker1" / "0.wav", np.concatenate([noise(1), np.zeros(3 * RATE_HZ)]))
    write(place / "noise" / "white" / "3.wav", noise(3), rate_hz=8000)
    shutil.copy(place / "speech" / "speaker2" / "0.wav", place / "speech" / "speaker3" / "copy.wav")
    status, out, err = look()
    assert (status, err) == (0, "")
    lines = [line.removeprefix("warning: ") for line in out.splitlines() if line.startswith("warning: ")]
    start = [line.partition(", e.g. ") for line in lines]
    told = {what: example for what, _, example in start}
    assert told["1 of 13 files of folder:speech are clipped"].endswith("speaker0/0.wav")
    assert told["1 speech files are silent for more than 50 % of the time"].endswith("speaker1/0.wav for 74 %")
    slow = "1 files of folder:noise are sampled below the study's 16000 Hz"
    assert told[slow].endswith("white/3.wav at 8000 Hz")
    assert told["copies: 1 of 13 speech are copies of others and left out"].endswith("copy.wav")
    assert any(line.startswith("imbalance: validation has 1 speaker only") for line in lines)


def test_leakage_between_given_parts_is_warned_of(look, place: Path) -> None:
    rows = ["clean,noisy,speaker,split,noise_class,recording"]
    for number, part in enumerate(("train", "train", "validation", "test")):
        speech = place / "speech" / f"speaker{0 if number == 3 else number}" / "0.wav"
        clean, noisy = place / f"c{number}.wav", place / f"n{number}.wav"
        shutil.copy(speech, clean)
        write(noisy, soundfile.read(speech)[0] + noise(number, 1.5))
        rows.append(f"{clean.name},{noisy.name},s{number},{part},hiss,tape{number // 2}")
    (place / "all.csv").write_text("\n".join(rows))
    (place / "study.yaml").write_text(STUDY.format(corpora="pairs: [{kind: manifest, path: all.csv}]"))
    status, out, err = look()
    assert (status, err) == (0, "")
    assert "leakage: 1 noise recordings are in validation and in test, e.g. all:tape1\n" in out
    assert "leakage: 1 files of the same content are in train and in test, e.g. " in out
    assert "name no speaker" not in out
    assert ["manifest:all", "clean", "of", "pairs", "4"] in [line.split()[:5] for line in out.splitlines()]


def test_files_that_name_no_speaker_are_warned_of(look, place: Path) -> None:
    for number, file in enumerate(sorted((place / "speech").rglob("*.wav"))):
        if number >= 4:
            shutil.move(file, place / "speech" / f"{number:02}.wav")
    status, out, _ = look()
    assert status == 0
    assert "leakage: 8 of 12 files of folder:speech name no speaker and count as one each" in out


def test_a_speaker_in_two_given_parts_makes_data_unusable(look, place: Path) -> None:
    rows = [
        f"speech/speaker{n}/0.wav,speech/speaker{n}/1.wav,s{n % 3},{'test' if n > 3 else 'train'}" for n in range(5)
    ]
    (place / "all.csv").write_text("\n".join(["clean,noisy,speaker,split", *rows]))
    (place / "study.yaml").write_text(STUDY.format(corpora="pairs: [{kind: manifest, path: all.csv}]"))
    status, _, err = look()
    assert status == 1
    assert "splits must share no speaker, but the corpus puts all:s1 into test and train" in err


def test_every_unusable_file_is_named_and_the_rest_is_shown(look, place: Path) -> None:
    (place / "speech" / "speaker0" / "0.wav").write_text("no audio")
    write(place / "speech" / "speaker1" / "0.wav", np.zeros(RATE_HZ))
    write(place / "noise" / "white" / "0.wav", np.array([0.1, np.nan]), subtype="FLOAT")
    write(place / "noise" / "white" / "1.wav", np.zeros(0))
    status, out, err = look("--json", place / "data.json")
    assert status == 1
    problems = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(problems) == 4
    for rule, file in (
        ("must be in a known format", "speaker0/0.wav"),
        ("must not be silent", "speaker1/0.wav"),
        ("must be finite", "white/0.wav"),
        ("must not be empty", "white/1.wav"),
    ):
        assert any(rule in line and file in line for line in problems)
    assert ["folder:speech", "speech", "12", "2"] in [line.split()[:4] for line in out.splitlines()]
    assert len(json.loads((place / "data.json").read_text())["problems"]) == 4


def test_clips_too_short_for_stoi_are_named_where_it_is_measured(look, place: Path) -> None:
    for file in (place / "speech").rglob("*.wav"):
        write(file, soundfile.read(file)[0][:4000])
    status, out, err = look()
    assert status == 1
    assert err.count("clips need at least 0.41 s of speech for STOI, but got 0.25 s") == 4  # 2 speakers, 2 clips each
    assert "warning: 8 training clips are too short for STOI, e.g. " in out


def test_rates_are_compared_with_the_studys(look, place: Path) -> None:
    features = "\n  features: {sample_rate_hz: 24000}"
    (place / "study.yaml").write_text(STUDY.format(corpora=FOLDERS + features))
    status, out, _ = look()
    assert status == 0
    assert "warning: 12 files of folder:speech are sampled below the study's 24000 Hz, e.g. " in out


def test_a_missing_corpus_is_named_and_the_other_one_shown(look, place: Path) -> None:
    shutil.rmtree(place / "noise")
    status, out, err = look()
    assert status == 1
    assert "corpus folders must exist, but got" in err
    assert "start at data_root, or at WORDLENGTH_DATA" in err
    assert "folder:speech" in out


def test_pairs_out_of_step_make_data_unusable(look, place: Path) -> None:
    for number in range(4):
        speech = soundfile.read(place / "speech" / f"speaker{number}" / "0.wav")[0]
        write(place / "clean" / f"s{number}" / "a.wav", speech)
        write(
            place / "noisy" / f"s{number}" / "a.wav", np.roll(speech, 9 if number == 2 else 0) + noise(number, 1.5) / 4
        )
    (place / "study.yaml").write_text(STUDY.format(corpora="pairs: [{kind: paired, path: .}]"))
    status, _, err = look()
    assert status == 1
    assert err.count("error: ") == 1
    assert "must be aligned, but the noisy one is 9 samples at 16000 Hz late" in err


def test_uneven_sexes_and_classes_are_warned_of(look, place: Path) -> None:
    rows = ["clean,speaker,sex,split"]
    rows += [
        f"speech/speaker{n}/0.wav,s{n},{'mmmmff'[n]},{('', 'validation', 'test')[max(0, n - 3)]}" for n in range(6)
    ]
    (place / "all.csv").write_text("\n".join(rows))
    shutil.rmtree(place / "noise" / "rumble")
    write(place / "noise" / "horn" / "0.wav", noise(9))
    corpora = FOLDERS.replace("{kind: folder, path: speech}", "{kind: manifest, path: all.csv}")
    (place / "study.yaml").write_text(STUDY.format(corpora=corpora))
    status, out, _ = look()
    assert status == 0
    assert "imbalance: 0 of 4 speakers in train are female\n" in out
    assert "imbalance: 1 noise class is trained on, but not in validation, e.g. horn" in out


def test_rooms_are_counted(look, place: Path) -> None:
    for number in range(4):
        response = np.zeros(800)
        response[[10, 100]] = 0.9, 0.1 * (number + 1)
        write(place / "rirs" / f"room{number}" / "a.wav", response)
    (place / "study.yaml").write_text(STUDY.format(corpora=f"{FOLDERS}\n  rooms: [{{path: rirs}}]"))
    status, out, err = look()
    assert (status, err) == (0, "")
    assert ["rooms:rirs", "rooms", "4"] in [line.split()[:3] for line in out.splitlines()]
    assert "too short" not in out


@pytest.mark.real_data
def test_the_real_corpora(run_cli, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDLENGTH_DATA", str(real_data))
    klein = Path(__file__).parents[2] / "examples" / "klein.yaml"
    status, out, err = run_cli("data", klein, "--home", tmp_path)
    assert (status, err) == (0, "")
    assert ["timit", "speech", "100", "0:05:10", "5", "f,", "5", "m"] in [line.split()[:8] for line in out.splitlines()]
    assert "timit, speech: 16000 Hz\n" in out
    assert "leakage" not in out
