"""`wordlength doctor`: what is found of versions, machine, home and services, and that nothing hangs."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from packaging.specifiers import SpecifierSet

from wordlength import Home
from wordlength.search.doctor import State
from wordlength.search.doctor.corpora import folder_finding
from wordlength.search.doctor.finding import Look, Question, TooSlow
from wordlength.search.doctor.machine import GIB, cores, free_bytes, home_finding, machine_finding
from wordlength.search.doctor.services import compiler_finding, mlflow_finding, new_store_finding
from wordlength.search.doctor.versions import constrained, library_findings, python_finding
from wordlength.search.study_file.spec import parse_spec


def states(found) -> dict[str, State]:
    return {finding.what: finding.state for finding in found}


def test_libraries_are_compared_with_what_is_demanded_and_what_was_tested() -> None:
    demanded = {name: SpecifierSet(">=1.0") for name in ("numpy", "scipy", "no-such-library")}
    demanded["rich"] = SpecifierSet("<2")
    found = list(library_findings(demanded, {"numpy": "1.2.3"}))
    assert states(found) == {
        "numpy": State.WARNING,
        "no-such-library": State.FAULT,
        "rich": State.FAULT,
        "libraries": State.OK,
    }
    told = {finding.what: finding for finding in found}
    assert told["numpy"].found.endswith(", tested with 1.2.3")
    assert told["numpy"].advice == "pip install 'numpy==1.2.3'"
    assert told["rich"].found.endswith(", but wordlength needs <2")
    assert told["libraries"].found.startswith("scipy 1.")


def test_this_environment_is_the_tested_one() -> None:
    known = constrained(Path(__file__).parents[2] / "constraints.txt")
    assert len(known) > 100
    assert states(library_findings({name: SpecifierSet() for name in ("numpy", "ray", "mlflow")}, known)) == {
        "libraries": State.OK
    }


@pytest.mark.parametrize(("version", "state"), [("3.11.4", State.OK), ("3.10.9", State.FAULT)])
def test_pythons_version(version: str, state: State) -> None:
    assert python_finding(version, ">=3.11").state is state


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu_DOT_max": "100000 100000"}, 1),
        ({"cpu_DOT_max": "50000 100000"}, 1),
        ({"cpu__cpu_DOT_cfs_quota_us": "100000", "cpu__cpu_DOT_cfs_period_us": "100000"}, 1),
        ({"cpu_DOT_max": "max 100000"}, None),
        ({"cpu__cpu_DOT_cfs_quota_us": "-1", "cpu__cpu_DOT_cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_control_groups_cores_count(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    everything = cores(tmp_path / "nothing")
    assert cores(write(tmp_path, **files)) == (expected or everything)


def test_a_control_groups_memory_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 99 kB\nMemAvailable: 4096 kB\n")
    assert free_bytes(tmp_path / "nothing", tmp_path / "nothing") is None
    assert free_bytes(tmp_path / "nothing", meminfo) == 4096 * 1024
    version_2 = write(tmp_path / "2", memory_DOT_max="3000", memory_DOT_current="1000")
    assert free_bytes(version_2, meminfo) == 2000
    (version_2 / "memory.max").write_text("max")
    assert free_bytes(version_2, meminfo) == 4096 * 1024


@pytest.mark.parametrize(
    ("cpus", "memory", "wanted", "each", "state", "told"),
    [
        (8, 6 * GIB, None, 1, State.OK, "room for 4 workers of 1 core"),
        (4, 64 * GIB, 2, 2, State.OK, "room for 2 workers of 2 cores"),
        (2, None, None, 1, State.OK, "unknown of memory free: room for 2 workers"),
        (4, 64 * GIB, 3, 2, State.WARNING, "the study wants 3"),
        (4, GIB, None, 1, State.WARNING, "room for 0 workers"),
        (1, 64 * GIB, None, 2, State.FAULT, "room for 0 workers of 2 cores"),
    ],
)
def test_workers_that_fit(
    cpus: int, memory: int | None, wanted: int | None, each: int, state: State, told: str
) -> None:
    found = machine_finding(cpus, memory, wanted, each)
    assert found.state is state
    assert told in found.found
    assert bool(found.advice) == (state is not State.OK)


def test_a_home_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    found = home_finding(tmp_path / "new" / "home")
    assert found.state in (State.OK, State.WARNING)  # A disk may be nearly full.
    assert "(not there yet): writable, " in found.found
    assert list(tmp_path.iterdir()) == []
    assert home_finding(Path("/proc/nowhere")).state is State.FAULT


def test_a_folder_of_corpora_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "timit").mkdir()
    assert folder_finding(str(tmp_path)).found == f"{tmp_path}: timit"
    assert folder_finding(str(tmp_path / "gone")).state is State.FAULT
    assert folder_finding(None).state is State.OK
    assert folder_finding("~nobody-here").found == "WORDLENGTH_DATA is ~nobody-here, which is no folder"


def test_a_database_s_login_is_not_told(tmp_path: Path) -> None:
    assert mlflow_finding("postgresql://ann:secret@host/runs", 2).found == "postgresql://…: 2 experiments"
    spec = parse_spec(
        "name: s\ndata: {speech: [{kind: builtin}], noise: [{kind: builtin}]}\n"
        "storage: {tracking: 'postgresql://ann:secret@host/runs'}\n",
        tmp_path / "study.yaml",
    )
    assert new_store_finding(Home(tmp_path), spec) is None  # It is there, and asked.
    assert new_store_finding(Home(tmp_path), None).found == f"{tmp_path}/mlflow.db is made by the first launch"


@pytest.mark.parametrize(
    ("compiler", "told"),
    [("'cc", "CC is 'cc, which is not here"), ("no-such-cc -O2", "CC is no-such-cc -O2, which is not here")],
)
def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, compiler: str, told: str) -> None:
    monkeypatch.setenv("CC", compiler)
    found = compiler_finding()
    assert (found.state, found.found) == (State.WARNING, told)


def living(group: int) -> list[psutil.Process]:
    """Processes of the group that nobody has ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_a_question_that_hangs_is_given_up_and_ended(tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.run(['sleep', '97']); open({str(tmp_path / 'went on')!r}, 'w')"
    begun = time.monotonic()
    with Question(code, limit_seconds=1) as question:
        assert living(question.process_group)
        with pytest.raises(TooSlow, match="no answer within 1 s"):
            question.answer()
    assert time.monotonic() - begun < 30
    while living(question.process_group) and time.monotonic() - begun < 30:
        time.sleep(0.05)  # What is killed is still listed for a moment.
    assert living(question.process_group) == [], "it and the process that it waits for are gone"
    assert not (tmp_path / "went on").exists()


def test_a_question_is_told_at_once_and_its_answer_kept() -> None:
    with Question("import sys; print(len(sys.stdin.read()))", "four", limit_seconds=5) as question:
        time.sleep(6)  # As long as others are waited for.
        assert question.answer() == 4


def test_a_late_answer_is_a_warning_and_no_fault() -> None:
    with Question("import time; time.sleep(97)", limit_seconds=0.5) as question:
        found = Look("Ray", question, lambda _: pytest.fail("it has no answer"), "do this").finding()
    assert (found.state, found.found) == (State.WARNING, "no answer within 0.5 s")
    assert found.advice == "look again when the machine is idle"


def test_an_answer_is_the_last_line_and_an_error_a_fault() -> None:
    with Question("import sys; print('noise'); print(len(sys.stdin.read()))", "four") as question:
        assert question.answer() == 4
    code = "from wordlength.errors import SpecError; raise SpecError('a store must open')"
    with Question(code) as question:
        found = Look("MLflow", question, lambda _: pytest.fail("it has no answer"), "do this").finding()
    assert (found.state, found.found, found.advice) == (State.FAULT, "a store must open", "do this")


def test_a_machine_that_runs_these_tests_is_fit(run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Really starts TensorFlow and Ray."""
    monkeypatch.delenv("WORDLENGTH_DATA", raising=False)
    status, out, err = run_cli("doctor", "--home", tmp_path / "home", "--json", "-")
    found = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert (status, err) == (0, ""), found
    assert json.loads(out)["fit"] is True
    # A busy machine's answer may be late, which is told as such and is no fault.
    assert found["Ray"]["found"].startswith(("starts, answers and stops in ", "no answer within 60 s"))
    assert {"Python", "wordlength", "machine", "home", "GPU", "Ray", "MLflow", "C compiler", "built-in speech"} <= set(
        found
    )
    assert list(tmp_path.iterdir()) == []


def test_what_a_study_lacks_is_a_fault_with_advice(run_cli, write_study, tmp_path: Path) -> None:
    study = write_study(("path: noise", "path: noize"))
    file = tmp_path / "figures.json"
    status, out, err = run_cli("doctor", study, "--home", tmp_path / "home", "--json", file)
    assert (status, err) == (1, "")
    (fault,) = (one for one in json.loads(file.read_text())["findings"] if one["state"] == "fault")
    assert fault["what"] == "noise"
    assert fault["found"].endswith("noize is not there")
    assert fault["advice"] == "set WORDLENGTH_DATA, or data_root in the study file"
    # The table wraps where it must.
    (line,) = (line for line in out.splitlines() if line.startswith("fault"))
    assert line.split()[:4] == ["fault", "noise", "folder", "in"]
    assert "".join((fault["found"] + fault["advice"]).split()) in "".join(out.split())


def test_a_study_file_that_cannot_be_read_is_refused(run_cli, tmp_path: Path) -> None:
    status, out, err = run_cli("doctor", tmp_path / "none.yaml")
    assert (status, out) == (2, "")
    assert "a study file must be readable" in err
