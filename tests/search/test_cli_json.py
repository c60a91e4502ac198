"""--json: every command that shows figures writes them, alone on standard output where that is asked for."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from wordlength.search.cli import app

pytestmark = pytest.mark.usefixtures("tensorflow")

WITHOUT = {
    "init": "writes a study file",
    "launch": "`front --json` has its result",
    "ui": "serves until it is stopped",
    "schema": "is JSON",
    "export": "writes config.json",
    "import": "queues a candidate",
    "archive": "writes a study into a file",
    "restore": "brings a study back; `status --json` tells of it",
    "submit": "hands a launch over; `job status --json` tells of it",
    "job logs": "is a text",
    "job stop": "ends a launch; `job status --json` tells of it",
}
"""Commands without --json, and why."""


def commands(group: object, above: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command by its full name, with all its options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", {option for each in command.params for option in each.opts}


def test_every_command_that_shows_figures_writes_json() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert len(found) > len(WITHOUT)
    assert {name for name, options in found.items() if "--json" not in options} == set(WITHOUT)


@pytest.fixture
def figures(run_cli, tiny_study, tmp_path: Path):
    """Runs a command on the launched study, figures to standard output and to a file: they are the same."""
    _, home, _ = tiny_study

    def run(*arguments: str) -> dict:
        file = tmp_path / "figures.json"
        status, out, _ = run_cli(*arguments, "--home", home.root, "--json", "-")
        assert status == 0
        status, table, _ = run_cli(*arguments, "--home", home.root, "--json", file)
        assert status == 0
        assert table, "the table is printed beside the file"
        found, written = json.loads(out), json.loads(file.read_text())
        took = [figures.pop("seconds", None) for figures in (found, written)]  # Of two runs.
        assert (took[0] is None) == (took[1] is None)
        assert found == written
        return found

    return run


def test_status_as_figures(figures, tiny_study) -> None:
    view = tiny_study[2]
    found = figures("status", "tiny")
    assert found["counts"] == view.counts
    assert found["front"] == [point.number for point in view.front]
    assert found["seconds_per_trial"] == view.mean_seconds
    assert found["baseline"] == dict(view.baseline.values)
    assert (found["wanted"], found["finished"], found["live"], found["trials"]) == (6, 6, False, [])


def test_memory_as_figures(figures) -> None:
    found = figures("memory", "tiny", "--weights", "po2:4,-1")
    assert found["memory_bytes"] == sum(layer["memory_bytes"] for layer in found["layers"])
    assert found["float32_bytes"] == 4 * sum(layer["parameters"] for layer in found["layers"])
    assert found["layers"][0]["weights"] == "po2<4,-1>"
    assert found["layers"][0]["biases"] == "fixed<16,2>"


def test_check_as_figures(figures) -> None:
    assert figures("check", "tiny") == {"study": "tiny", "agree": True, "found": [], "left": []}


def test_analysis_as_figures(figures) -> None:
    found = figures("analyze", "tiny", "--weights", "fixed:8,1", "--activations", "fixed:16,4")
    assert found["state"] == "complete"
    assert set(found["values"]) == set(found["baseline"]) - {"stoi_standard_error"}
    assert found["memory"]["memory_bytes"] == found["values"]["memory_bytes"]
    assert {row["slot"] for row in found["tensors"]} > {"conv_1.weights", "dense_1.activations"}
    assert all((row["bits_used"] is None) == (row["fraction_bits"] is None) for row in found["accumulators"])
    known = [row for row in found["accumulators"] if row["bits_used"] is not None]
    assert known
    assert all(row["bits_worst"] >= row["bits_used"] for row in known)
    assert found["findings"]


def test_a_file_that_cannot_be_written_is_refused_at_once(run_cli, tmp_path: Path) -> None:
    for option in ("--json", "--csv"):
        status, out, err = run_cli("front", "nobody", "--home", tmp_path, option, tmp_path / "no" / "where")
        assert (status, out) == (2, "")
        assert f"a file's folder must exist, but {tmp_path / 'no'} does not ({option})" in err
