"""What all commands share: the Typer app, arguments and options, error lines, figures as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from wordlength.atomic import write_atomically
from wordlength.search.cli.places import STANDARD_OUTPUT, require_places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordlength.search.home import Home
    from wordlength.search.spec import StudySpec

app = typer.Typer(
    name="wordlength",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Find for every layer of a network the bit width, integer bits and quantizer type that cost the least
intelligibility per byte.

Three steps: **launch** a study, look at its **front** (also in MLflow: **ui**), **export** the best config.

    wordlength launch examples/demo.yaml

    wordlength front demo

    wordlength export demo --pick knee --to best
""",
)

StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML); `wordlength schema` describes every key.")]
Study = Annotated[str, typer.Argument(help="Name of a launched study, or its study file.")]
AnyStudy = Annotated[str, typer.Argument(help="Name of a launched study, or any study file.")]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Project folder for studies and caches.", envvar="WORDLENGTH_HOME", show_default=".wordlength"
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Ray print.")]

console = Console()
errors = Console(stderr=True)


def _json_place(place: Path | None) -> Path | None:
    """Refuse a file that cannot be written; where JSON goes to standard output, nothing else goes there."""
    require_places(json=place)
    if place == STANDARD_OUTPUT:
        console.quiet = True
    return place


def _csv_place(place: Path | None) -> Path | None:
    require_places(csv=place)
    if place == STANDARD_OUTPUT:
        console.quiet = True
    return place


JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="Write it as JSON to this file; - for standard output.",
        show_default=False,
        callback=_json_place,
    ),
]


CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv", help="Write it as CSV to this file; - for standard output.", show_default=False, callback=_csv_place
    ),
]


def write_json(place: Path, plain: Mapping[str, Any]) -> None:
    """Figures as JSON: dataclasses by field, formats and slots as text, what is no finite number as null.

    `place`: `-` is standard output, and the command prints no table then (the option --json silences `console`).
    """
    import json

    from wordlength.search.json_types import json_types

    write_text(place, json.dumps(json_types(plain), indent=1, allow_nan=False) + "\n")


def write_text(place: Path, text: str) -> None:
    """A whole file, or standard output where `place` is `-`."""
    if place == STANDARD_OUTPUT:
        print(text, end="", flush=True)
    else:
        write_atomically(place, text.encode())


def home_of(folder: Path | None) -> Home:
    """The project folder: the one given, or the default."""
    from wordlength.search.home import Home

    return Home(folder.expanduser().absolute()) if folder else Home.default()


def read_spec(study_file: Path, overrides: dict[str, int | None] | None = None) -> StudySpec:
    """The study file with command-line overrides, checked like the file's own values."""
    from wordlength.search.spec import load_spec, with_overrides

    return with_overrides(load_spec(study_file), **(overrides or {}))


def refuse(text: str) -> NoReturn:
    """Print one line and leave with status 2."""
    print_error(text)
    raise typer.Exit(2)


def print_error(text: str) -> None:
    """One red-marked line per line of text, on standard error."""
    for line in text.splitlines():
        errors.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
