"""A storage of trials that is damaged: each command stops with one line that names the file."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from two_goals import float_point, reached

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.home import Home
from wordlength.search.launch import launch
from wordlength.search.study import StudyStore, load_study
from wordlength.search.study_file.spec import load_spec
from wordlength.space import Anchors, FixedRange, Role, SearchSpace, Slot, SlotRange
from wordlength.space.search_space import Group

SLOT = Slot("dense_1", Role.WEIGHTS)
SPACE = SearchSpace(
    (Group("dense_1", (SLOT,), SlotRange(fixed=FixedRange((2, 9), (0, 1)))),),
    (SLOT,),
    Anchors({(SLOT, "fixed", bits): -1 for bits in range(2, 10)}),
)


@pytest.fixture
def home(write_study: Callable[..., Path], tmp_path: Path) -> Home:
    """A project whose study `tiny` has some trials; no process runs it."""
    path, home = write_study(), Home(tmp_path / "home")
    home.study("tiny").path.mkdir(parents=True)
    shutil.copy(path, home.study("tiny").study_file)
    with closing(StudyStore.create(load_spec(path), home.optuna_address())) as store:
        store.remember({"baseline": float_point(0.04, 1000).to_json(), "wanted": 5})
        for _ in range(4):
            number, candidate, _ = store.ask(SPACE)
            told = reached(0.01 * number, 100) | {"standard_error": 0.001}
            store.tell(TrialReport(number, candidate, TrialState.COMPLETE, 100, **told))
    return home


def junk(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [junk, cut, folder])
def test_commands_stop_with_one_line_that_names_the_file(
    home: Home, run_cli: Callable[..., tuple[int, str, str]], damage: Callable[[Path], None]
) -> None:
    damage(home.optuna_file)
    commands = (["status", "tiny"], ["front", "tiny"], ["clean"], ["clean", "--study", "tiny", "--yes"])
    for command in (*commands, ["launch", home.study("tiny").study_file]):
        status, _, err = run_cli(*command, "--home", home.root)
        last = err.splitlines()[-1]
        assert (status, err.count("error: ")) == (2, 1), command
        assert last.startswith("error: the trials' storage must"), command
        assert str(home.optuna_file) in last, command
    assert home.study("tiny").study_file.exists()


def test_no_damaged_page_is_more_than_a_line(home: Home) -> None:
    whole, size, told = home.optuna_file.read_bytes(), 4096, list[str]()
    with closing(sqlite3.connect(home.optuna_file)) as database:
        assert database.execute("PRAGMA page_size").fetchone() == (size,)
    for start in range(size, len(whole), size):
        home.optuna_file.write_bytes(whole[:start] + b"\xa5" * size + whole[start + size :])
        try:
            load_study("tiny", home)
        except SpecError as error:
            told.append(str(error))
    assert {text.partition(", but")[0].rpartition(" ")[2] for text in told} == {"open", "answer"}
    assert all(text.endswith(f"(storage.optuna: {home.optuna_file})") for text in told)


def test_a_row_that_nobody_has_written_is_told(home: Home) -> None:
    with closing(sqlite3.connect(home.optuna_file)) as database, database:
        database.execute("UPDATE trial_user_attributes SET value_json = '{x' WHERE key = 'digest'")
    with pytest.raises(SpecError, match=r"the trials' storage must answer, but it does not: .*optuna\.db\)"):
        load_study("tiny", home)


def test_an_empty_file_has_no_trials(home: Home) -> None:
    home.optuna_file.write_bytes(b"")
    with pytest.raises(SpecError, match=rf"'tiny' has no trials there \({home.optuna_file}\)"):
        load_study("tiny", home)


def test_a_new_study_is_refused_before_its_baseline_is_trained(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    home = Home(tmp_path / "new")
    home.root.mkdir()
    home.optuna_file.write_bytes(b"no database" * 99)
    with pytest.raises(SpecError, match=rf"must open, but it does not: .* \(storage\.optuna: {home.optuna_file}\)"):
        launch(load_spec(write_study()), home)
    assert not (home.cache / "baselines").exists()
