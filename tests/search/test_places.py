"""Where a command may write: files, through links, into devices and pipes, and nowhere else."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError
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


def test_standard_output_that_takes_no_more_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wordlength", "clean", "--home", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "error: what is written must find room, but: No space left on device (standard output)\n"
    assert (done.returncode, done.stderr) == (2, told)
