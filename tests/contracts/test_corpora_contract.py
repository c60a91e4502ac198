"""Every corpus layout, as a small copy of itself."""

import csv
from pathlib import Path

import pytest
from corpus_contract import NoiseContract, PairContract, SpeechContract
from voices import hiss, voice, write

from wordlength.objectives.audio import CorpusSettings, prepare
from wordlength.objectives.audio.corpora import read_pairs
from wordlength.objectives.audio.corpus_settings import NOISE_KINDS, PAIR_KINDS, SPEECH_KINDS
from wordlength.objectives.audio.planning import Material, read_material


class TestTimit(SpeechContract):
    kind = "timit"

    def build(self, root: Path) -> None:
        for number, speaker in enumerate(("FCJF0", "FDAW0", "FKFB0", "MRCG0", "MTRT0", "MKLS1")):
            folder = root / ("TRAIN" if number % 2 else "TEST") / f"DR{1 + number}" / speaker
            for sentence in ("SA1", "SX37"):
                write(folder / f"{sentence}.WAV", voice(10 * number + len(sentence)))
                (folder / f"{sentence}.TXT").write_text("0 1 Words.\n")

    def test_sexes_are_in_the_names(self, root: Path) -> None:
        assert {clip.label for clip in self.clips(root)} == {"female", "male"}


class TestFolderOfSpeech(SpeechContract):
    kind = "folder"

    def build(self, root: Path) -> None:
        for number in range(5):
            write(root / f"speaker{number}" / "one.wav", voice(number))
            write(root / f"speaker{number}" / "deeper" / "two.flac", voice(20 + number))


class VoiceBank:
    """Three training and one test speaker; the sets' logs in a folder of their own, as in some copies."""

    kind = "voicebank_demand"

    def build(self, root: Path) -> None:
        logs: dict[str, list[str]] = {"trainset_28spk": [], "testset": []}
        for number, speaker in enumerate(("p226", "p227", "p228", "p232")):
            part = "testset" if speaker == "p232" else "trainset_28spk"
            for sentence in (1, 2):
                name = f"{speaker}_00{sentence}.wav"
                write_pair(root, f"clean_{part}_wav/{name}", f"noisy_{part}_wav/{name}", 10 * number + sentence)
                logs[part].append(f"{speaker}_00{sentence} {('babble', 'cafe')[sentence - 1]} {2.5 * sentence}")
        (root / "logfiles").mkdir()
        for part, lines in logs.items():
            (root / "logfiles" / f"log_{part}.txt").write_text("\n".join(lines) + "\n")
        (root / "logfiles" / "log_readme.txt").write_text("What the logs say, and more than three words.\n")


def write_pair(root: Path, clean: str, noisy: str, number: int) -> None:
    """A voice, and the same with noise in it."""
    write(root / clean, voice(number))
    write(root / noisy, voice(number) + hiss(number))


class TestVoiceBankSpeech(VoiceBank, SpeechContract):
    pass


class TestDnsSpeech(SpeechContract):
    kind = "dns_challenge"
    # What is noise or synthesised is no clean speech.
    strays = (
        "readme.txt",
        ".hidden/a.wav",
        "noise_fullband/a.wav",
        "clean_fullband/notes.csv",
        "clean/clean_fileid_3.wav",
    )

    def build(self, root: Path) -> None:
        below = root / "datasets_fullband" / "clean_fullband"
        for number in range(4):
            name = f"book_0000{number}_chp_0009_reader_0670{number}"
            write(below / "read_speech" / f"{name}_0.wav", voice(number))
            write(below / "read_speech" / f"{name}_1_seg_2.wav", voice(10 + number))
        write(below / "vctk_wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac", voice(30))
        write(below / "emotional_speech" / "crema_d" / "1001_DFA_ANG_XX.wav", voice(31))
        write(below / "VocalSet_48kHz_mono" / "female1" / "arpeggios" / "f1_a.wav", voice(32))
        write(below / "german_speech" / "somebody.wav", voice(33))

    def test_speakers_are_read_from_names_and_folders(self, root: Path) -> None:
        found = {clip.path.name: (clip.group, clip.label) for clip in self.clips(root)}
        assert found["book_00001_chp_0009_reader_06701_1_seg_2.wav"] == ("dns:reader_06701", "unknown")
        assert found["p225_001_mic1.flac"] == ("dns:p225", "unknown")
        assert found["1001_DFA_ANG_XX.wav"] == ("dns:actor_1001", "unknown")
        assert found["f1_a.wav"] == ("dns:female1", "female")
        assert found["somebody.wav"] == ("dns:german_speech/somebody.wav", "unknown")

    def test_the_corpus_folder_itself_can_be_named(self, root: Path) -> None:
        """The same names then, wherever the setting points."""
        inner = self.clips(root / "datasets_fullband" / "clean_fullband")
        assert [(clip.group, clip.source) for clip in inner] == [(clip.group, clip.source) for clip in self.clips(root)]


