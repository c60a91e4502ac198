"""Studies over the tiny corpora, launched once, and what tests of commands share."""

import dataclasses
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from retrainings import StandIn

    from wordlength import FrontPoint, Home, StudyView
    from wordlength.search.tracking import Tracker


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
def project(write_study: Callable[..., Path], tmp_path: Path) -> "Home":
    """A project whose study `tiny` has four trials of one slot; none was trained, so it takes no time."""
    from two_goals import float_point, reached

    from wordlength import Home, load_spec
    from wordlength.objectives.report import TrialReport, TrialState
    from wordlength.search.study import StudyStore
    from wordlength.space import Anchors, FixedRange, Role, SearchSpace, Slot, SlotRange
    from wordlength.space.search_space import Group

    path, home = write_study(), Home(tmp_path / "project")
    home.study("tiny").path.mkdir(parents=True)
    shutil.copy(path, home.study("tiny").study_file)
    slot = Slot("dense_1", Role.WEIGHTS)
    anchors = Anchors({(slot, "fixed", bits): -1 for bits in range(2, 10)})
    group = Group("dense_1", (slot,), SlotRange(fixed=FixedRange((2, 9), (0, 1))))
    with closing(StudyStore.create(load_spec(path), home.optuna_address())) as store:
        store.remember({"baseline": float_point(0.04, 1000).to_json(), "wanted": 5})
        for _ in range(4):
            number, candidate, _ = store.ask(SearchSpace((group,), (slot,), anchors))
            told = reached(0.01 * number, 100) | {"standard_error": 0.001}
            store.tell(TrialReport(number, candidate, TrialState.COMPLETE, 100, **told))
    return home


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
