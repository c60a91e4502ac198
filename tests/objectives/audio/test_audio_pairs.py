"""Given mixtures, manifests, rooms, and the parts that a corpus has: what goes beyond the layouts' contract."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordlength.errors import DataError
from wordlength.objectives.audio import CorpusSettings, DataSettings, prepare
from wordlength.objectives.audio.corpora import read_noise, read_pairs, read_rooms, read_speech
from wordlength.objectives.audio.corpus_settings import PairSettings, RoomSettings
from wordlength.objectives.audio.files import read_audio
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.planning import plan_of, read_material
from wordlength.objectives.audio.rendering import read_pair, rendered, snr_db_of
from wordlength.objectives.audio.rooms import reverberate
from wordlength.objectives.audio.splits import Split, split_groups

RATE_HZ = 16000


def noise(number: int, samples: int = RATE_HZ // 2, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(number).standard_normal(samples).clip(-4, 4)


def low(number: int, samples: int = RATE_HZ // 2) -> np.ndarray:
    """Noise without much above 500 Hz: neighbouring samples are nearly alike, as in speech."""
    return np.convolve(noise(number, samples), np.ones(24) / 8, "same")


def write(file: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, rate_hz, subtype=subtype)
    return file


def manifest(root: Path, text: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "all.csv").write_text(text)
    return root / "all.csv"


# Splits


def clip(speaker: str, split: str, corpus: str = "one") -> Clip:
    return Clip(Path(f"{speaker}.wav"), corpus, speaker, f"{corpus}:{speaker}", "unknown", split)


def split(clips: list[Clip], seed: int = 0) -> Split:
    return split_groups(clips, by="speaker", validation_fraction=0.25, test_fraction=0.25, seed=seed)


def test_official_test_speakers_are_the_only_ones() -> None:
    clips = [clip(f"s{k}", "train") for k in range(8)] + [clip("t0", "test"), clip("t1", "test")]
    seen = set()
    for seed in range(20):
        parts = split(clips, seed)
        assert {one.group for one in parts.test} == {"t0", "t1"}
        assert len(parts.validation) == 2
        assert len(parts.train) == 6
        seen |= {one.group for one in parts.validation}
    assert len(seen) == 8  # validation is drawn, not the first two


def test_a_corpus_with_all_parts_is_taken_as_it_is() -> None:
    clips = [clip("a", "train"), clip("b", "validation"), clip("c", "test"), clip("d", "")]
    parts = split(clips)
    assert [[one.group for one in part] for part in (parts.train, parts.validation, parts.test)] == [
        ["a", "d"],
        ["b"],
        ["c"],
    ]


def test_two_training_speakers_suffice_beside_an_official_test_part() -> None:
    parts = split([clip("a", "train"), clip("b", "train"), clip("c", "test")])
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (1, 1, 1)


def test_another_corpus_is_split_for_itself() -> None:
    clips = [clip(f"s{k}", "train") for k in range(4)] + [clip("t", "test")]
    clips += [clip(f"o{k}", "", corpus="two") for k in range(8)]
    tested = {one.group for one in split(clips).test}
    assert "t" in tested
    assert len(tested) == 3  # a quarter of the other corpus's eight
    assert not any(name.startswith("s") for name in tested)


def test_a_speaker_in_two_official_parts_is_refused() -> None:
    clips = [clip("a", "train"), clip("b", "train"), clip("a", "test")]
    with pytest.raises(DataError, match=r"must share no speaker, but the corpus puts a into test and train \(a\.wav\)"):
        split(clips)


def test_official_parts_without_training_are_refused() -> None:
    with pytest.raises(DataError, match=r"need train, validation and test speakers, but got 2 \(a, b\)"):
        split([clip("a", "test"), clip("b", "test")])


# Pairs


def test_a_pair_keeps_its_levels_and_is_scaled_together(tmp_path: Path) -> None:
    speech, both = low(0) * 4, low(0) * 4 + noise(1)
    assert np.abs(both).max() > 1
    clean = write(tmp_path / "c.wav", speech, subtype="FLOAT")
    noisy = write(tmp_path / "n.wav", both, subtype="FLOAT")
    heard, mixed = read_pair(clean, noisy)
    scale = max(np.abs(both).max(), np.abs(speech).max())
    np.testing.assert_allclose(heard, speech / scale, atol=1e-6)
    np.testing.assert_allclose(mixed - heard, noise(1) / scale, atol=1e-6)


def test_a_pair_is_resampled_alike(tmp_path: Path) -> None:
    clean, noisy = write(tmp_path / "c.wav", low(0), 48000), write(tmp_path / "n.wav", low(0) + noise(1), 48000)
    heard, mixed = read_pair(clean, noisy)
    assert heard.shape == mixed.shape == (-(-low(0).size // 3),)
    np.testing.assert_array_equal(read_pair(clean, noisy, 8000)[0].shape, -(-low(0).size // 6))


def test_a_pair_without_noise_is_refused(tmp_path: Path) -> None:
    clean, noisy = write(tmp_path / "c.wav", low(0)), write(tmp_path / "n.wav", low(0))
    with pytest.raises(DataError, match=r"must hold noise, but this one equals its clean one \(.*n\.wav\)"):
        read_pair(clean, noisy)


@pytest.mark.parametrize("lag", [-700, -3, 5, 1500])
def test_a_shifted_pair_is_refused_with_its_lag(tmp_path: Path, lag: int) -> None:
    clean = write(tmp_path / "c.wav", low(0))
    noisy = write(tmp_path / "n.wav", np.roll(low(0), lag) + noise(1, level=0.03))
    told = f"{abs(lag)} samples at 16000 Hz {'late' if lag > 0 else 'early'}"
    with pytest.raises(DataError, match=rf"must be aligned, but the noisy one is {told} \(.*n\.wav\)"):
        read_pair(clean, noisy)


@pytest.mark.parametrize("snr_db", [-10, -5, 0, 10, 30])
def test_aligned_pairs_are_not_refused_whatever_the_level(tmp_path: Path, snr_db: int) -> None:
    for number in range(20):
        speech = low(2 * number)
        level = np.sqrt(np.mean(speech**2) / np.mean(low(2 * number + 1) ** 2)) * 10 ** (-snr_db / 20)
        clean = write(tmp_path / "c.wav", speech / 4)
        noisy = write(tmp_path / "n.wav", (speech + level * low(2 * number + 1)) / 8)
        read_pair(clean, noisy)


def test_a_level_that_is_not_told_is_measured(tmp_path: Path) -> None:
    clean = write(tmp_path / "c.wav", low(0), subtype="FLOAT")
    noisy = write(tmp_path / "n.wav", low(0) + noise(1), subtype="FLOAT")
    speech, sound = (Clip(path, "p", "s", "p:s", "unknown") for path in (clean, noisy))
    pair = Mixture(speech, sound, None, seed=0, given=True)
    wanted = 10 * np.log10(np.mean(low(0) ** 2) / np.mean(noise(1) ** 2))
    assert snr_db_of(pair, *rendered(pair, read_audio)) == pytest.approx(wanted, abs=1e-4)
    assert pair.name == "p:s + s p:s as given"


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("voicebank_demand", ["noisy_testset_wav/p232_001.wav"], "but clean_testset_wav has no|has no p232_001"),
        ("dns_challenge", ["noisy/a_snr5_tl-18_fileid_3.wav"], r"clean_fileid_3\.wav is not in clean"),
        ("paired", ["noisy/a.wav"], r"clean/a\.wav is none"),
    ],
)
def test_a_noisy_file_without_a_clean_one_is_named(tmp_path: Path, kind: str, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"noisy files need a clean one.*{message}") as refused:
        read_pairs(PairSettings(kind, tmp_path))
    assert names[0] in str(refused.value)


def test_a_log_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    for kind in ("clean", "noisy"):
        (tmp_path / f"{kind}_testset_wav").mkdir()
        (tmp_path / f"{kind}_testset_wav" / "p232_001.wav").touch()
    (tmp_path / "log_testset.txt").write_text("p232_001 cafe 2.5\np232_002 cafe\n")
    with pytest.raises(DataError, match=r"as 'p226_001 babble 10', but got 'p232_002 cafe' \(.*testset\.txt, line 2\)"):
        read_pairs(PairSettings("voicebank_demand", tmp_path))


def test_without_a_log_noise_and_level_are_unknown(tmp_path: Path) -> None:
    for kind in ("clean", "noisy"):
        for name in ("p232_001.wav", "p232_002.wav", "notes.wav"):
            (tmp_path / f"{kind}_testset_wav").mkdir(exist_ok=True)
            (tmp_path / f"{kind}_testset_wav" / name).touch()
    pairs = read_pairs(PairSettings("voicebank_demand", tmp_path))
    assert [(pair.noise_class, pair.snr_db) for pair in pairs] == [("noise", None)] * 2
    assert len({pair.noise.source for pair in pairs}) == 2


def test_a_limit_leaves_speakers_of_every_part(tmp_path: Path) -> None:
    rows = [f"{n}.wav,{n}.wav,s{n},{'test' if n > 4 else 'train'}" for n in range(8)]
    for number in range(8):
        (tmp_path / f"{number}.wav").touch()
    table = manifest(tmp_path, "\n".join(["clean,noisy,speaker,split", *rows]))
    kept = read_pairs(PairSettings("manifest", table, limit=4))
    assert [pair.clean.group for pair in kept] == ["all:s0", "all:s1", "all:s5", "all:s6"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "timit"}, "pairs must be one of voicebank_demand, .* but got 'timit'"),
        ({"kind": "paired", "limit": 0}, "limit must be at least 1, but got 0"),
        ({"kind": "manifest", "clean": "x"}, "folders are named in the layout paired only, but got x, noisy"),
        ({"kind": "paired", "clean": "noisy"}, "must name two folders, but got 'noisy' and 'noisy'"),
    ],
)
def test_pair_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PairSettings(path=Path("x"), **settings)


# Manifests


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clean,noisy\na.wav,absent.wav\n", r"must exist, but noisy absent\.wav does not \(.*all\.csv, line 2\)"),
        ("clean,noisy\n\na.wav,\n", r"row needs clean, and noisy or noise, but lacks them \(.*line 3\)"),
        ("clean,noise\na.wav,b.wav\n", r"mixed at a row's snr_db, but it has none \(.*line 2\)"),
        (
            "clean,noisy,snr_db\na.wav,b.wav,loud\n",
            r"snr_db must be a number .* got 'loud' \(.*line 2\)",
        ),
        ("clean,noisy,snr_db\na.wav,b.wav,nan\n", r"snr_db must be a number.*, but got 'nan' \(.*line 2\)"),
        ("clean,noisy,split\na.wav,b.wav,tset\n", r"split must be one of train, .* but got 'tset' \(.*line 2\)"),
        ("clean,noisy,sex\na.wav,b.wav,x\n", r"sex must be one of unknown, female, male or empty, but got 'x'"),
        ("clean,noisy,speeker\na.wav,b.wav,x\n", r"column is called speaker, but got 'speeker' \(.*all\.csv\)"),
        ("file,text\na.wav,hello\n", r"needs a column clean or noise, but has file, text \(.*all\.csv\)"),
        ("", r"needs a column clean or noise, but has none \(.*all\.csv\)"),
    ],
)
def test_manifests_that_break_a_rule_are_refused(tmp_path: Path, text: str, message: str) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=message):
        read_pairs(PairSettings("manifest", manifest(tmp_path, text)))


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_bytes(b"\xff\xfe\x00clean")
    with pytest.raises(DataError, match=r"must be a CSV file in UTF-8, but .*\(.*all\.csv\)"):
        read_speech(CorpusSettings("manifest", tmp_path / "all.csv"), tmp_path)


def test_one_manifest_serves_speech_noise_and_pairs(tmp_path: Path) -> None:
    text = "clean,noise,snr_db,speaker,sex,noise_class,transcript\n"
    text += 'a.wav,n/rain.wav,5,ann,F,Heavy rain,"Well, well."\nb.wav,n/rain.wav,-5,bob,m,Heavy rain,No.\n'
    (tmp_path / "n").mkdir()
    for name in ("a.wav", "b.wav", "n/rain.wav"):
        (tmp_path / name).touch()
    table = manifest(tmp_path, text)
    found = read_speech(CorpusSettings("manifest", table), tmp_path)
    assert [(one.group, one.source, one.label) for one in found] == [
        ("all:ann", "all:a.wav", "female"),
        ("all:bob", "all:b.wav", "male"),
    ]
    (rain,) = read_noise(CorpusSettings("manifest", table), tmp_path)
    assert (rain.group, rain.source) == ("heavy_rain", "all:n/rain.wav")
    pairs = read_pairs(PairSettings("manifest", table))
    assert [(pair.snr_db, pair.given, pair.noise) for pair in pairs] == [(5.0, False, rain), (-5.0, False, rain)]


# Rooms


def response(number: int, samples: int = 3200, direct: int = 40) -> np.ndarray:
    """Direct sound, a reflection 10 ms later, one 100 ms later."""
    taps = np.zeros(samples)
    taps[direct], taps[direct + 160], taps[direct + 1600] = 0.8, 0.3, 0.02 * (number + 1)
    return taps


def test_early_reflections_belong_to_the_target_late_ones_do_not() -> None:
    speech = np.zeros(4000)
    speech[100] = 1.0
    early, whole = reverberate(speech, response(1), early_samples=800)
    loud = np.flatnonzero(np.abs(early) > 1e-9)
    assert loud.tolist() == [100, 260]
    assert np.flatnonzero(np.abs(whole) > 1e-9).tolist() == [100, 260, 1700]
    assert early[260] / early[100] == pytest.approx(0.3 / 0.8)
    assert np.sum(early**2) == pytest.approx(1)  # as loud as the speech was
    np.testing.assert_allclose(whole[:1000], early[:1000], atol=1e-12)


def test_a_short_response_keeps_the_speech_whole() -> None:
    early, whole = reverberate(noise(0), np.array([0.0, 0.5]), early_samples=800)
    np.testing.assert_allclose(early[:-1], noise(0)[:-1], rtol=1e-3, atol=1e-12)
    assert early.shape == whole.shape == noise(0).shape


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    for size in ("small", "large"):
        for number in range(3):
            for place in range(2):
                write(tmp_path / "rirs" / size / f"Room{number}" / f"{place}.wav", response(number))
    write(tmp_path / "rirs" / "hall.wav", np.stack([response(9), -response(9)], axis=1))
    return tmp_path / "rirs"


def test_rooms_are_folders(rooms: Path) -> None:
    found = read_rooms(RoomSettings(rooms))
    assert len(found) == 13
    assert [one.group for one in found[:3]] == ["rirs:hall", "rirs:large/Room0", "rirs:large/Room0"]
    assert {one.label for one in found} == {"", "small", "large"}


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "must exist, but got .*absent"), ("empty", "must hold impulse")]
)
def test_folders_without_rooms_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        read_rooms(RoomSettings(tmp_path / name))


def test_a_share_of_the_speech_is_heard_in_rooms_that_no_other_part_has(
    rooms: Path, tiny_data_settings: DataSettings, tmp_path: Path
) -> None:
    settings = replace(
        tiny_data_settings, rooms=(RoomSettings(rooms),), room_share=0.5, early_ms=20.0, mixtures_per_utterance=4
    )
    plan = plan_of(settings, read_material(settings, tmp_path))
    parts = [[mixture.room for mixture in part if mixture.room] for part in (plan.train, plan.validation, plan.test)]
    assert [len(part) for part in parts] == [len(plan.train) // 2, len(plan.validation) // 2, len(plan.test) // 2]
    groups = [{room.group for room in part} for part in parts]
    assert all(groups)
    assert len(set.union(*groups)) == sum(len(group) for group in groups)
    assert "in rirs:" in next(mixture.name for mixture in plan.train if mixture.room)

    data = prepare(settings, tmp_path / "cache")
    assert len(data.validation) == len(plan.validation)
    assert data.digest != prepare(replace(settings, early_ms=50.0), tmp_path / "cache").digest
    assert data.digest != prepare(replace(settings, rooms=()), tmp_path / "cache").digest


def test_the_level_is_that_of_the_speech_as_heard(rooms: Path, tmp_path: Path) -> None:
    sources = write(tmp_path / "s.wav", low(0)), write(tmp_path / "n.wav", noise(1))
    speech, sound = (Clip(path, "p", "s", "p:s", "unknown") for path in sources)
    (room, *_) = read_rooms(RoomSettings(rooms))
    mixture = Mixture(speech, sound, 5.0, seed=3, room=room, early_ms=50.0)
    clean, noisy = (wave.astype(np.float64) for wave in rendered(mixture, read_audio))
    early, whole = reverberate(read_audio(sources[0]).astype(np.float64), response(9), 800)
    scale = np.sqrt(np.mean(clean**2) / np.mean(early**2))
    np.testing.assert_allclose(clean, scale * early, atol=1e-4)
    added = noisy - scale * whole
    assert 10 * np.log10(np.mean((scale * whole) ** 2) / np.mean(added**2)) == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"room_share": 0.0}, "room_share must be above 0 and at most 1, but got 0.0"),
        ({"early_ms": -1.0}, "early_ms must be between 0 and 1000, but got -1.0"),
        ({"rooms": (RoomSettings(Path("r")),)}, "rooms need speech to be heard in them, but got 1 and pairs only"),
    ],
)
def test_room_settings_out_of_range_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataSettings(pairs=(PairSettings("paired", Path("x")),), **changes)


def test_pairs_and_mixed_speech_share_no_speaker_between_parts(
    tmp_path: Path, tiny_data_settings: DataSettings
) -> None:
    """The same speakers in a manifest's pairs and its speech: drawn once, for both."""
    rows = []
    for number in range(6):
        write(tmp_path / f"c{number}.wav", low(number, RATE_HZ))
        write(tmp_path / f"n{number}.wav", low(number, RATE_HZ) + noise(number, RATE_HZ))
        rows.append(f"c{number}.wav,n{number}.wav,s{number}")
    table = manifest(tmp_path, "\n".join(["clean,noisy,speaker", *rows]))
    settings = replace(
        tiny_data_settings,
        speech=(CorpusSettings("manifest", table),),
        pairs=(PairSettings("manifest", table),),
    )
    plan = plan_of(settings, read_material(settings, tmp_path))
    parts = [{mixture.speaker for mixture in part} for part in (plan.train, plan.validation, plan.test)]
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 6
    for part in (plan.train, plan.validation, plan.test):
        assert [mixture.given for mixture in part].count(True) == len(part) // 2
