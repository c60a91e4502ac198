import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.errors import DataError
from wordlength.objectives.audio import splits
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.mixing import Mixture, mix, plan_mixtures, representative_subset
from wordlength.objectives.audio.splits import Split, require_disjoint, split_groups


def voice(speaker: str, utterance: int = 0, sex: str = "unknown") -> Clip:
    return Clip(Path(f"{speaker}-{utterance}.wav"), "test", speaker, f"{speaker}/{utterance}", sex)


def sound(kind: str, recording: int, part: int = 0) -> Clip:
    return Clip(Path(f"{kind}-{recording}-{part}.wav"), "test", kind, f"{kind}/{recording}", "fold1")


def voices(females: int, males: int, utterances: int = 2) -> list[Clip]:
    names = [(f"f{k}", "female") for k in range(females)] + [(f"m{k}", "male") for k in range(males)]
    return [voice(name, number, sex) for name, sex in names for number in range(utterances)]


def sounds(classes: int, recordings: int, parts: int = 1) -> list[Clip]:
    return [sound(f"c{c}", r, p) for c in range(classes) for r in range(recordings) for p in range(parts)]


def snr_of(clean: np.ndarray, noisy: np.ndarray) -> float:
    noise = noisy.astype(np.float64) - clean
    return float(10 * np.log10(np.mean(clean.astype(np.float64) ** 2) / np.mean(noise**2)))


class TestSplit:
    def test_ten_speakers_become_six_two_two_with_both_sexes_everywhere(self) -> None:
        split = split_groups(voices(5, 5), by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=0)
        speakers = [{clip.group for clip in part} for part in (split.train, split.validation, split.test)]
        assert [len(part) for part in speakers] == [6, 2, 2]
        for part in (split.train, split.validation, split.test):
            assert {clip.label for clip in part} == {"female", "male"}

    def test_rounding_within_the_sexes_does_not_add_up(self) -> None:
        split = split_groups(voices(8, 8), by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=0)
        parts = (split.train, split.validation, split.test)
        assert [len({clip.group for clip in part}) for part in parts] == [10, 3, 3]

    def test_every_split_passes_the_guard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        guarded: list[Split] = []
        monkeypatch.setattr(splits, "require_disjoint", lambda split, by: guarded.append(split))
        split = split_groups(voices(2, 2), by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=0)
        assert guarded == [split]

    def test_every_class_of_three_recordings_is_in_all_parts(self) -> None:
        clips = sounds(classes=7, recordings=3, parts=2)
        split = split_groups(clips, by="recording", validation_fraction=0.2, test_fraction=0.2, seed=4)
        for part in (split.train, split.validation, split.test):
            assert {clip.group for clip in part} == {f"c{k}" for k in range(7)}

    def test_small_classes_are_drawn_from_together(self) -> None:
        clips = sounds(classes=10, recordings=1)
        split = split_groups(clips, by="recording", validation_fraction=0.2, test_fraction=0.2, seed=0)
        assert [len(part) for part in (split.train, split.validation, split.test)] == [6, 2, 2]

    @given(
        females=st.integers(0, 12),
        males=st.integers(0, 12),
        validation=st.floats(0.01, 0.6),
        test=st.floats(0.01, 0.39),
        seed=st.integers(0, 9),
    )
    def test_parts_are_disjoint_complete_and_never_empty(
        self, females: int, males: int, validation: float, test: float, seed: int
    ) -> None:
        clips = voices(females, males)
        if females + males < 3:
            with pytest.raises(DataError, match="splits need at least 3 speakers"):
                split_groups(clips, by="speaker", validation_fraction=validation, test_fraction=test, seed=seed)
            return
        split = split_groups(clips, by="speaker", validation_fraction=validation, test_fraction=test, seed=seed)
        parts = [{clip.group for clip in part} for part in (split.train, split.validation, split.test)]
        assert all(parts)
        assert sum(len(part) for part in parts) == len(set.union(*parts)) == females + males
        assert Counter((*split.train, *split.validation, *split.test)) == Counter(clips)

    def test_seed_decides(self) -> None:
        def split(seed: int) -> Split:
            return split_groups(voices(6, 6), by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=seed)

        assert split(1) == split(1)
        assert len({split(seed).test for seed in range(8)}) > 1

    def test_too_few_speakers_are_named(self) -> None:
        with pytest.raises(DataError, match=r"splits need at least 3 speakers, but got 2 \(f0, m0\)"):
            split_groups(voices(1, 1), by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=0)

    def test_too_few_recordings_are_named(self) -> None:
        with pytest.raises(DataError, match=r"splits need at least 3 recordings, but got 1 \(c0/0\)"):
            split_groups(sounds(1, 1, 9), by="recording", validation_fraction=0.2, test_fraction=0.2, seed=0)

    def test_no_clips_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"splits need at least 3 speakers, but got 0 \(no clips\)"):
            split_groups([], by="speaker", validation_fraction=0.2, test_fraction=0.2, seed=0)

    def test_shared_speaker_is_refused(self) -> None:
        split = Split((voice("ann", 0),), (voice("bob"),), (voice("ann", 1),))
        with pytest.raises(DataError, match="must share no speaker, but train and test share ann"):
            require_disjoint(split, by="speaker")

    def test_shared_recording_is_refused(self) -> None:
        split = Split((sound("a", 0, 0),), (sound("a", 0, 1),), (sound("a", 1),))
        with pytest.raises(DataError, match="must share no recording, but train and validation share a/0"):
            require_disjoint(split, by="recording")


