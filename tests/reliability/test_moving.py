"""archive, restore, clean where trials are in PostgreSQL and runs on a tracking server: as they do with files."""

import contextlib
import dataclasses
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from servers import Server, another_database, has_postgresql, mlflow_server, postgresql

from wordlength import Home, StudyView, load_study
from wordlength.search.disk.archive_file import unpack
from wordlength.search.storage import stored_studies, take_out

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.skipif(not has_postgresql(), reason="PostgreSQL is not installed"),
]
CANARY = "canary-4711"
TRIALS = 4
AGREE = "storage, folder and MLflow agree\n"


@dataclasses.dataclass(frozen=True)
class Place:
    """A database and a tracking server; their addresses name a password."""

    optuna: str
    tracking: str
    server: Server

    @property
    def options(self) -> tuple[str, ...]:
        return ("--optuna", self.optuna, "--tracking", self.tracking)

    def trash(self) -> list[str]:
        """Experiments that were removed."""
        found = MlflowClient(self.server.address).search_experiments(view_type=2)
        return sorted(one.name.partition(" (removed ")[0] for one in found)

    def has(self, name: str) -> tuple[bool, bool]:
        """Whether the database, and the server, have a study of this name."""
        experiment = MlflowClient(self.server.address).get_experiment_by_name(name)
        return name in stored_studies(self.optuna), experiment is not None


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two of them."""
    with contextlib.ExitStack() as stack:
        database, first = stack.enter_context(postgresql()), stack.enter_context(mlflow_server(tmp_path / "server1"))
        (tmp_path / "server2").mkdir()  # With a store whose migrations have run, which takes long.
        shutil.copy(tmp_path / "server1" / "mlflow.db", tmp_path / "server2")
        second = stack.enter_context(mlflow_server(tmp_path / "server2"))
        addresses = database.address, another_database(database, "second")
        optuna = [address.replace("wordlength@", f"wordlength:{CANARY}@") for address in addresses]
        tracking = [server.address.replace("http://", f"http://ann:{CANARY}@") for server in (first, second)]
        yield Place(optuna[0], tracking[0], first), Place(optuna[1], tracking[1], second)


@pytest.fixture
def wordlength(run_cli) -> Callable[..., str]:
    """Runs a command that must succeed, and say nothing of a password; its standard output."""

    def run(*arguments: object, status: int = 0) -> str:
        done, out, err = run_cli(*arguments)
        assert done == status, out + err
        assert CANARY not in out + err
        return out if status == 0 else err

    return run


def view_of(name: str, home: Path) -> StudyView:
    """As if it were called tiny."""
    return dataclasses.replace(load_study(name, Home(home)), name="tiny")


def contents(archive: Path, tmp_path: Path) -> dict[str, bytes]:
    """An archive's files but for those in which MLflow's numbers stand."""
    unpack(archive, folder := tmp_path / archive.stem)
    named = ("mlflow/experiment.json", "mlflow/runs.jsonl")
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in named}


def test_a_study_moves_between_servers_and_files(places, wordlength, write_study, tiny_corpora, tmp_path: Path) -> None:
    one, other = places
    addresses = f"storage: {{optuna: '{one.optuna}', tracking: '{one.tracking}'}}"
    file = write_study(("trials: 6", f"trials: {TRIALS}"), ("search:", f"{addresses}\nsearch:"))
    here, there, files, back = (tmp_path / name for name in ("here", "there", "files", "back"))
    archives = [tmp_path / f"{number}.tar.gz" for number in range(3)]

    wordlength("launch", file, "--no-ui", "--home", here)
    view = view_of("tiny", here)
    assert view.finished == TRIALS
    assert wordlength("check", "tiny", "--home", here) == AGREE
    assert "the rest at postgresql+psycopg://…, the rest at http://…" in wordlength("clean", "--home", here)
    wordlength("archive", "tiny", "--to", archives[0], "--home", here)

    # Into another database, another server, under another name.
    options = ("--home", there, "--data-root", tiny_corpora)
    wordlength("restore", archives[0], "--as", "away", *other.options, *options)
    assert view_of("away", there) == view
    assert take_out(other.optuna, "away") == take_out(one.optuna, "tiny")
    assert wordlength("check", "away", "--home", there) == AGREE
    front = wordlength("front", "tiny", "--home", here)
    assert wordlength("front", "away", "--home", there) == front.replace("'tiny'", "'away'")
    assert f"{TRIALS} of {TRIALS}" in wordlength("status", "away", "--home", there)
    wordlength("export", "away", "--to", tmp_path / "best", "--no-verify", "--vectors", 8, "--home", there)
    wordlength("restore", archives[0], *other.options, *options)
    assert "all 27 the same" in wordlength("compare", "tiny", "away", "--home", there)
    wordlength("restore", archives[0], "--as", "more", *other.options, *options)
    err = wordlength("restore", archives[0], "--as", "more", *other.options, "--home", files, status=2)
    assert "the trials' storage has 'more' already; choose another with --as NAME\n" in err

    # It goes on there, by the study file of its folder.
    kept = Home(there).study("away").study_file
    wordlength("launch", kept, "--trials", TRIALS + 1, "--no-ui", "--home", there)
    after = view_of("away", there)
    assert after.rows[:TRIALS] == view.rows
    assert after.finished == TRIALS + 1
    assert wordlength("check", "away", "--home", there) == AGREE
    assert view_of("tiny", here) == view

    # Into files, and back.
    wordlength("archive", "away", "--to", archives[1], "--home", there)
    wordlength("restore", archives[1], "--home", files, "--data-root", tiny_corpora)
    assert view_of("away", files) == view_of("away", there)
    assert wordlength("check", "away", "--home", files) == AGREE
    wordlength("archive", "away", "--to", archives[2], "--home", files)
    assert contents(archives[2], tmp_path) == contents(archives[1], tmp_path)
    wordlength("restore", archives[2], "--as", "back", *one.options, "--home", back)
    assert view_of("back", back) == view_of("away", there)
    assert wordlength("check", "back", "--home", back) == AGREE

    # Each goes by itself.
    out = wordlength("clean", "--study", "away", "--yes", "--home", there)
    assert "left: away: in the tracking server's trash" in out
    assert (other.has("away"), other.trash()) == ((False, False), ["away"])
    assert wordlength("check", "tiny", "--home", there) == AGREE
    wordlength("clean", "--study", "tiny", "--yes", "--home", here)
    assert (one.has("tiny"), one.has("back")) == ((False, False), (True, True))
    assert wordlength("check", "back", "--home", back) == AGREE
    for home in (here, there, files, back):
        assert wordlength("clean", "--orphans", "--yes", "--home", home) == "nothing to remove\n"
    wordlength("restore", archives[0], *one.options, "--home", here)  # The name is free again.
    assert wordlength("check", "tiny", "--home", here) == AGREE

    told = {path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()}
    studies = {home: Home(home).names() for home in (here, there, back)}
    assert told == {Home(home).study(name).study_file for home, names in studies.items() for name in names}
    assert {stat.S_IMODE(path.stat().st_mode) for path in told} == {0o600}
