"""A restore that fails, or is killed: nothing of it stays, and it is begun anew, wherever it was putting things."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wordlength import Home, load_study
from wordlength.errors import SpecError
from wordlength.search.check import check_study
from wordlength.search.disk import restore as restoring
from wordlength.search.disk.begun import BEGUN
from wordlength.search.disk.contents import look
from wordlength.search.disk.restore import Places, restore
from wordlength.search.storage import stored_studies
from wordlength.search.tracking import has_experiment

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.mark.parametrize("last", ["put_in", "put_in_runs", "_move"])
def test_a_restore_that_fails_leaves_nothing(
    tiny_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    home, real = Home(tmp_path / "home"), getattr(restoring, last)

    def cut_off(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(restoring, last, cut_off)
    with pytest.raises(KeyboardInterrupt):
        restore(tiny_archive, home)
    disk = look(home)
    assert (disk.studies, disk.orphans) == ((), ())
    assert not any((home.root / "studies").rglob("*.json"))
    monkeypatch.setattr(restoring, last, real)
    restore(tiny_archive, home)
    assert check_study(home.find("tiny"), home) == []


@pytest.fixture
def killed(tiny_archive: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Begins to restore, and is killed before the study file is written."""

    @contextlib.contextmanager
    def nothing_is_undone(*_: object) -> Iterator[None]:
        yield

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def begin(home: Home, places: Places | None = None) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(restoring, "_undone", nothing_is_undone)
            patched.setattr(restoring, "write_atomically", kill)
            with pytest.raises(KeyboardInterrupt):
                restore(tiny_archive, home, places=places)
        assert home.names() == []

    return begin


def elsewhere(folder: Path) -> Places:
    folder.mkdir()
    return Places(f"sqlite:///{folder / 'trials.db'}", f"sqlite:///{folder / 'runs.db'}")


def there(places: Places) -> tuple[bool, bool]:
    """Whether both stores have the study."""
    return "tiny" in stored_studies(str(places.optuna)), has_experiment(str(places.tracking), "tiny")


def test_a_restore_that_was_killed_is_begun_anew(tiny_study, tiny_archive: Path, tmp_path: Path, killed) -> None:
    home = Home(tmp_path / "home")
    killed(home)
    assert {item.kind.value for item in look(home).orphans} >= {"trials without study", "experiment without study"}
    restore(tiny_archive, home)
    assert load_study("tiny", home) == tiny_study[2]
    assert check_study(home.find("tiny"), home) == []
    assert not (home.study("tiny").path / BEGUN).exists()


def test_a_restore_that_was_killed_is_undone_where_it_was(
    tiny_study, tiny_archive: Path, tmp_path: Path, killed, run_cli
) -> None:
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    first, second = elsewhere(tmp_path / "first"), elsewhere(tmp_path / "second")
    restore(tiny_archive, other, places=second)
    killed(home, first)
    assert there(first) == (True, True)
    assert (home.study("tiny").path / BEGUN).stat().st_mode & 0o077 == 0  # Addresses may hold a login.
    with pytest.raises(SpecError, match=r"the trials' storage has 'tiny' already; choose another with --as NAME$"):
        restore(tiny_archive, home, places=second)  # Another project's.
    assert load_study("tiny", other) == tiny_study[2]
    assert check_study(other.find("tiny"), other) == []
    assert there(first) == (False, False)
    assert not home.study("tiny").path.exists()
    killed(home, first)
    assert run_cli("clean", "--orphans", "--yes", "--home", home.root)[0] == 0
    assert there(first) == (False, False)
    assert look(home).orphans == ()
