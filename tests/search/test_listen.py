"""listen: what is written for the ear and the eye, held to the figures that the study logged."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordlength import Listened, SpecError, WordlengthError, listen, prepare
from wordlength.objectives.audio.scoring import intelligibility
from wordlength.search.listening.listen import _voices

FILES = {"clean.wav", "noisy.wav", "float.wav", "quantized.wav", "picture.png", "clip.json"}

pytestmark = pytest.mark.usefixtures("ray_session", "tensorflow")


@pytest.fixture(scope="module")
def validation(tiny_study, tmp_path_factory: pytest.TempPathFactory) -> Listened:
    """All validation mixtures, as two trials enhance them."""
    _, home, view = tiny_study
    folder = tmp_path_factory.mktemp("heard") / "validation"
    worst = min(view.points, key=lambda point: point.quality).number
    done = listen("tiny", ["best", f"trial={worst}"], folder, home, clips=[0, 1], part="validation")
    assert len(done.clips) == 2
    return done


@pytest.fixture(scope="module")
def heard(tiny_study, tmp_path_factory: pytest.TempPathFactory) -> Listened:
    """The first test mixture, as the knee enhances it."""
    _, home, _ = tiny_study
    return listen("tiny", ["knee"], tmp_path_factory.mktemp("heard") / "test", home)


def test_what_is_heard_is_what_the_study_logged(validation: Listened, tiny_study) -> None:
    _, _, view = tiny_study
    gains = {
        name: [facts["sounds"][name]["stoi"] - facts["sounds"]["noisy"]["stoi"] for facts in validation.facts]
        for name in validation.facts[0]["sounds"]
    }
    assert np.mean(gains["float"]) == pytest.approx(view.baseline.quality, abs=1e-6)
    for voice in validation.voices:
        assert gains[voice.name] == pytest.approx(voice.point.gains, abs=1e-6)
    assert validation.voices[0].point.quality != validation.voices[1].point.quality


def test_several_clips_and_trials_have_names_of_their_own(validation: Listened) -> None:
    number = validation.voices[1].point.number
    assert {path.name for path in validation.folder.iterdir()} == {"clip-0", "clip-1"}
    trials = {"quantized-best.wav", f"quantized-trial-{number}.wav"}
    for clip in ("clip-0", "clip-1"):
        assert {path.name for path in (validation.folder / clip).iterdir()} == FILES - {"quantized.wav"} | trials
        facts = json.loads((validation.folder / clip / "clip.json").read_text(encoding="utf-8"))
        assert f"clip-{facts['clip']}" == clip
        assert facts["sounds"][f"quantized-trial-{number}"]["trial"] == number


def test_files_are_16_bit_with_one_gain_and_as_intelligible_as_said(heard: Listened, tiny_study) -> None:
    _, home, _ = tiny_study
    (clip,), (facts,) = heard.clips, heard.facts
    assert {path.name for path in heard.folder.iterdir()} == FILES
    assert json.loads((heard.folder / "clip.json").read_text(encoding="utf-8")) == facts
    gain, sounds = 10 ** (facts["gain_db"] / 20), {}
    for name, told in facts["sounds"].items():
        assert soundfile.info(heard.folder / told["file"]).subtype == "PCM_16"
        sounds[name], rate = soundfile.read(heard.folder / told["file"])
        assert rate == 16000
        assert intelligibility(sounds["clean"], sounds[name], rate) == pytest.approx(told["stoi"], abs=2e-3)
    loudest = max(np.abs(samples).max() for samples in sounds.values())
    assert loudest == pytest.approx(10 ** (-1 / 20), abs=1 / 32768)
    mixture = prepare(home.find("tiny").data, home.cache).test.mixture(0)
    for name, wanted in zip(("clean", "noisy"), mixture, strict=True):
        np.testing.assert_allclose(sounds[name], wanted * gain, atol=0.51 / 32768)
    assert facts["mixture"].startswith(f"{facts['utterance']} + {facts['noise']} ")
    assert facts["speaker"] == clip.speaker
    assert facts["sounds"]["quantized"]["candidate_digest"] == heard.voices[0].point.candidate.digest


def test_the_picture_grows_with_the_trials(heard: Listened, validation: Listened) -> None:
    one, two = (
        struct.unpack(">II", path.read_bytes()[16:24])
        for path in (heard.folder / "picture.png", validation.folder / "clip-0" / "picture.png")
    )
    assert one[0] == two[0] == 1100
    assert two[1] > one[1] > 600


def test_words_choose_by_the_first_trials_improvement(validation: Listened, tiny_study, tmp_path: Path) -> None:
    _, home, _ = tiny_study
    gains = validation.voices[0].point.gains
    done = listen("tiny", ["best"], tmp_path / "a", home, clips=["worst", "best", 1], part="validation")
    order = [int(np.argmin(gains)), int(np.argmax(gains))]
    assert order[0] != order[1]
    assert [clip.number for clip in done.clips] == order


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": [99]}, r"clip must be a test mixture's number from 0 to \d, or worst, median, best, but got 99"),
        ({"clips": ["loudest"]}, r"but got 'loudest' \(--clip\)"),
        ({"clips": []}, r"at least one clip must be asked for, but got none \(--clip\)"),
        ({"part": "train"}, r"part must be one of test, validation, but got 'train' \(--part\)"),
        ({"rules": ["fastest"]}, r"a front member is picked by one of .* \(--pick\)"),
        ({"retrained": True}, r"a trial must have been retrained .* run: wordlength retrain tiny --pick trial=\d"),
    ],
)
def test_what_cannot_be_heard_is_refused(options: dict, message: str, tiny_study, tmp_path: Path) -> None:
    _, home, _ = tiny_study
    with pytest.raises(SpecError, match=message):
        listen("tiny", folder=tmp_path / "heard", home=home, **{"rules": ["knee"]} | options)
    assert list(tmp_path.iterdir()) == []


def test_rules_that_differ_in_blanks_are_one(tiny_study) -> None:
    voices = _voices(tiny_study[2], ["max-bytes=1MB", " max-bytes= 1MB", "best"], retrained=False)
    assert [voice.name for voice in voices] == ["quantized-max-bytes-1MB", "quantized-best"]


def test_only_an_earlier_listening_is_replaced(heard: Listened, tiny_study, tmp_path: Path) -> None:
    _, home, _ = tiny_study
    with pytest.raises(SpecError, match=r"holds a listening \(--force replaces it\)"):
        listen("tiny", ["knee"], heard.folder, home)
    (tmp_path / "clip-0").mkdir()
    (tmp_path / "clip-0" / "mine.wav").touch()
    with pytest.raises(SpecError, match=r"holds other files: mine.wav \(--to\)"):
        listen("tiny", ["knee"], tmp_path, home, force=True)
    (tmp_path / "clip-0" / "mine.wav").rename(tmp_path / "file")
    with pytest.raises(SpecError, match=r"goes into a folder, but .*file is a file \(--to\)"):
        listen("tiny", ["knee"], tmp_path / "file", home)


def test_the_command_prints_a_table_and_replaces_an_earlier_listening(
    heard: Listened, tiny_study, run_cli, tmp_path: Path
) -> None:
    _, home, view = tiny_study
    shutil.copytree(heard.folder, tmp_path / "heard")
    (tmp_path / "heard" / "clean.wav").rename(tmp_path / "heard" / "quantized-old.wav")
    asked = ("listen", "tiny", "--pick", "smallest", "--clip", "1", "--to", tmp_path / "heard", "--force")
    status, out, err = run_cli(*asked, "--json", tmp_path / "facts.json", "--home", home.root)
    assert status == 0
    assert "written: " in err
    assert {path.name for path in (tmp_path / "heard").iterdir()} == FILES
    facts = json.loads((tmp_path / "heard" / "clip.json").read_text(encoding="utf-8"))
    for text in (f"trial {view.front.smallest.number}", f"{facts['sounds']['quantized']['stoi']:.3f}"):
        assert text in out
    told = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    assert told == {"command": "listen", "study": "tiny", "clips": [facts]}


def test_other_data_are_not_passed_off_as_the_studys(copied_study, tmp_path: Path) -> None:
    _, home = copied_study
    file = home.study("tiny").study_file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("subset_fraction: 0.5", "subset_fraction: 0.6"), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != text
    with pytest.raises(WordlengthError, match=r"a study keeps its settings, but data\.subset_fraction was 0.5"):
        listen("tiny", ["knee"], tmp_path / "heard", home)
