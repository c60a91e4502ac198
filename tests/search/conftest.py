"""A study file over the tiny corpora, a shared Ray session, and the command line in this process."""

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from retrainings import StandIn

    from wordlength import FrontPoint, Home, StudyView
    from wordlength.search.tracking import Tracker

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


@pytest.fixture(scope="session")
def tiny_study(write_study, ray_session) -> tuple[Path, "Home", "StudyView"]:
    """A launched study of 6 trials: its file, home and view. Tests that go on with it copy the home."""
    path = write_study()
    return path, *launched_beside(path)


def launched_beside(path: Path) -> tuple["Home", "StudyView"]:
    """The study of a file, launched into a home beside it."""
    from wordlength import Home, launch, load_spec

    home = Home(path.parent / "home")
    return home, launch(load_spec(path), home)


@pytest.fixture(scope="session")
def launch_text(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpora: Path, ray_session, tensorflow
) -> Callable[[str], tuple[Path, "Home", "StudyView"]]:
    """Launches a study file's text, `{root}` in it being the tiny corpora's folder: its file, home and view."""

    def launch_it(text: str) -> tuple[Path, "Home", "StudyView"]:
        path = tmp_path_factory.mktemp("text") / "study.yaml"
        path.write_text(text.replace("{root}", str(tiny_corpora)), encoding="utf-8")
        return path, *launched_beside(path)

    return launch_it


@pytest.fixture
def copied_study(tiny_study, tmp_path: Path) -> tuple[Path, "Home"]:
    """The launched study in a home of its own, free to be changed."""
    path, home, _ = tiny_study
    shutil.copytree(home.root, tmp_path / "home")
    return path, dataclasses.replace(home, root=tmp_path / "home")


@pytest.fixture(scope="session")
def tiny_archive(tiny_study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launched study as one file."""
    from wordlength.search.disk.archive import archive

    _, home, _ = tiny_study
    file = tmp_path_factory.mktemp("archive") / "tiny.tar.gz"
    archive("tiny", home, file)
    return file


@pytest.fixture
def restored_study(tiny_archive: Path, tiny_corpora: Path, tmp_path: Path) -> "Home":
    """The launched study in a home whose artifacts are its own, unlike those of `copied_study`."""
    from wordlength import Home
    from wordlength.search.disk.restore import Places, restore

    home = Home(tmp_path / "restored")
    restore(tiny_archive, home, places=Places(data_root=tiny_corpora))
    return home


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


@pytest.fixture
def run_retrain(run_cli, copied_study: tuple[Path, "Home"]) -> Callable[..., tuple[int, str, str]]:
    """Runs `retrain tiny` in a home of its own."""
    _, home = copied_study
    return lambda *options: run_cli("retrain", "tiny", "--home", home.root, "--epochs", 1, *options)


@pytest.fixture
def stand_in(tensorflow, monkeypatch: pytest.MonkeyPatch) -> "StandIn":
    """In place of what trains in `retrain`."""
    from retrainings import StandIn

    from wordlength.objectives import retraining

    monkeypatch.setattr(retraining, "Retrainer", stand_in := StandIn())
    return stand_in


@pytest.fixture
def ends(copied_study: tuple[Path, "Home"]) -> tuple["FrontPoint", "FrontPoint"]:
    """Two complete trials, the smaller one first."""
    from wordlength import load_study

    _, home = copied_study
    first, *_, last = sorted(load_study("tiny", home).points, key=lambda point: point.memory_bytes)
    assert first.memory_bytes < last.memory_bytes
    return first, last


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store whose migrations have run, which takes seconds: each test gets a copy."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(migrated: Path, tmp_path: Path) -> str:
    """Address of an empty MLflow store."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def opened(store: str, tmp_path: Path) -> Callable[..., "Tracker"]:
    """Opens and begins a study in that store, as often as asked."""
    from recorded import BASELINE, INFOS, SLOTS

    from wordlength.search.tracking import Description, Tracker

    def open_it(name: str = "study", **about: object) -> Tracker:
        tracker = Tracker(store, tmp_path / "artifacts", name)
        tracker.begin(Description(BASELINE, **({"slots": INFOS, "searched": SLOTS} | about)))
        return tracker

    return open_it
