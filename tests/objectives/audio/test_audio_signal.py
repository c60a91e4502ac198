"""data.features and data.target: which values are refused, which give other data, and what a window holds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordlength.errors import DataError, SpecError
from wordlength.objectives.audio import CorpusSettings, DataSettings, FeatureSettings, TargetSettings, prepare
from wordlength.objectives.audio.dataset import _digest
from wordlength.objectives.audio.planning import Material
from wordlength.objectives.audio.prepared import join_frames, join_segments
from wordlength.objectives.shape import NetworkShape
from wordlength.search.study_file.spec import load_spec, parse_spec

BUILTIN = (CorpusSettings("builtin"),)


def data_of(features: FeatureSettings | None = None, target: TargetSettings | None = None) -> DataSettings:
    return DataSettings(BUILTIN, BUILTIN, features=features or FeatureSettings(), target=target or TargetSettings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mfcc"}, "features kind must be one of log_mel, log_spectrum, but got 'mfcc'"),
        ({"sample_rate_hz": 7999}, "sample_rate_hz must be between 8000 and 48000, but got 7999"),
        ({"sample_rate_hz": 48001}, "sample_rate_hz must be .* but got 48001"),
        ({"frame_samples": 15}, "frame_samples must be between 16 and 16384, but got 15"),
        ({"hop_samples": 0}, r"hop_samples must be between 1 and 128 \(half a frame\), but got 0"),
        ({"hop_samples": 129}, r"hop_samples must be between 1 and 128 \(half a frame\), but got 129"),
        ({"hop_samples": 100}, "hop_samples must divide frame_samples, but got 100 for frames of 256"),
        ({"mel_bins": 0}, r"mel_bins must be between 1 and 129 \(the bins of a frame of 256 samples\), but got 0"),
        ({"mel_bins": 130}, "mel_bins must be between 1 and 129 .* but got 130"),
        ({"frame_samples": 64, "hop_samples": 32}, "mel_bins must be between 1 and 33 .* but got 64"),
        ({"kind": "log_spectrum", "mel_bins": 64}, "mel_bins must be left out for kind log_spectrum, but got 64"),
        ({"look_back": -1}, "look_back must be between 0 and 1000, but got -1"),
        ({"look_ahead": 1001}, "look_ahead must be between 0 and 1000, but got 1001"),
    ],
)
def test_features_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}$"):
        FeatureSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "crm"}, "target kind must be one of irm, ibm, psm, spectrum, score, but got 'crm'"),
        ({"criterion_db": 3.0}, "criterion_db must be left out for target kind irm, but got 3.0"),
        ({"kind": "spectrum", "measure": "stoi"}, "measure must be left out for target kind spectrum, but got stoi"),
        ({"segment_seconds": 9.0}, "segment_seconds must be left out for target kind irm, but got 9.0"),
        ({"kind": "score", "measure": "mos"}, "target measure must be one of stoi, pesq, but got 'mos'"),
        ({"kind": "ibm", "criterion_db": 61.0}, "criterion_db must be between -60 and 60, but got 61.0"),
        ({"kind": "score", "segment_seconds": 0.0}, "segment_seconds must be between 0.1 and 60, but got 0.0"),
    ],
)
def test_targets_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}$"):
        TargetSettings(**changes)


@pytest.mark.parametrize("name", ["look_back", "look_ahead"])
def test_windows_of_segments_cannot_be_set_by_frames(name: str) -> None:
    message = f"{name} must be left out for target kind score, but got 4; see segment_seconds"
    with pytest.raises(DataError, match=message):
        data_of(FeatureSettings(**{name: 4}), TargetSettings("score"))


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (data_of(), NetworkShape(16, 64, 129)),
        (data_of(FeatureSettings(look_back=3, look_ahead=2, mel_bins=20)), NetworkShape(6, 20, 129)),
        (
            data_of(FeatureSettings("log_spectrum", 8000, 160, 40, look_back=0), TargetSettings("spectrum")),
            NetworkShape(1, 81, 81),
        ),
        (data_of(target=TargetSettings("score", segment_seconds=2.0)), NetworkShape(250, 64, 1)),
        (data_of(target=TargetSettings("score")), NetworkShape(1125, 64, 1)),
    ],
)
def test_the_shape_of_a_network_is_that_of_the_data(data: DataSettings, shape: NetworkShape) -> None:
    assert data.shape == shape


OTHER_DATA = [
    data_of(FeatureSettings(**changes))
    for changes in (
        {"kind": "log_spectrum"},
        {"sample_rate_hz": 8000},
        {"frame_samples": 512},
        {"hop_samples": 64},
        {"mel_bins": 63},
        {"look_back": 14},
        {"look_ahead": 1},
    )
] + [
    data_of(target=TargetSettings(**changes))
    for changes in (
        {"kind": "ibm"},
        {"kind": "ibm", "criterion_db": -5.0},
        {"kind": "psm"},
        {"kind": "spectrum"},
        {"kind": "score"},
        {"kind": "score", "measure": "pesq"},
        {"kind": "score", "segment_seconds": 5.0},
    )
]


def digest_of(data: DataSettings) -> str:
    """Of settings alone, without any audio."""
    return _digest(data, Material((), ()), {})


def test_every_setting_has_a_digest_of_its_own() -> None:
    digests = {digest_of(data) for data in (data_of(), *OTHER_DATA)}
    assert len(digests) == len(OTHER_DATA) + 1 == 15


def test_defaults_written_out_are_the_same_data() -> None:
    features = FeatureSettings(mel_bins=64, look_back=15, look_ahead=0)
    assert digest_of(data_of(features)) == digest_of(data_of())
    chosen, default = TargetSettings("score", measure="stoi", segment_seconds=9.0), TargetSettings("score")
    assert _digest(data_of(target=chosen), Material((), ()), {}) == _digest(
        data_of(target=default), Material((), ()), {}
    )


STUDY = "name: s\ndata:\n  speech: [{kind: builtin}]\n  noise: [{kind: builtin}]\n"


def test_a_study_file_names_them() -> None:
    text = STUDY + "  features: {sample_rate_hz: 8000, look_ahead: 2}\n  target: {kind: ibm, criterion_db: -5}\n"
    spec = parse_spec(text, Path("s.yaml"))
    assert spec.data.features == FeatureSettings(sample_rate_hz=8000, look_ahead=2)
    assert spec.data.target == TargetSettings("ibm", criterion_db=-5)
    assert {"features", "target"} <= spec.fingerprint()["data"].keys()
    assert parse_spec(STUDY, Path("s.yaml")).data == data_of()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("features: {hop_samples: 100}", r"hop_samples must divide .* for frames of 256 \(data\.features in s\.yaml\)"),
        ("target: {kind: score, measure: mos}", r"must be 'stoi' or 'pesq', but got 'mos' \(data\.target\.measure in"),
        ("features: {mel_bins: true}", r"must be a number, but got True \(data\.features\.mel_bins in s\.yaml\)"),
        ("features: {hop_sample: 64}", r"did you mean 'hop_samples'\? \(data\.features\.hop_sample in s\.yaml\)"),
    ],
)
def test_errors_name_the_place_in_the_study_file(lines: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(f"{STUDY}  {lines}\n", Path("s.yaml"))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 3), (15, 4)])
def test_windows_hold_the_frames_around_the_current_one(before: int, after: int) -> None:
    """Each frame's feature tells its mixture and time, so a window is known by what it holds."""
    lengths = (5, 1, 7)
    blocks = [np.float32([[100 * mixture + time] for time in range(n)]) for mixture, n in enumerate(lengths)]
    frames = join_frames(blocks, [-block for block in blocks], before, after)
    assert (frames.before, frames.after) == (before, after)
    assert len(frames.features) == sum(lengths) + len(lengths) * (before + after)
    held = frames.features[frames.windows[:, np.newaxis] + np.arange(-before, after + 1)][..., 0]
    wanted = [
        [100 * mixture + min(max(time + step, 0), n - 1) for step in range(-before, after + 1)]
        for mixture, n in enumerate(lengths)
        for time in range(n)
    ]
    np.testing.assert_array_equal(held, wanted)
    np.testing.assert_array_equal(frames.targets[frames.windows][:, 0], [-row[before] for row in wanted])
    assert frames.mixture_of_window.tolist() == [0] * 5 + [1] + [2] * 7
    np.testing.assert_array_equal(frames.features[frames.windows_of(2)][:, 0], 200 + np.arange(7))


