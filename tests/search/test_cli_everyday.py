"""The command line's manners: where it prints, how loudly, with which exit status; completion; Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from wordlength import Home
from wordlength.objectives.settings import RetrainingSettings
from wordlength.search.cli import app
from wordlength.version import VERSION

COMMAND = [sys.executable, "-c", "from wordlength.search.cli import main; main()"]


def test_the_version(run_cli) -> None:
    assert run_cli("--version") == (0, f"wordlength {VERSION}\n", "")


def test_the_help_tells_exit_statuses(run_cli) -> None:
    _, out, _ = run_cli("-h")
    assert "Exit status: 0 done; 1 the answer is no" in out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("schema",), 0),
        (("status", "nobody"), 2),
        (("no-such-command",), 2),
        (("launch",), 2),
        (("memory", "nobody.yaml", "--weights", "fixed:4"), 2),
        (("verify", "nothing"), 2),
    ],
)
def test_exit_statuses(run_cli, tmp_path: Path, monkeypatch, arguments: tuple[str, ...], status: int) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(*arguments)[0] == status
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def complete(run_cli, monkeypatch: pytest.MonkeyPatch):
    """What bash offers for the last word of a line."""

    def offered(line: str) -> list[str]:
        monkeypatch.setenv("_WORDLENGTH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        status, out, _ = run_cli()
        assert status == 0
        return out.split()

    return offered


def test_names_files_and_rules_are_completed(complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("klein", "klein_small", "demo"):
        (tmp_path / "home" / "studies" / name).mkdir(parents=True)
        (tmp_path / "home" / "studies" / name / "study.yaml").touch()
    (tmp_path / "own.yaml").touch()
    (tmp_path / "own.txt").touch()
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "demo.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDLENGTH_HOME", "home")
    assert complete("wordlength front kl") == ["klein", "klein_small"]
    assert complete("wordlength front --home nowhere kl") == []
    assert complete("wordlength analyze o") == ["own.yaml"]
    assert complete("wordlength analyze examples/") == ["examples/demo.yaml"]
    assert complete("wordlength launch e") == ["examples/"]
    assert complete("wordlength export klein --pick ") == ["knee", "best", "smallest", "trial=", "max-bytes="]
    assert complete("wordlength retrain klein --pick b") == ["best"]
    assert complete("wordlength do") == ["doctor"]
    assert complete("wordlength launch '**x'") == complete("wordlength launch '['") == []  # No patterns.
    assert complete("wordlength front --home ~nobody-here kl") == []


OFFERED = """
eval "$(_WORDLENGTH_COMPLETE=source_bash wordlength)"
compopt() { printf "compopt %s %s\\n" "$@"; }  # The real one refuses outside of a completion.
offered() {
    COMP_WORDS=(wordlength "$@") COMP_CWORD=$#
    _wordlength_completion wordlength
    echo "${COMPREPLY[@]}"
}
offered launch my
offered launch ex
offered export x --pick tr
offered export x --pick b
"""


def test_bash_gets_names_it_can_take(tmp_path: Path) -> None:
    """The script that --install-completion writes, in a real bash."""
    (tmp_path / "my study.yaml").touch()
    (tmp_path / "examples").mkdir()
    program = tmp_path / "wordlength"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    around = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", OFFERED], cwd=tmp_path, env=around, capture_output=True, text=True, timeout=300
    )
    told = ["my\\ study.yaml", "compopt -o nospace", "examples/", "compopt -o nospace", "trial=", "best"]
    assert (done.stdout.splitlines(), done.stderr) == (told, "")


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with pipes in place of a terminal."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env=os.environ | environment, timeout=300
    )


def test_results_fit_narrow_pipes_without_colours(tiny_study) -> None:
    _, home, _ = tiny_study
    for columns in ("80", "30"):
        done = run("front", "tiny", "-q", "--home", home.root, COLUMNS=columns, TERM="xterm-256color")
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        assert "Pareto" in done.stdout


def test_no_color_is_honoured_on_a_terminal() -> None:
    code = (
        "import pty, sys, os; os.environ.update(NO_COLOR='1', TERM='xterm-256color')\n"
        f"sys.exit(os.waitstatus_to_exitcode(pty.spawn({[*COMMAND, 'status', 'nobody']!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 2
    assert b"error: " in done.stdout.replace(b"\x1b[1m", b"").replace(b"\x1b[0m", b"")
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]", done.stdout), done.stdout


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command as it is typed, and as Typer parses it."""
    for word, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


COMMANDS = dict(_commands(typer.main.get_command(app), ""))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_quiet_and_verbose(name: str) -> None:
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert {"-q", "--quiet", "-v", "--verbose"} <= options


def test_a_quick_command_that_is_quiet_has_no_notes(run_cli, tiny_study) -> None:
    path, home, _ = tiny_study
    status, out, err = run_cli("front", "tiny", "--home", home.root)
    assert (status, err) == (0, "export one: wordlength export tiny --pick knee --to best\n")
    assert run_cli("front", path, "-q", "--home", home.root) == (0, out, "")
    assert run_cli("-q", "front", path, "--home", home.root) == (0, out, "")
    assert run_cli("front", "tiny", "-v", "--home", home.root) == (0, out, err)
    assert run_cli("--verbose", "front", "tiny", "--home", home.root) == (0, out, err)
    assert run_cli("status", "tiny", "-q", "--home", home.root)[0] == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_readable_in_80_columns(run_cli, monkeypatch, name: str) -> None:
    """Texts beside options have room enough, and no line runs over."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    status, out, _ = run_cli(*name.split(), "--help")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "klein" not in out  # Who asks for help has launched `demo` at most.
    assert [line for line in COMMANDS[name].help.splitlines() if re.match(" {4,}wordlength .{66}", line)] == []
    (panel,) = re.findall(r"╭─ Options ─.*?╰", out, re.DOTALL)
    (told,) = [line for line in panel.splitlines() if "--help" in line]
    assert told.index("Show this") <= 40, out
    assert "<bool>" not in out  # No switch takes a value.


def test_retrain_tells_the_defaults_of_its_settings() -> None:
    told = {option.name: option.default for option in COMMANDS["retrain"].params}
    assert (told["epochs"], told["distillation"]) == (RetrainingSettings.epochs, RetrainingSettings.distillation)


def test_quiet_says_only_results_and_normal_nothing_of_the_libraries(tiny_study) -> None:
    """From a shell, with TensorFlow's start-up and all."""
    _, home, _ = tiny_study
    asked = ("propose", "tiny", "--bits", "8", "--role", "weights", "--home", home.root)
    quiet, normal = run(*asked, "-q"), run(*asked)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert quiet.stdout == normal.stdout
    assert "integer bits" in normal.stdout
    assert [line.partition(":")[0] for line in normal.stderr.splitlines()] == ["data", "float baseline"]


def test_a_terminal_that_lacks_letters_gets_all_others(project: Home) -> None:
    command = [*COMMAND, "front", "tiny", "--home", str(project.root)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, timeout=300)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
    assert b"+0.0300 ? 0.0010" in done.stdout


def test_ctrl_c_in_a_long_command_is_one_line_and_130(tiny_study, tmp_path: Path) -> None:
    _, home, _ = tiny_study
    process = subprocess.Popen(
        [*COMMAND, "subset", "tiny", "--fractions", "0.5", "--json", "figures.json", "--home", str(home.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("float baseline"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == (
        "stopped; prepared data and a trained float baseline are kept; go on with: wordlength subset tiny "
        f"--fractions 0.5 --json figures.json --home {home.root}"
    )
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
