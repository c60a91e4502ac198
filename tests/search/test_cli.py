"""The command line as its user meets it: tables, one-line errors, exit status, quiet start-up."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordlength import Home

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
]

COMMANDS = ["launch", "status", "front", "ui", "export", "analyze", "memory", "schema"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(run_cli, command: str) -> None:
    status, out, _ = run_cli(command, "--help")
    assert status == 0
    assert "Example" in out
    assert f"wordlength {command}" in out


def test_help_names_every_command(run_cli) -> None:
    status, out, _ = run_cli("--help")
    assert status == 0
    assert all(command in out for command in COMMANDS)


def test_light_commands_import_nothing_heavy(tiny_study) -> None:
    _, home, _ = tiny_study
    heavy = "{'tensorflow', 'keras', 'ray', 'mlflow', 'matplotlib', 'plotly'}"
    for arguments, extra in (
        (["--help"], "| {'optuna', 'numpy'}"),
        (["front", "tiny", "-q"], ""),
        (["status", "tiny"], ""),
    ):
        code = (
            "import sys, atexit\n"
            f"atexit.register(lambda: print('HEAVY', sorted(({heavy} {extra}) & set(sys.modules))))\n"
            f"sys.argv = ['wordlength', *{arguments!r}]\n"
            "from wordlength.search.cli import main; main()"
        )
        environment = os.environ | {"WORDLENGTH_HOME": str(home.root)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "HEAVY []" in done.stdout
        assert done.stderr == ""


def test_memory_of_the_case_study_is_exact_and_quiet() -> None:
    example = Path(__file__).parents[2] / "examples" / "klein.yaml"
    code = "from wordlength.search.cli import main; main()"
    command = [sys.executable, "-c", code, "memory", str(example), "--weights", "po2:4,-1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "236,506" in done.stdout
    assert "1,875,812" in done.stdout
    assert "87.4 %" in done.stdout


def test_status_and_front_tell_the_study(run_cli, tiny_study, monkeypatch: pytest.MonkeyPatch) -> None:
    path, home, view = tiny_study
    monkeypatch.setenv("WORDLENGTH_HOME", str(home.root))
    status, out, _ = run_cli("status", "tiny")
    assert status == 0
    assert "6 of 6" in out
    assert "6 complete, 0 pruned, 0 failed" in out
    assert f"{view.hypervolume:.5f}" in out
    status, out, _ = run_cli("front", path)
    assert status == 0
    for point in view.front:
        assert f"{point.memory_bytes:,}" in out
        assert f"{point.quality:+.4f}" in out
    assert "knee" in out


def test_front_as_json_and_csv(run_cli, tiny_study, monkeypatch: pytest.MonkeyPatch) -> None:
    path, home, view = tiny_study
    monkeypatch.setenv("WORDLENGTH_HOME", str(home.root))
    status, out, err = run_cli("front", path, "--json", "-")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [member["trial"] for member in found["front"]] == [point.number for point in view.front]
    assert found["front"][0]["formats"] == view.front[0].candidate.to_dict()
    assert found["counts"] == view.counts
    status, out, err = run_cli("front", path, "--csv", "-")
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["memory_bytes"]) for row in rows] == [point.memory_bytes for point in view.front]


def test_front_is_drawn_beside_what_is_printed(run_cli, tiny_study, tmp_path: Path, monkeypatch) -> None:
    path, home, view = tiny_study
    monkeypatch.setenv("WORDLENGTH_HOME", str(home.root))
    png, page = tmp_path / "front.png", tmp_path / "front.HTML"
    status, out, err = run_cli("front", path, "--plot", png)
    assert (status, err) == (
        0,
        f"written: {png}\nexport one: wordlength export {view.name} --pick knee --to best\n",
    )
    assert "Pareto front" in out
    assert png.read_bytes().startswith(b"\x89PNG")
    status, out, err = run_cli("front", path, "--plot", page, "--json", "-")
    assert (status, err) == (0, f"written: {page}\n")
    assert json.loads(out)["study"] == view.name
    assert "Trials: 6 complete." in page.read_text(encoding="utf-8")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["front.HTML", "front.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plot", "front.svg"), "a picture's file must end in .png or .html, but got 'front.svg' (--plot)"),
        (("--plot", "front"), "a picture's file must end in .png or .html, but got 'front' (--plot)"),
        (("--plot", "no/where.png"), "a file's folder must exist, but no does not (--plot)"),
        (
            ("--json", "-", "--csv", "-"),
            "a front is printed in one format, but got both JSON and CSV (--json - --csv -)",
        ),
    ],
)
def test_front_refuses_what_it_cannot_write(run_cli, tiny_study, tmp_path: Path, monkeypatch, options, message) -> None:
    path, home, _ = tiny_study
    monkeypatch.chdir(tmp_path)
    assert message in _refused(run_cli, "front", path, *options, "--home", home.root)
    assert list(tmp_path.iterdir()) == []


def test_schema_is_json(run_cli) -> None:
    status, out, _ = run_cli("schema")
    assert status == 0
    assert json.loads(out)["properties"]["search"]


def _refused(run_cli, *arguments: object) -> str:
    """The error of a command that must be refused: one line, exit status 2, no traceback."""
    status, _, err = run_cli(*arguments)
    lines = err.strip().splitlines()
    assert status == 2, err
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], err  # Before it, how far it came.
    assert "Traceback" not in err
    return lines[-1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials: 6", "trails: 6", "got 'trails'; did you mean 'trials'? (search.trails in "),
        ("trials: 6", "trials: -6", "greater than or equal to 1, but got -6 (search.trials in "),
        ("fixed<16,4>", "fixed<16", "format must be one of float32, fixed<bits,integer_bits>"),
        ("path: speech", "path: speach", "speach"),
        ("path: noise", "path: noize", "noize"),
        ("kind: folder, path: speech", "kind: timit, path: speech", "speech"),
        ("kind: folder, path: noise", "kind: urbansound8k, path: noise", "noise"),
    ],
)
def test_broken_study_files_leave_nothing_behind(
    run_cli, write_study, tmp_path: Path, old: str, new: str, message: str
) -> None:
    home = tmp_path / "home"
    assert message in _refused(run_cli, "launch", write_study((old, new)), "--home", home)
    assert not home.exists()


def _speech(folder: Path, speakers: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for speaker in range(speakers):
        time = np.arange(24_000) / 16_000
        buzz = sum(np.sin(2 * np.pi * k * (100 + 20 * speaker) * time) / k for k in range(1, 20))
        voice = 0.1 * buzz * (0.2 + np.sin(4 * np.pi * time) ** 2) + 0.001 * rng.standard_normal(24_000)
        (folder / f"s{speaker}").mkdir(parents=True)
        soundfile.write(folder / f"s{speaker}" / "a.wav", voice.clip(-1, 1), 16_000)
    return folder


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_text("this is no audio"), "a.wav"),
        (lambda file: file.write_bytes(b""), "a.wav"),
        (lambda file: soundfile.write(file, np.zeros(24_000), 16_000), "a.wav"),
        (lambda file: soundfile.write(file, np.full(24_000, np.nan), 16_000, subtype="FLOAT"), "a.wav"),
        (lambda file: file.unlink(), "3 speakers"),
    ],
    ids=["text", "empty", "silent", "nan", "missing"],
)
def test_broken_audio_is_named(run_cli, write_study, tmp_path: Path, spoil, message: str) -> None:
    speech = _speech(tmp_path / "speech")
    spoil(speech / "s0" / "a.wav")
    study = write_study(("path: speech", f"path: {speech}"))
    assert message in _refused(run_cli, "launch", study, "--home", tmp_path / "home")
    assert not (tmp_path / "home" / "optuna.db").exists()
    assert not (tmp_path / "home" / "studies").exists()


def test_an_empty_corpus_is_named(run_cli, write_study, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    study = write_study(("path: speech", f"path: {tmp_path / 'nothing'}"))
    assert "nothing" in _refused(run_cli, "launch", study, "--home", tmp_path / "home")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("front", "nobody"), "a study must have been launched, but got 'nobody'"),
        (("status", "nobody"), "a study must have been launched, but got 'nobody'"),
        (("export", "nobody", "--to", "x"), "a study must have been launched, but got 'nobody'"),
        (("front", "nobody"), "launched here: none yet, begin with wordlength launch STUDY_FILE"),
        (("ui",), "there must be a launched study to show"),
        (("launch", "demo"), "No such file or directory; a study's name is not enough, give its file"),
        (("launch", "missing.yaml"), "a study file must be readable, but missing.yaml is not"),
        (("export", "nobody", "--to", "x", "--vectors", 0), "vectors must be between 1 and 100,000, but got 0 (--vec"),
        (("export", "nobody", "--to", "x", "--input-bits", 25), "input bits must be between 2 and 24, but got 25"),
    ],
)
def test_commands_on_nothing_are_refused(run_cli, tmp_path: Path, arguments, message: str) -> None:
    assert message in _refused(run_cli, *arguments, "--home", tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("launch", "example/demo.yaml"), "No such file or directory; did you mean examples/demo.yaml?"),
        (("data", "examples/dmo.yaml"), "did you mean examples/demo.yaml?"),
        (("front", "demo.yml"), "did you mean examples/demo.yaml?"),
        (("doctor", "examples/demo"), "give its file, such as examples/demo.yaml"),
        (("launch", "demo"), "give its file, such as examples/demo.yaml"),
        (("status", "rpoject"), "but got 'rpoject' (did you mean project?); launched here: project ("),
        (("front", "examples/demo"), "but got 'examples/demo' (did you mean examples/demo.yaml?); launched here: "),
        (("analyze", "projects", "--weights", "fixed:8,0"), "(did you mean project?)"),
        (("clean", "--study", "Project"), "but got 'Project' (did you mean project?); there are project (--study)"),
        (("front", "demo", "--home", "nothing"), "none yet, begin with wordlength launch examples/demo.yaml ("),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_a_misspelt_name_is_told_what_is_near(run_cli, tmp_path: Path, monkeypatch, arguments, message) -> None:
    for file in ("examples/demo.yaml", "examples/other.yaml", "home/studies/project/study.yaml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDLENGTH_HOME", "home")
    assert message in _refused(run_cli, *arguments)


def test_a_launched_study_has_its_file_by_its_name(tmp_path: Path, monkeypatch) -> None:
    home, there = Home(tmp_path / "home"), tmp_path / "home/studies/tiny/study.yaml"
    there.parent.mkdir(parents=True)
    there.touch()
    monkeypatch.chdir(tmp_path)
    assert home.file_of(Path("tiny")) == there
    assert home.file_of(Path("other")) == Path("other")
    Path("tiny").touch()
    assert home.file_of(Path("tiny")) == Path("tiny")


def test_nothing_is_suggested_that_is_not_near(run_cli, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "klein.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert _refused(run_cli, "launch", "demo.yaml").endswith("demo.yaml is not: No such file or directory")
    for nowhere in (("launch", "/nowhere/klein.yaml"), ("launch", "/klein.yaml"), ("front", ""), ("launch", "a" * 300)):
        assert "did you mean" not in _refused(run_cli, *nowhere)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--weights", "po2:4", "but got 'po2:4' without max_exponent; for example po2<4,-1>: sign and 3 exponent bits"),
        ("--weights", "fixed", "but got 'fixed' without bits and integer_bits; for example fixed<16,2>"),
        ("--weights", "fixed<8>", "a format must be written fixed<bits,integer_bits>, but got"),
        ("--weights", "po2:40,1", "po2 bits must be a whole number between 1 and 16, but got 40"),
        ("--biases", "fixed:0,2", "fixed bits must be a whole number between 1 and 32, but got 0"),
        ("--activations", "float16", "format must be one of"),
    ],
)
def test_bad_formats_are_refused_before_anything_is_loaded(run_cli, write_study, option, text, message) -> None:
    given = ["--weights", "fixed:8,0"] if option != "--weights" else []
    assert message in _refused(run_cli, "memory", write_study(), *given, option, text)


def test_too_many_workers_are_refused(run_cli, write_study, tmp_path: Path) -> None:
    message = _refused(run_cli, "launch", write_study(), "--workers", 99, "--home", tmp_path / "home")
    assert "workers must fit the machines, but got 99 x 1 CPUs with room for 2" in message
    assert not (tmp_path / "home" / "optuna.db").exists()


def test_square_brackets_in_errors_are_no_markup_on_a_terminal(run_cli, write_study, monkeypatch) -> None:
    from rich.console import Console

    from wordlength.search.cli import common as cli

    monkeypatch.setattr(cli, "errors", Console(stderr=True, force_terminal=True, no_color=True))
    _, _, err = run_cli("launch", write_study(("bits: [3, 6]", "bits: [6, 3]")))
    assert "bits must be [low, high] with low <= high, but got [6, 3]" in err


def test_folders_that_cannot_be_written_give_one_line(run_cli, write_study) -> None:
    assert "/proc/nowhere" in _refused(run_cli, "launch", write_study(), "--home", "/proc/nowhere")


def test_stereo_and_other_rates_are_taken(run_cli, write_study, tmp_path: Path) -> None:
    speech = _speech(tmp_path / "speech", speakers=4)
    samples, rate = soundfile.read(speech / "s0" / "a.wav")
    soundfile.write(speech / "s0" / "a.wav", np.stack([samples, samples], 1), rate)
    soundfile.write(speech / "s1" / "a.wav", samples[::2], 8000)
    study = write_study(("path: speech", f"path: {speech}"))
    status, out, err = run_cli("propose", study, "--home", tmp_path / "home")  # Trains the float baseline on them.
    assert status == 0, err
    assert "integer bits" in out
    assert "float baseline: STOI improvement" in err