class Manifest:
    """A CSV file, and not the folder that it is in, is the corpus. `columns`: those that it must have."""

    kind = "manifest"
    path = "all.csv"
    missing = r"a manifest must be a CSV file, but got .*absent"
    columns: str

    def build_empty(self, root: Path) -> None:
        root.mkdir()
        (root / "all.csv").write_text(f"{self.columns}\n")


class TestManifestOfSpeech(Manifest, SpeechContract):
    columns = "clean,speaker"
    empty = r"must hold a column clean with files"

    def build(self, root: Path) -> None:
        rows = [{"clean": f"clips/{n}.wav", "speaker": f"s{n // 2}", "sex": "fm"[n // 2 % 2]} for n in range(8)]
        for number, row in enumerate(rows):
            write(root / row["clean"], voice(number))
        write_manifest(root / "all.csv", rows)


class TestUrbanSound(NoiseContract):
    kind = "urbansound8k"

    def build(self, root: Path) -> None:
        rows = []
        for number in range(8):
            name = f"{100 + number // 2}-3-0-{number % 2}.wav"
            fold, kind = 1 + number % 2, ("dog_bark", "siren")[number // 6]
            write(root / "audio" / f"fold{fold}" / name, hiss(number))
            rows.append({"slice_file_name": name, "fsID": str(100 + number // 2), "fold": str(fold), "class": kind})
        write_manifest(root / "metadata" / "UrbanSound8K.csv", rows)


class TestEsc(NoiseContract):
    kind = "esc"

    def build(self, root: Path) -> None:
        for number in range(4):
            write(root / "001 - Dog bark" / f"{1 + number}-3022{number}-A.ogg", hiss(number))
            write(root / "007 - Helicopter" / f"{1 + number}-9{number}-C.wav", hiss(10 + number))


class TestFolderOfNoise(NoiseContract):
    kind = "folder"

    def build(self, root: Path) -> None:
        for number in range(4):
            write(root / "Car Horn" / f"{number}.wav", hiss(number))
            write(root / "rain" / f"{number}.wav", hiss(10 + number))


class TestDnsNoise(NoiseContract):
    kind = "dns_challenge"
    strays = ("readme.txt", ".hidden/a.wav", "clean_fullband/a.wav", "noise/noise_fileid_3.wav")

    def build(self, root: Path) -> None:
        for number in range(4):
            write(root / "noise_fullband" / f"door_Freesound_validated_38138{number}_0.wav", hiss(number))
            write(root / "noise_fullband" / f"--9VR_F7CtY{number}.wav", hiss(10 + number))

    def test_classes_are_freesounds(self, root: Path) -> None:
        found = {(clip.group, clip.source) for clip in self.clips(root)}
        assert {("door", "freesound:381380"), ("audioset", "audioset:--9VR_F7CtY0")} <= found


class TestManifestOfNoise(Manifest, NoiseContract):
    columns = "noise"
    empty = r"must hold a column noise with files"

    def build(self, root: Path) -> None:
        rows = [
            {"noise": f"{n}.wav", "noise_class": ("Car horn", "rain")[n % 2], "recording": f"r{n // 2}"}
            for n in range(8)
        ]
        for number, row in enumerate(rows):
            write(root / row["noise"], hiss(number))
        write_manifest(root / "all.csv", rows)


class TestVoiceBankPairs(VoiceBank, PairContract):
    def test_logs_tell_noise_and_level(self, root: Path) -> None:
        pairs = {pair.clean.source: pair for pair in read_pairs(self.pair_settings(root))}
        pair = pairs["voicebank:p232_002"]
        assert (pair.noise_class, pair.noise.source, pair.snr_db) == ("cafe", "voicebank:cafe", 5.0)
        assert pair.clean.split == "test"
        assert pairs["voicebank:p226_001"].clean.split == "train"


class TestDnsPairs(PairContract):
    kind = "dns_challenge"

    def build(self, root: Path) -> None:
        for number in range(6):
            folder = root / ("test_set/no_reverb" if number == 5 else "training")
            speech, noise = voice(number), hiss(number)
            source = f"book_00000_chp_0009_reader_0670{number}_0-book_00000_chp_0009_reader_0670{number}_1"
            name = f"{source}_door_Freesound_validated_38138{number}_0_snr{number - 2}_tl-2{number}_fileid_{number}.wav"
            write(folder / "clean" / f"clean_fileid_{number}.wav", speech)
            write(folder / "noise" / f"noise_fileid_{number}.wav", noise)
            write(folder / "noisy" / name, speech + noise)

    def test_names_tell_reader_noise_and_level(self, root: Path) -> None:
        first, *_ = (pair for pair in read_pairs(self.pair_settings(root)) if pair.clean.path.stem.endswith("_1"))
        assert (first.speaker, first.noise_class, first.snr_db) == ("dns:reader_06701", "door", -1.0)
        assert first.noise.source == "freesound:381381"
        tested = {pair.speaker for pair in read_pairs(self.pair_settings(root)) if pair.clean.split == "test"}
        assert tested == {"dns:reader_06705"}


class TestPaired(PairContract):
    kind = "paired"
    empty = r"must hold noisy/a\.wav and clean/a\.wav, .* no such file was found"

    def build(self, root: Path) -> None:
        for number in range(5):
            write_pair(root, f"clean/s{number}/a.wav", f"noisy/s{number}/a.wav", number)
            write_pair(root, f"clean/{number}.flac", f"noisy/{number}.flac", 10 + number)


class TestPairedInParts(TestPaired):
    def build(self, root: Path) -> None:
        for number, part in enumerate(("train", "train", "valid", "test")):
            write_pair(root / part, f"clean/s{number}/a.wav", f"noisy/s{number}/a.wav", number)

    def test_folders_are_the_parts(self, root: Path) -> None:
        found = [(clip.group, clip.split) for clip in self.clips(root)]
        assert sorted(found) == [
            ("corpus:s0", "train"),
            ("corpus:s1", "train"),
            ("corpus:s2", "validation"),
            ("corpus:s3", "test"),
        ]


class TestManifestOfPairs(Manifest, PairContract):
    columns = "clean,noisy"
    empty = r"must hold rows with the columns clean and noisy, or noise"

    def build(self, root: Path) -> None:
        rows: list[dict[str, str]] = []
        for number, part in enumerate(("train", "train", "", "test")):
            row = {"clean": f"clean/{number}.wav", "speaker": f"s{number}", "split": part, "noise_class": "hiss"}
            write_pair(root, row["clean"], f"noisy/{number}.wav", number)
            rows.append(row | {"noisy": f"noisy/{number}.wav"})
        write(root / "clean/9.wav", voice(9))
        write(root / "noise/9.wav", hiss(9))
        rows.append({"clean": "clean/9.wav", "speaker": "s3", "split": "test", "noise": "noise/9.wav", "snr_db": "3"})
        write_manifest(root / "all.csv", rows)


def write_manifest(table: Path, rows: list[dict[str, str]]) -> None:
    """A CSV file with every column that some row has."""
    table.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


class Builtin:
    """It is rendered into the cache, has no folder of its own, and no stray files."""

    kind = "builtin"
    test_order_depends_on_names_only = None
    test_stray_files_are_ignored = None
    test_missing_folder_is_named = None
    test_folder_without_the_corpus_is_refused = None

    @pytest.fixture(autouse=True)
    def rendered(self, builtin_cache: Path) -> None:
        self.cache = builtin_cache

    @pytest.fixture
    def root(self, builtin_cache: Path) -> Path:
        return builtin_cache

    def corpus(self, place: Path, limit: int | None = None) -> CorpusSettings:
        return CorpusSettings("builtin", None, limit or 3)

    def test_it_can_be_prepared(self, root: Path, others: Path) -> None:
        data = prepare(self.settings(root, others), self.cache)
        assert (data.validation.noisy_stoi > 0.05).all()
        assert len(data.validation) > 0

    def material(self, place: Path, others: Path) -> Material:
        return read_material(self.settings(place, others), self.cache)


class TestBuiltinSpeech(Builtin, SpeechContract):
    pass


class TestBuiltinNoise(Builtin, NoiseContract):
    pass


LAYOUTS = [layout for name, layout in list(globals().items()) if name.startswith("Test")]


@pytest.mark.parametrize(
    ("contract", "kinds"), [(SpeechContract, SPEECH_KINDS), (NoiseContract, NOISE_KINDS), (PairContract, PAIR_KINDS)]
)
def test_every_layout_is_here(contract: type, kinds: tuple[str, ...]) -> None:
    assert {layout.kind for layout in LAYOUTS if issubclass(layout, contract)} == set(kinds)
