"""What its user may not read or write: one line that names it, and no traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wordlength.search.home import Home

# Root may everything, but for what is taken from it.
TAKEN = ("--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all", "--")
COMMAND = (sys.executable, "-m", "wordlength")


@pytest.fixture(scope="module")
def user() -> tuple[str, ...]:
    """What a command line begins with, so that it runs with a user's rights."""
    if os.geteuid():
        return ()
    program = shutil.which("setpriv")
    if program is None or subprocess.run([program, *TAKEN, "true"], capture_output=True).returncode:
        pytest.skip("root's rights cannot be taken from it here")
    return (program, *TAKEN)


@pytest.fixture
def forbid() -> Iterator[Callable[..., None]]:
    """Changes rights until the test has ended."""
    changed: list[tuple[Path, int]] = []

    def change(path: Path, mode: int = 0) -> None:
        changed.append((path, path.stat().st_mode))
        path.chmod(mode)

    yield change
    for path, mode in reversed(changed):
        path.chmod(mode)


def refusal(user: tuple[str, ...], *arguments: object) -> str:
    """The one line with which a command ends."""
    done = subprocess.run([*user, *COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


def said(user: tuple[str, ...], code: str, *arguments: object) -> str:
    done = subprocess.run([*user, sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("command", [["launch"], ["data"], ["doctor"], ["memory", "--weights", "fixed:8,0"]])
def test_a_study_file(user, forbid, write_study: Callable[..., Path], tmp_path: Path, command: list[str]) -> None:
    path = write_study()
    forbid(path)
    line = refusal(user, *command, path, "--home", tmp_path / "home")
    assert line == f"a study file must be readable, but {path} is not: Permission denied"


def test_a_folder_that_cannot_be_written(user, forbid, write_study: Callable[..., Path], tmp_path: Path) -> None:
    forbid(tmp_path, 0o555)
    line = refusal(user, "launch", write_study(), "--home", tmp_path / "home")
    assert line == f"files must be readable and folders writable, but {tmp_path / 'home'}: Permission denied"


def test_another_ones_project_is_read(user, forbid, project: Home) -> None:
    (project.study("tiny").path / "lock").touch()
    for path in (*project.root.rglob("*"), project.root):
        forbid(path, path.stat().st_mode & ~0o222)
    done = subprocess.run(
        [*user, *COMMAND, "status", "tiny", "--home", str(project.root)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 of 5" in done.stdout


LIST = """
import sys, pathlib
from wordlength.errors import DataError
from wordlength.objectives.audio.listing import audio_files
try:
    print(len(audio_files(pathlib.Path(sys.argv[1]))))
except DataError as error:
    print(error)
"""


def test_no_speaker_is_left_out_without_a_word(user, forbid, tiny_corpora: Path, tmp_path: Path) -> None:
    speech = tmp_path / "speech"
    shutil.copytree(tiny_corpora / "speech", speech)
    shutil.copytree(speech / "speaker0", speech / "lost+found")
    forbid(speech / "lost+found")
    assert said(user, LIST, speech) == "12"
    forbid(speech / "speaker3")
    wanted = f"a corpus's folders must be readable, but {speech / 'speaker3'} is not: Permission denied"
    assert said(user, LIST, speech) == wanted


LOOK = """
import sys, pathlib
from wordlength.search.doctor.corpora import corpus_findings
from wordlength.search.doctor.machine import home_finding
from wordlength.search.study_file.spec import load_spec
for finding in corpus_findings(load_spec(pathlib.Path(sys.argv[1]))):
    print(finding.what, finding.state.value, finding.found)
print(home_finding(pathlib.Path(sys.argv[2])).found)
"""


def test_the_doctor_looks_on(user, forbid, write_study, tiny_corpora: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tiny_corpora, root / "data")
    study = write_study((str(tiny_corpora), str(root / "data")))
    forbid(root / "data" / "noise")
    found = said(user, LOOK, study, root / "home").splitlines()
    assert found[:2] == [
        f"speech ok folder in {root / 'data' / 'speech'}",
        f"noise fault folder in {root / 'data' / 'noise'} may not be read",
    ]
    forbid(root)
    found = said(user, LOOK, study, root / "home").splitlines()
    assert found[0] == f"speech fault folder in {root / 'data' / 'speech'} cannot be read: Permission denied"
    assert found[2].startswith(f"{root / 'home'}: ")
    assert "Permission denied" in found[2]


REPLACE = """
import sys, pathlib
from wordlength.errors import SpecError
from wordlength.search.replaceable import require_replaceable
try:
    require_replaceable(pathlib.Path(sys.argv[1]), "an export", lambda folder: (), False)
except SpecError as error:
    print(error)
"""


def test_where_a_bundle_goes(user, forbid, tmp_path: Path) -> None:
    assert said(user, REPLACE, tmp_path) == ""
    forbid(tmp_path, 0o555)
    assert said(user, REPLACE, tmp_path) == f"the folder must be writable, but {tmp_path} is not (--to)"
