"""Where a command may write: files, through links, into devices and pipes, and nowhere else."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wordlength import Home
from wordlength.atomic import replacing, require_elsewhere, write_atomically
from wordlength.errors import SpecError
from wordlength.paths import expanded
from wordlength.search.cli.places import require_places


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, file = tmp_path / "link.json", tmp_path / "there" / "file.json"
    link.symlink_to(file)
    require_places(json=link)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.json", "link.json", "there"]
    link.unlink()
    link.symlink_to(tmp_path / "nowhere" / "file.json")
    with pytest.raises(SpecError, match=r"folder must exist, but .*nowhere does not \(--json\)"):
        require_places(json=link)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    require_places(csv=pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"a;b")
    reader.join(10)
    assert got == [b"a;b"]
    assert pipe.is_fifo()


def test_a_home_that_nobody_has_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expanded("~nobody-here/x") == Path("~nobody-here/x")
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded(Path("~/x")) == Path("/somewhere/x")
    monkeypatch.chdir("/")
    monkeypatch.setenv("WORDLENGTH_HOME", "")  # As if it were not set.
    assert Home.default().root == Path("/.wordlength")


def test_a_folder_that_is_not_written_leaves_no_parents(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "there" / "a" / "b" / "c") as draft:
        (draft / "missing").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
    with replacing(tmp_path / "there" / "a" / "b") as draft:
        draft.mkdir()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "there"]


def test_the_working_directory_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for place in (tmp_path / "a" / "b", tmp_path / "a"):
        with pytest.raises(SpecError, match=r"must not be the working directory, but .* is \(--to\)"):
            require_elsewhere(place)
    require_elsewhere(tmp_path / "a" / "b" / "c")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SpecError, match=r"but .*loop leads to itself"):
        require_elsewhere(Path(os.path.realpath(tmp_path / "loop")))


def test_what_takes_no_more_is_named_and_stays() -> None:
    full = Path("/dev/full")
    require_places(json=full)
    with pytest.raises(OSError, match="No space left") as error:
        write_atomically(full, b"x")
    assert error.value.filename == "/dev/full"
    assert full.is_char_device()


@pytest.mark.parametrize("place", ["-", "/dev/null"])
def test_an_archive_goes_into_a_file(run_cli, place: str) -> None:
    status, _, err = run_cli("archive", "tiny", "--to", place, "--force")
    assert (status, err) == (2, f"error: an archive is written to a file, but got {place} (--to)\n")


def test_a_kept_study_file_that_is_no_text_is_told(run_cli, tmp_path: Path) -> None:
    (tmp_path / "studies" / "x").mkdir(parents=True)
    (tmp_path / "studies" / "x" / "study.yaml").write_bytes(b"\xff")
    status, _, err = run_cli("front", "x", "--home", tmp_path)
    assert status == 2
    assert "a study file must be UTF-8 text" in err
    (tmp_path / "studies" / "x" / "study.yaml").unlink()
    (tmp_path / "studies" / "x" / "study.yaml").mkdir()
    status, out, _ = run_cli("clean", "--home", tmp_path)
    assert status == 0
    assert "must be readable" in out


def test_a_closed_standard_output_gets_nothing_and_no_file_its_place(tmp_path: Path) -> None:
    command = f"{sys.executable} -m wordlength clean --home {tmp_path}"
    done = subprocess.run(["sh", "-c", f"{command} --json - >&-"], capture_output=True, text=True, check=False)
    told = "error: standard output must be open to be written to, but it is closed (--json -)\n"
    assert (done.returncode, done.stderr) == (2, told)
    code = "import os; from wordlength.search.cli import _hold_streams; _hold_streams(); print(os.open('/', 0))"
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" 0<&- 2>&-'], capture_output=True, text=True)
    assert int(done.stdout) > 2


def test_standard_output_that_takes_no_more_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wordlength", "clean", "--home", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "error: what is written must find room, but: No space left on device (standard output)\n"
    assert (done.returncode, done.stderr) == (2, told)
