"""What this machine lacks: doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from wordlength.search.cli.common import HomeOption, JsonFile, app, home_of, read_spec, write_json
from wordlength.search.cli.completion import complete_study_file
from wordlength.search.cli.loudness import console

if TYPE_CHECKING:
    from wordlength.search.doctor import Finding

STYLES = {"ok": "green", "warning": "bold yellow", "fault": "bold red"}
_STATES, _NAMES = 7, 17
"""Widths of the first two columns."""


@app.command()
def doctor(
    study_file: Annotated[
        Path | None,
        typer.Argument(help="A study file, to see whether it can run here.", autocompletion=complete_study_file),
    ] = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
) -> None:
    """What wordlength needs of this machine: what is there, what is not, and what to do about it.

    Versions, cores and memory and the workers they suit, the GPU that TensorFlow sees, the home folder, corpora, C
    compiler, MLflow, and Ray, which is really started and stopped. Some seconds; nothing is left behind.

    Exit status 1 if there is a fault; 0 with warnings.

    Examples:

        wordlength doctor

        wordlength doctor examples/demo.yaml
    """
    spec = None if study_file is None else read_spec(study_file)
    from wordlength.search.doctor import State, examine

    found = []
    for finding in examine(home_of(home), spec):
        found.append(finding)
        _tell(finding)
    faulty = any(finding.state is State.FAULT for finding in found)
    if json_file is not None:
        write_json(json_file, {"fit": not faulty, "findings": found})
    raise typer.Exit(1 if faulty else 0)


def _tell(finding: Finding) -> None:
    """A line, or as many as what was found needs, and one below it for the advice."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=_STATES, style=STYLES[finding.state])
    line.add_column(width=_NAMES)
    line.add_column(overflow="fold")
    line.add_row(finding.state.value, finding.what, Text(finding.found))
    if finding.advice:
        line.add_row("", "", Text(finding.advice, style="italic"))
    console.print(line)
