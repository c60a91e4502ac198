"""What is heard of a mixture."""

import numpy as np
import pytest

from wordlength.errors import SpecError
from wordlength.objectives.audio import CorpusSettings, DataSettings, PreparedData, TargetSettings
from wordlength.objectives.audio.scoring import intelligibility
from wordlength.objectives.listening import EXTREMES, Ear, HeardClip, extreme, require_sound


@pytest.fixture(scope="module")
def clip(tiny_data: PreparedData) -> HeardClip:
    """The second test mixture, with the ideal mask, and with none."""
    ideal = tiny_data.test.frames.targets[tiny_data.test.frames.windows_of(1)]
    return Ear(tiny_data.test).clip(1, {"ideal": ideal, "open": np.ones_like(ideal)})


def test_a_clip_holds_the_mixture_and_what_each_network_makes_of_it(clip: HeardClip, tiny_data: PreparedData) -> None:
    clean, noisy, ideal, through = clip.sounds
    assert [sound.name for sound in clip.sounds] == ["clean", "noisy", "ideal", "open"]
    wanted = tiny_data.test.mixture(1)
    np.testing.assert_array_equal(clean.samples, wanted[0])
    np.testing.assert_array_equal(noisy.samples, wanted[1])
    np.testing.assert_allclose(through.samples, noisy.samples, atol=1e-5)
    assert noisy.stoi == pytest.approx(intelligibility(*wanted, 16000), abs=1e-12)
    assert clean.stoi == 1
    assert ideal.stoi > noisy.stoi + 0.05
    np.testing.assert_array_equal(clip.targets, ideal.outputs)
    assert clip.seconds == 1.5
    assert clip.name == f"{clip.utterance} + {clip.noise_class} {clip.name.split()[3]} at 0 dB"


def test_one_gain_brings_the_loudest_sound_to_one_decibel_below_full_scale(clip: HeardClip) -> None:
    peaks = [float(np.abs(sound.samples).max()) for sound in clip.sounds]
    assert max(peaks) > min(peaks) * 1.1
    assert clip.gain * max(peaks) == pytest.approx(10 ** (-1 / 20), rel=1e-6)


def test_improvements_are_those_of_the_clips(clip: HeardClip, tiny_data: PreparedData) -> None:
    frames, told = tiny_data.test.frames, []
    gains = Ear(tiny_data.test).improvements(
        lambda number: frames.targets[frames.windows_of(number)], lambda *done: told.append(done)
    )
    assert gains[1] == pytest.approx(clip.sounds[2].stoi - clip.sounds[1].stoi, abs=1e-9)
    assert told == [(number + 1, len(gains)) for number in range(len(tiny_data.test))]


@pytest.mark.parametrize(
    ("improvements", "numbers"), [([0.2, -0.1, 0.3, 0.0], (1, 3, 2)), ([0.5], (0, 0, 0)), ([0.1, 0.1, 0.1], (0, 1, 2))]
)
def test_extremes(improvements: list[float], numbers: tuple[int, ...]) -> None:
    assert tuple(extreme(improvements, which) for which in EXTREMES) == numbers


def test_scores_are_no_sound(tmp_path) -> None:
    corpora = (CorpusSettings("folder", tmp_path),)
    require_sound(DataSettings(speech=corpora, noise=corpora))
    require_sound(DataSettings(speech=corpora, noise=corpora, target=TargetSettings("spectrum")))
    with pytest.raises(SpecError, match=r"learns the target 'score' \(data.target\)"):
        require_sound(DataSettings(speech=corpora, noise=corpora, target=TargetSettings("score")))
