"""What all commands share: the Typer app, arguments and options, error lines, figures as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.text import Text

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError
from wordlength.paths import expanded
from wordlength.search.cli.completion import complete_any_study, complete_pick, complete_study, complete_study_file
from wordlength.search.cli.loudness import CommandLine, Quiet, Verbose, console, errors, notes, switch
from wordlength.search.cli.places import STANDARD_OUTPUT, require_places
from wordlength.search.picking import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wordlength.search.home import Home
    from wordlength.search.study_file.spec import StudySpec

app = CommandLine(
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
    epilog="Exit status: 0 done; 1 the answer is no (check, verify, data, doctor); 2 refused; 130 stopped by Ctrl-C.",
)


def _tell_version(asked: bool) -> None:
    if asked:
        from wordlength.version import VERSION

        print(f"wordlength {VERSION}")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool, switch("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    console.begin()
    notes.quiet = False


StudyFile = Annotated[
    Path,
    typer.Argument(
        help="Study file (YAML); `wordlength schema` describes every key.", autocompletion=complete_study_file
    ),
]
Study = Annotated[
    str, typer.Argument(help="Name of a launched study, or its study file.", autocompletion=complete_study)
]
AnyStudy = Annotated[
    str, typer.Argument(help="Name of a launched study, or any study file.", autocompletion=complete_any_study)
]
Trials = Annotated[
    int | None, typer.Option("--trials", metavar="N", help="Finished trials the study shall have in the end.")
]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Trials at a time.")]
PICKS = "knee (beyond it memory buys less than on average), best, smallest, trial=N or max-bytes=SIZE (as 200kB)"


def rules(given: str | list[str] | None) -> str | list[str] | None:
    """What --pick was given, where each is a rule that picks a point. Raises SpecError before anything is read."""
    for rule in [given] if isinstance(given, str) else given or ():
        try:
            Rule.parse(rule)
        except ValueError as error:
            raise SpecError(f"{error} (--pick)") from None
    return given


Pick = Annotated[
    str,
    typer.Option("--pick", metavar="RULE", help=f"{PICKS}.", autocompletion=complete_pick, callback=rules),
]
KNEE = ["knee"]
Picks = Annotated[
    list[str],
    typer.Option(
        "--pick",
        metavar="RULE",
        help=f"{PICKS}; may be given more than once.",
        autocompletion=complete_pick,
        callback=rules,
    ),
]
Retrained = Annotated[
    bool, switch("--retrained", help="The weights of `wordlength retrain` in place of the trial's own.")
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Project folder for studies and caches; else .wordlength.",
        envvar="WORDLENGTH_HOME",
    ),
]


def _picture_place(file: Path | None) -> Path | None:
    require_places(plot=file)
    if file is not None and file.suffix.lower() not in (".png", ".html"):
        raise SpecError(f"a picture's file must end in .png or .html, but got {str(file)!r} (--plot)")
    return file


PictureFile = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw it into this file, .png or .html.",
        show_default=False,
        callback=_picture_place,
    ),
]


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
        metavar="FILE",
        help="Write it as JSON to this file; - for standard output.",
        show_default=False,
        callback=_json_place,
    ),
]


CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write it as CSV to this file; - for standard output.",
        show_default=False,
        callback=_csv_place,
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


def write_picture(place: Path, png: Callable[[], bytes], html: Callable[[], bytes]) -> None:
    """Draw what the file's ending asks for (the option --plot refuses others), and say so."""
    write_atomically(place, (png if place.suffix.lower() == ".png" else html)())
    note(f"written: {place}")


def say(text: str) -> None:
    """A line of the result, as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    notes.print(text, highlight=False, markup=False, soft_wrap=True)


def home_of(folder: Path | None) -> Home:
    """The project folder: the one given, or the default."""
    from wordlength.search.home import Home

    return Home(expanded(folder).absolute()) if folder else Home.default()


def read_spec(study_file: Path, overrides: dict[str, int | None] | None = None) -> StudySpec:
    """The study file with command-line overrides, checked like the file's own values."""
    from wordlength.search.study_file.spec import load_spec, with_overrides

    return with_overrides(load_spec(study_file), **(overrides or {}))


def refuse(text: str) -> NoReturn:
    """Print one line and leave with status 2."""
    print_error(text)
    raise typer.Exit(2)


def print_error(text: str) -> None:
    """One red-marked line per line of text, on standard error."""
    for line in text.splitlines():
        errors.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