class TestMix:
    @given(
        snr_db=st.floats(-30, 30),
        speech_samples=st.integers(200, 3000),
        noise_samples=st.integers(50, 3000),
        seed=st.integers(0, 99),
        loudness=st.sampled_from([0.001, 0.1, 1.0]),
    )
    def test_snr_is_exact(
        self, snr_db: float, speech_samples: int, noise_samples: int, seed: int, loudness: float
    ) -> None:
        rng = np.random.default_rng(seed)
        speech = (loudness * rng.uniform(-1, 1, speech_samples)).astype(np.float32)
        noise = rng.uniform(-1, 1, noise_samples).astype(np.float32)
        clean, noisy = mix(speech, noise, snr_db, rng)
        assert clean.shape == noisy.shape == speech.shape
        assert clean.dtype == noisy.dtype == np.float32
        # Only rounding to float32 is left: it weighs most where the noise is 30 dB below the speech.
        assert snr_of(clean, noisy) == pytest.approx(snr_db, abs=1e-3)
        assert np.abs(noisy).max() <= 1

    def test_quiet_mixture_leaves_the_speech_as_it_is(self) -> None:
        rng = np.random.default_rng(0)
        speech = rng.uniform(-0.1, 0.1, 1000).astype(np.float32)
        clean, _ = mix(speech, rng.uniform(-1, 1, 5000).astype(np.float32), 0.0, rng)
        np.testing.assert_array_equal(clean, speech)

    def test_loud_mixture_is_scaled_as_a_whole(self) -> None:
        rng = np.random.default_rng(0)
        speech = rng.uniform(-1, 1, 1000).astype(np.float32)
        clean, noisy = mix(speech, rng.uniform(-1, 1, 5000).astype(np.float32), 0.0, rng)
        assert np.abs(noisy).max() == pytest.approx(1, abs=1e-6)
        ratio = clean / speech
        assert ratio.max() < 0.9
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)

    def test_noise_is_a_segment_of_the_clip(self) -> None:
        speech = np.full(100, 0.1, np.float32)
        noise = np.linspace(-1, 1, 1000, dtype=np.float32)
        clean, noisy = mix(speech, noise, 20.0, np.random.default_rng(3))
        steps = np.diff(noisy - clean)  # no wrap: a ramp stays a ramp
        assert steps.min() > 0

    def test_short_noise_is_repeated(self) -> None:
        speech = np.full(1000, 0.1, np.float32)
        noise = np.random.default_rng(0).uniform(-1, 1, 64).astype(np.float32)
        clean, noisy = mix(speech, noise, 0.0, np.random.default_rng(1))
        added = noisy - clean
        np.testing.assert_allclose(added[64:], added[:-64], atol=1e-6)

    def test_offsets_vary_with_the_generator(self) -> None:
        speech = np.full(100, 0.1, np.float32)
        noise = np.random.default_rng(0).uniform(-1, 1, 4000).astype(np.float32)
        drawn = {mix(speech, noise, 0.0, np.random.default_rng(seed))[1].tobytes() for seed in (1, 1, 2, 3)}
        assert len(drawn) == 3

    @pytest.mark.parametrize("bang", [0, 5000, 39999])
    def test_silent_stretches_of_the_noise_are_avoided(self, bang: int) -> None:
        noise = np.zeros(40000, np.float32)
        noise[bang : bang + 10] = 0.9  # one bang in much digital silence: nearly every offset misses it
        for seed in range(5):
            clean, noisy = mix(np.full(50, 0.1, np.float32), noise, 0.0, np.random.default_rng(seed))
            assert snr_of(clean, noisy) == pytest.approx(0, abs=1e-3)