def test_segments_lie_end_to_end() -> None:
    blocks = [np.arange(6, dtype=np.float32)[:, np.newaxis], 100 + np.arange(3, dtype=np.float32)[:, np.newaxis]]
    frames = join_segments(blocks, blocks, 3)
    assert (frames.before, frames.after) == (2, 0)
    assert frames.windows.tolist() == [2, 5, 8]
    assert frames.mixture_of_window.tolist() == [0, 0, 1]


def test_training_windows_are_those_of_the_frames(tensorflow: Any) -> None:
    from wordlength.objectives.training import Windows

    block = np.arange(8, dtype=np.float32).reshape(4, 2)
    windows = Windows.of(join_frames([block], [block], before=1, after=2))
    held = windows.inputs(windows.current).numpy()
    assert held.shape == (4, 4, 2)
    np.testing.assert_array_equal(held[0], block[[0, 0, 1, 2]])
    np.testing.assert_array_equal(held[3], block[[2, 3, 3, 3]])
    np.testing.assert_array_equal(windows.wanted(windows.current), block)


def test_fewer_large_windows_are_predicted_at_a_time() -> None:
    from wordlength.objectives.training import Windows

    def batch(before: int, bins: int) -> int:
        empty = np.zeros((1, bins), np.float32)
        return Windows(empty, empty, np.zeros(1, np.int32), before, 0).prediction_batch

    assert batch(15, 64) == batch(0, 1) == 128
    assert 1 < batch(99, 64) < 128
    assert batch(2000, 129) == 1


def test_pesq_must_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("wordlength.objectives.audio.scoring.find_spec", lambda name: None)
    data = data_of(target=TargetSettings("score", measure="pesq"))
    with pytest.raises(
        DataError,
        match=r"^measure pesq needs the package pesq, but it is not installed; pip install \"wordlength\[pesq\]\"",
    ):
        prepare(data, tmp_path)


def test_examples_keep_the_case_study() -> None:
    for file in sorted((Path(__file__).parents[3] / "examples").glob("*.yaml")):
        if file.stem in ("demo", "klein"):
            assert load_spec(file).data.shape == NetworkShape(16, 64, 129)
            assert dataclasses.asdict(load_spec(file).data.features) == dataclasses.asdict(FeatureSettings())
