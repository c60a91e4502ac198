"""A storage of trials that is damaged: each command stops with one line that names the file."""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wordlength.errors import SpecError
from wordlength.search.home import Home
from wordlength.search.launch import launch
from wordlength.search.study import load_study
from wordlength.search.study_file.spec import load_spec


def junk(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [junk, cut, folder])
def test_commands_stop_with_one_line_that_names_the_file(
    project: Home, run_cli: Callable[..., tuple[int, str, str]], damage: Callable[[Path], None]
) -> None:
    damage(project.optuna_file)
    commands = (["status", "tiny"], ["front", "tiny"], ["clean"], ["clean", "--study", "tiny", "--yes"])
    for command in (*commands, ["launch", project.study("tiny").study_file]):
        status, _, err = run_cli(*command, "--home", project.root)
        last = err.splitlines()[-1]
        assert (status, err.count("error: ")) == (2, 1), command
        assert last.startswith("error: the trials' storage must"), command
        assert str(project.optuna_file) in last, command
    assert project.study("tiny").study_file.exists()


def test_no_damaged_page_is_more_than_a_line(project: Home) -> None:
    whole, size, told = project.optuna_file.read_bytes(), 4096, list[str]()
    with closing(sqlite3.connect(project.optuna_file)) as database:
        assert database.execute("PRAGMA page_size").fetchone() == (size,)
    for start in range(size, len(whole), size):
        project.optuna_file.write_bytes(whole[:start] + b"\xa5" * size + whole[start + size :])
        try:
            load_study("tiny", project)
        except SpecError as error:
            told.append(str(error))
    assert {text.partition(", but")[0].rpartition(" ")[2] for text in told} == {"open", "answer"}
    assert all(text.endswith(f"(storage.optuna: {project.optuna_file})") for text in told)


def test_a_row_that_nobody_has_written_is_told(project: Home) -> None:
    with closing(sqlite3.connect(project.optuna_file)) as database, database:
        database.execute("UPDATE trial_user_attributes SET value_json = '{x' WHERE key = 'digest'")
    with pytest.raises(SpecError, match=r"the trials' storage must answer, but it does not: .*optuna\.db\)"):
        load_study("tiny", project)


def test_an_empty_file_has_no_trials(project: Home) -> None:
    project.optuna_file.write_bytes(b"")
    with pytest.raises(SpecError, match=re.escape(f"'tiny' has no trials there ({project.optuna_file})")):
        load_study("tiny", project)


def test_a_new_study_is_refused_before_its_baseline_is_trained(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    home = Home(tmp_path / "new")
    home.root.mkdir()
    home.optuna_file.write_bytes(b"no database" * 99)
    place = re.escape(f"(storage.optuna: {home.optuna_file})")
    with pytest.raises(SpecError, match=rf"must open, but it does not: .* {place}$"):
        launch(load_spec(write_study()), home)
    assert not (home.cache / "baselines").exists()