class TestPlan:
    @given(utterances=st.integers(1, 30), each=st.integers(1, 4), classes=st.integers(1, 6), levels=st.integers(1, 4))
    def test_counts_are_balanced(self, utterances: int, each: int, classes: int, levels: int) -> None:
        speech = [voice("ann", number) for number in range(utterances)]
        snr_db = [5.0 * level for level in range(levels)]
        plan = plan_mixtures(speech, sounds(classes, 3), snr_db, each, seed=1)
        assert [mixture.clean for mixture in plan] == [clip for clip in speech for _ in range(each)]
        counts = Counter(mixture.noise_class for mixture in plan)
        used = [counts[f"c{k}"] for k in range(classes)]
        assert max(used) - min(used) <= 1
        for kind in range(classes):
            of_class = [mixture for mixture in plan if mixture.noise_class == f"c{kind}"]
            by_level = [sum(mixture.snr_db == level for mixture in of_class) for level in snr_db]
            assert max(by_level) - min(by_level) <= 1
            by_clip = Counter(mixture.noise for mixture in of_class)
            assert max(by_clip.values(), default=0) - (min(by_clip.values()) if len(by_clip) == 3 else 0) <= 1

    def test_an_utterance_hears_different_classes(self) -> None:
        plan = plan_mixtures(voices(3, 3), sounds(5, 2), [0.0], 3, seed=0)
        for _, group in itertools.groupby(plan, key=lambda mixture: mixture.clean.source):
            assert len({mixture.noise_class for mixture in group}) == 3

    def test_a_clip_meets_every_level_in_the_end(self) -> None:
        plan = plan_mixtures([voice("ann", k) for k in range(36)], sounds(1, 6), [0.0, 5.0, 10.0], 1, seed=0)
        pairs = {(mixture.noise.source, mixture.snr_db) for mixture in plan}
        assert len(pairs) == 18

    def test_plan_depends_on_the_seed_only(self) -> None:
        one, same, other = (plan_mixtures(voices(2, 2), sounds(3, 3), [0.0], 2, seed) for seed in (1, 1, 2))
        assert one == same
        assert one != other
        assert len({mixture.seed for mixture in one}) == len(one)

    def test_name_says_what_is_heard(self) -> None:
        mixture = Mixture(voice("ann", 3), sound("siren", 7), -5.0, seed=0)
        assert mixture.name == "ann/3 + siren siren/7 at -5 dB"
        assert (mixture.speaker, mixture.noise_class) == ("ann", "siren")


class TestSubset:
    @given(
        speakers=st.integers(1, 6),
        classes=st.integers(1, 6),
        utterances=st.integers(1, 12),
        fraction=st.floats(0.05, 1.0),
        seed=st.integers(0, 5),
    )
    def test_every_stratum_keeps_its_share(
        self, speakers: int, classes: int, utterances: int, fraction: float, seed: int
    ) -> None:
        speech = [voice(f"s{s}", number) for s in range(speakers) for number in range(utterances)]
        plan = plan_mixtures(speech, sounds(classes, 3), [0.0], 2, seed)
        chosen = representative_subset(plan, fraction, seed)
        assert len(chosen) == max(1, math.floor(fraction * len(plan) + 0.5))
        assert np.all(np.diff(chosen) > 0)
        whole = Counter((mixture.speaker, mixture.noise_class) for mixture in plan)
        kept = Counter((plan[index].speaker, plan[index].noise_class) for index in chosen)
        for stratum, count in whole.items():
            assert math.floor(fraction * count + 1e-9) <= kept[stratum] <= math.ceil(fraction * count - 1e-9)

    def test_speakers_and_classes_are_represented_where_strata_are_small(self) -> None:
        speech = [voice(f"s{s}", number) for s in range(6) for number in range(10)]
        plan = plan_mixtures(speech, sounds(12, 3), [0.0], 1, seed=0)
        chosen = representative_subset(plan, 0.25, seed=0)
        speakers = Counter(plan[index].speaker for index in chosen)
        classes = Counter(plan[index].noise_class for index in chosen)
        assert len(chosen) == 15
        assert set(speakers.values()) <= {2, 3}
        assert len(speakers) == 6
        assert set(classes.values()) <= {1, 2}
        assert len(classes) == 12

    def test_at_least_one_is_kept(self) -> None:
        plan = plan_mixtures([voice("ann")], sounds(1, 1), [0.0], 1, seed=0)
        assert representative_subset(plan, 0.01, seed=0).tolist() == [0]

    def test_whole_share_is_everything(self) -> None:
        plan = plan_mixtures(voices(2, 2), sounds(2, 2), [0.0], 1, seed=0)
        assert representative_subset(plan, 1.0, seed=0).tolist() == list(range(len(plan)))
