"""What the rooms' tests share: TensorFlow started once, and a study so small that a trial takes a second."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from wordlength.objectives.audio import SAMPLE_RATE_HZ, CorpusSettings, DataSettings, PreparedData, prepare
from wordlength.objectives.models import IrmCnn, ModelSettings
from wordlength.objectives.settings import AnalysisSettings, EvaluationSettings, GateSettings, TrainingSettings

# Of whoever runs the tests, before the commands read it: how wide and coloured the terminal is, where studies lie.
_OF_THE_SHELL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "GITHUB_ACTIONS")
for _name in (*_OF_THE_SHELL, "WORDLENGTH_HOME"):
    os.environ.pop(_name, None)
_REAL_DATA = os.environ.pop("WORDLENGTH_DATA", None)

REPOSITORY = Path(__file__).parents[1]
TINY_STUDY = """
name: {name}
data_root: {root}
data:
  speech: [{{kind: folder, path: speech}}]
  noise: [{{kind: folder, path: noise}}]
  subset_fraction: 0.5
model: {{filters: [2, 2, 2, 2, 2, 2], dense: [8, 8]}}
training: {{baseline_epochs: 1, batch_size: 64, learning_rate: 0.01}}
analysis: {{windows: 32}}
gate: {{overflow: {overflow}, underflow: 1, precision: 1}}
space:
  weights: {{fixed: {{bits: [3, 6], offset: [0, 1]}}, po2: {{bits: [3, 4]}}}}
  activations: fixed<16,4>
search: {{trials: 6, first_front: 0, allocated: 0, startup_trials: 2}}
"""

# No deadline: a busy machine, or the first call of a graph, says nothing about the code.
settings.register_profile("wordlength", deadline=None)
settings.load_profile("wordlength")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real corpora; skips where there is none."""
    folder = Path(_REAL_DATA or REPOSITORY.parent / "shared" / "data")
    if not (folder / "timit").is_dir():
        pytest.skip(f"no timit folder in {os.path.relpath(folder)} (WORDLENGTH_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def tensorflow() -> ModuleType:
    """TensorFlow, with one thread and without its chatter."""
    from wordlength.objectives.quiet import start_tensorflow

    start_tensorflow(threads=1, verbose=False)
    import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def ray_session():
    """Local Ray with two cores; `WorkerPool` joins it and leaves it running."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def _voice(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Syllables of a buzz, about four a second, quiet enough for no pause that STOI would remove."""
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * rng.uniform(90, 240) * (time + 0.01 * np.sin(5 * time))
    buzz = sum(rng.uniform(0.2, 1) * np.sin(k * phase) / k for k in range(1, 20))
    return 0.1 * buzz * (0.15 + np.sin(4 * np.pi * time + rng.uniform(0, 6)) ** 2)


def _write(file: Path, samples: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, SAMPLE_RATE_HZ)


@pytest.fixture(scope="session")
def tiny_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `speech` (6 speakers, 2 clips of 1.5 s each) and `noise` (2 classes, 4 recordings each)."""
    root = tmp_path_factory.mktemp("tiny_corpora")
    for speaker in range(6):
        for number in range(2):
            rng = np.random.default_rng([speaker, number])
            _write(root / "speech" / f"speaker{speaker}" / f"{number}.wav", _voice(1.5, rng))
    for number in range(4):
        noise = 0.1 * np.random.default_rng(number).standard_normal(2 * SAMPLE_RATE_HZ).clip(-4, 4)
        _write(root / "noise" / "white" / f"{number}.wav", noise)
        _write(root / "noise" / "rumble" / f"{number}.wav", np.convolve(noise, np.ones(16) / 4, "same").clip(-1, 1))
    return root


@pytest.fixture(scope="session")
def write_study(tmp_path_factory: pytest.TempPathFactory, tiny_corpora: Path) -> Callable[..., Path]:
    """Writes a tiny study file into a folder of its own, with text replaced as asked for, and returns its path."""

    def write(*replacements: tuple[str, str], name: str = "tiny", overflow: float = 1.0) -> Path:
        text = TINY_STUDY.format(name=name, root=tiny_corpora, overflow=overflow)
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the study file"
            text = text.replace(old, new)
        path = tmp_path_factory.mktemp("study") / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `wordlength ARGUMENTS` in this process: exit status, standard output, standard error."""
    from wordlength.search.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wordlength", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def builtin_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache into which the built-in corpus has been rendered, which takes a few seconds."""
    pytest.importorskip("espeakng_loader")
    from wordlength.objectives.audio import builtin

    folder = tmp_path_factory.mktemp("builtin")
    builtin.render(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data_settings(tiny_corpora: Path) -> DataSettings:
    """One mixture of every clip at 0 dB; half of the training mixtures are the representative subset."""
    return DataSettings(
        speech=(CorpusSettings("folder", tiny_corpora / "speech"),),
        noise=(CorpusSettings("folder", tiny_corpora / "noise"),),
        subset_fraction=0.5,
    )


@pytest.fixture(scope="session")
def study_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's data and baseline are cached."""
    return tmp_path_factory.mktemp("study_cache")


@pytest.fixture(scope="session")
def tiny_data(tiny_data_settings: DataSettings, study_cache: Path) -> PreparedData:
    """Prepared data of a few hundred windows: 8 mixtures to train on, 2 to validate."""
    data = prepare(tiny_data_settings, study_cache)
    assert data.train.windows.size > data.subset_windows.size > 0
    assert len(data.validation) == 2
    return data


@pytest.fixture(scope="session")
def tiny_model_settings() -> ModelSettings:
    """The case study's shape with two filters per convolution."""
    return IrmCnn(filters=(2, 2, 2, 2, 2, 2), dense=(8, 8))


@pytest.fixture(scope="session")
def tiny_training_settings() -> TrainingSettings:
    """One epoch of everything, with step sizes at which one epoch learns something."""
    return TrainingSettings(
        baseline_epochs=1,
        step_one_epochs=1,
        step_two_epochs=1,
        batch_size=64,
        learning_rate=1e-2,
        quantized_learning_rate=1e-2,
    )


@pytest.fixture(scope="session")
def tiny_settings(tiny_model_settings: ModelSettings, tiny_training_settings: TrainingSettings) -> EvaluationSettings:
    """Tiny model and training, 32 analysed windows, and the default gate, which sane formats pass."""
    return EvaluationSettings(
        model=tiny_model_settings,
        training=tiny_training_settings,
        analysis=AnalysisSettings(windows=32),
        gate=GateSettings(),
    )


@pytest.fixture(scope="session")
def tiny_baseline(tensorflow, tiny_data, tiny_settings, study_cache):
    """The trained `Baseline` of the tiny study, seed 0."""
    from wordlength.objectives.baseline import Baseline, prepare_baseline

    *_, baseline = prepare_baseline(tiny_data, tiny_settings, 0, study_cache)
    assert isinstance(baseline, Baseline)
    return baseline


@pytest.fixture(scope="session")
def tiny_evaluator(tensorflow, tiny_data, tiny_baseline, tiny_settings):
    """A warm `Evaluator` of the tiny study."""
    from wordlength.objectives.evaluate import Evaluator

    return Evaluator(tiny_data, tiny_baseline, tiny_settings)
