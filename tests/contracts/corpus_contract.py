"""What every corpus layout must keep: a new one inherits all tests by building a small copy of itself.

A layout says which clips there are, who speaks, what was recorded once, and which part it puts a clip into.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from voices import hiss, voice, write

from wordlength.errors import DataError
from wordlength.objectives.audio import CorpusSettings, DataSettings, PreparedData, prepare
from wordlength.objectives.audio.corpora import read_noise, read_pairs, read_speech
from wordlength.objectives.audio.corpus_settings import PairSettings
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.planning import PARTS, Material, plan_of, read_material

STRAYS = ("readme.txt", ".hidden/a.wav", "._a.wav", "notes/thumbs.db")


class CorpusContract:
    """Inherit through one of the classes below, name `kind`, and write `build`."""

    kind: ClassVar[str]
    path: ClassVar[str] = ""
    """What the setting points at below the corpus folder: a manifest's name, or the folder itself."""
    strays: ClassVar[tuple[str, ...]] = STRAYS
    """Files that are none of the corpus, and must not disturb it."""
    missing: ClassVar[str] = r"folders must exist, but got .*absent"
    empty: ClassVar[str] = r"must hold .*not? .*found \("

    def build(self, root: Path) -> None:
        """Write a small copy of the corpus, of at least three units to split, into the folder."""
        raise NotImplementedError

    def settings(self, place: Path, others: Path) -> DataSettings:
        """A study on the corpus at this place; `others` holds folders of speech and noise."""
        raise NotImplementedError

    def clips(self, place: Path) -> list[Clip]:
        """What is listed, in its order."""
        raise NotImplementedError

    def splits(self, clip: Clip) -> str:
        """What must be in one part only."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        self.build(tmp_path / "corpus")
        return tmp_path / "corpus"

    @pytest.fixture
    def others(self, tmp_path: Path) -> Path:
        for number in range(4):
            write(tmp_path / "others" / "speech" / f"s{number}" / "a.wav", voice(100 + number))
            write(tmp_path / "others" / "noise" / "hiss" / f"{number}.wav", hiss(100 + number))
        return tmp_path / "others"

    def material(self, place: Path, others: Path) -> Material:
        return read_material(self.settings(place, others), others)

    def test_clips_are_listed_the_same_each_time(self, root: Path) -> None:
        clips = self.clips(root / self.path)
        assert len(clips) >= 3
        assert clips == self.clips(root / self.path)
        assert all(clip.path.is_file() for clip in clips)

    def test_order_depends_on_names_only(self, root: Path, tmp_path: Path) -> None:
        """A copy whose files were made in another order lists the same."""
        elsewhere = tmp_path / "elsewhere" / root.name
        for file in sorted((file for file in root.rglob("*") if file.is_file()), reverse=True):
            (elsewhere / file.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, elsewhere / file.relative_to(root))
        here, there = self.clips(root / self.path), self.clips(elsewhere / self.path)
        assert [clip.path.relative_to(root) for clip in here] == [clip.path.relative_to(elsewhere) for clip in there]
        for one, other in zip(here, there, strict=True):
            assert (one.corpus, one.group, one.source, one.label, one.split) == (
                other.corpus,
                other.group,
                other.source,
                other.label,
                other.split,
            )

    def test_names_are_well_formed(self, root: Path) -> None:
        clips = self.clips(root / self.path)
        for clip in clips:
            assert clip.corpus
            assert clip.group
            assert ":" in clip.source
            assert clip.split in ("", *PARTS)
            assert str(root.parent) not in " ".join((clip.corpus, clip.group, clip.source, clip.label))
        assert len({clip.corpus for clip in clips}) == 1

    def test_stray_files_are_ignored(self, root: Path) -> None:
        before = self.clips(root / self.path)
        for name in self.strays:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"no audio")
        assert self.clips(root / self.path) == before

    def test_parts_share_nothing(self, root: Path, others: Path) -> None:
        material = self.material(root / self.path, others)
        plan = plan_of(self.settings(root / self.path, others), material)
        own = {clip.path for clip in self.clips(root / self.path)}
        parts = {part: self.heard(mixtures, own) for part, mixtures in plan.parts.items()}
        assert all(parts.values())
        counts = Counter(unit for units in parts.values() for unit in units)
        assert set(counts.values()) == {1}

    def heard(self, mixtures: tuple, own: set[Path]) -> set[str]:
        """The units of this corpus that the mixtures make heard."""
        clips = [clip for mixture in mixtures for clip in (mixture.clean, mixture.noise) if clip.path in own]
        return {self.splits(clip) for clip in clips}

    def test_parts_that_the_corpus_has_are_kept(self, root: Path, others: Path) -> None:
        plan = plan_of(self.settings(root / self.path, others), self.material(root / self.path, others))
        own = {clip.path for clip in self.clips(root / self.path)}
        for part, mixtures in plan.parts.items():
            for mixture in mixtures:
                for clip in (clip for clip in (mixture.clean, mixture.noise) if clip.path in own):
                    # What is to be trained on may be validated with, but a test speaker is nothing else.
                    assert part in {"": PARTS, "train": ("train", "validation")}.get(clip.split, (clip.split,))

    def test_missing_folder_is_named(self, tmp_path: Path, others: Path) -> None:
        with pytest.raises(DataError, match=self.missing) as refused:
            self.clips(tmp_path / "absent" / self.path)
        assert "\n" not in str(refused.value)

    def test_folder_without_the_corpus_is_refused(self, tmp_path: Path) -> None:
        self.build_empty(tmp_path / "empty")
        with pytest.raises(DataError, match=self.empty) as refused:
            self.clips(tmp_path / "empty" / self.path)
        assert "\n" not in str(refused.value)
        assert "empty" in str(refused.value)

    def build_empty(self, root: Path) -> None:
        root.mkdir()
        (root / "readme.txt").touch()

    def test_it_can_be_prepared(self, root: Path, others: Path, tmp_path: Path) -> None:
        settings = self.settings(root / self.path, others)
        data = prepare(settings, tmp_path / "cache")
        assert isinstance(data, PreparedData)
        for frames in (data.train, data.validation.frames, data.test.frames):
            assert frames.windows.size > 0
            assert np.isfinite(frames.features).all()
        assert (data.validation.noisy_stoi > 0.05).all()
        assert np.isfinite(data.validation.snr_db).all()

        moved = tmp_path / "moved" / "again"
        shutil.copytree(root, moved / root.name)
        again = prepare(self.settings(moved / root.name / self.path, others), tmp_path / "another")
        assert again.digest == data.digest
        np.testing.assert_array_equal(again.validation.noisy, data.validation.noisy)


class ToBeMixedContract(CorpusContract):
    """Of a corpus in `data.speech` or `data.noise`."""

    cache: Path = Path("no-cache")
    read: ClassVar[Callable[..., list[Clip]]]

    def corpus(self, place: Path, limit: int | None = None) -> CorpusSettings:
        return CorpusSettings(self.kind, place, limit)

    def clips(self, place: Path, limit: int | None = None) -> list[Clip]:
        return type(self).read(self.corpus(place, limit), self.cache)


class SpeechContract(ToBeMixedContract):
    """Of a corpus in `data.speech`: the group is the speaker."""

    read = staticmethod(read_speech)

    def settings(self, place: Path, others: Path) -> DataSettings:
        noise = CorpusSettings("folder", others / "noise")
        return DataSettings(speech=(self.corpus(place),), noise=(noise,))

    def splits(self, clip: Clip) -> str:
        return clip.group

    def test_utterances_have_names_and_sexes(self, root: Path) -> None:
        clips = self.clips(root / self.path)
        assert len({clip.source for clip in clips}) == len(clips)
        assert {clip.label for clip in clips} <= {"female", "male", "unknown"}

    def test_limit_is_of_speakers(self, root: Path) -> None:
        kept = self.clips(root / self.path, limit=2)
        assert len({clip.group for clip in kept}) == 2


class NoiseContract(ToBeMixedContract):
    """Of a corpus in `data.noise`: the group is the class, the source the recording."""

    read = staticmethod(read_noise)

    def settings(self, place: Path, others: Path) -> DataSettings:
        speech = CorpusSettings("folder", others / "speech")
        return DataSettings(speech=(speech,), noise=(self.corpus(place),), mixtures_per_utterance=4)

    def splits(self, clip: Clip) -> str:
        return clip.source

    def test_classes_are_words(self, root: Path) -> None:
        assert all(clip.group.replace("_", "").isalnum() for clip in self.clips(root / self.path))

    def test_limit_is_of_recordings_per_class(self, root: Path) -> None:
        kept = self.clips(root / self.path, limit=1)
        assert {clip.group for clip in kept} == {clip.group for clip in self.clips(root / self.path)}
        assert set(Counter(group for group, _ in {(clip.group, clip.source) for clip in kept}).values()) == {1}


class PairContract(CorpusContract):
    """Of a corpus in `data.pairs`: the clean clip's group is the speaker."""

    def pair_settings(self, place: Path) -> PairSettings:
        return PairSettings(self.kind, place)

    def settings(self, place: Path, others: Path) -> DataSettings:
        return DataSettings(pairs=(self.pair_settings(place),))

    def clips(self, place: Path) -> list[Clip]:
        return [pair.clean for pair in read_pairs(self.pair_settings(place))]

    def splits(self, clip: Clip) -> str:
        return clip.group

    def test_both_files_are_in_one_part(self, root: Path) -> None:
        pairs = read_pairs(self.pair_settings(root / self.path))
        for pair in pairs:
            assert pair.clean.path != pair.noise.path
            assert pair.noise.path.is_file()
            assert pair.clean.split == pair.noise.split

    def test_given_mixtures_are_heard_as_they_are(self, root: Path, others: Path, tmp_path: Path) -> None:
        from wordlength.objectives.audio.files import read_audio

        settings = self.settings(root / self.path, others)
        data = prepare(settings, tmp_path / "cache")
        plan = plan_of(settings, read_material(settings, tmp_path / "cache"))
        assert len(plan.test) == len(data.test) > 0
        for index, mixture in enumerate(plan.test):
            clean, noisy = data.test.mixture(index)
            if mixture.given:
                np.testing.assert_array_equal(clean, read_audio(mixture.clean.path))
                np.testing.assert_array_equal(noisy, read_audio(mixture.noise.path))

    def test_unequal_lengths_are_refused_by_name(self, root: Path, others: Path, tmp_path: Path) -> None:
        """In whatever part: also where no STOI is measured."""
        given = [pair for pair in read_pairs(self.pair_settings(root / self.path)) if pair.given]
        assert given
        for pair in given:
            write(pair.noise.path, voice(7, 0.7) + hiss(7, 0.7))
        with pytest.raises(DataError, match=r"must be equally long, but got 11200 and 12800 samples at 16000 Hz \("):
            prepare(self.settings(root / self.path, others), tmp_path / "cache")

    def test_shifted_files_are_refused_by_name(self, root: Path, others: Path, tmp_path: Path) -> None:
        given = [pair for pair in read_pairs(self.pair_settings(root / self.path)) if pair.given]
        for number, pair in enumerate(given):
            speech = voice(50 + number, 1)
            write(pair.clean.path, speech)
            write(pair.noise.path, np.roll(speech, 20) + hiss(number, 1) / 2)
        with pytest.raises(DataError, match=r"must be aligned, but the noisy one is 20 samples at 16000 Hz late \("):
            prepare(self.settings(root / self.path, others), tmp_path / "cache")
