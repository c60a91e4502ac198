"""What all commands share: the Typer app, options, error lines, study files and formats from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from wordlength.search.home import Home
    from wordlength.search.spec import StudySpec
    from wordlength.space import Candidate, SlotInfo

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
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write it as JSON to this file; - for standard output.", show_default=False),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Ray print.")]

console = Console()
errors = Console(stderr=True)


def home_of(folder: Path | None) -> Home:
    """The project folder: the one given, or the default."""
    from wordlength.search.home import Home

    return Home(folder.expanduser().absolute()) if folder else Home.default()


def read_spec(study_file: Path, overrides: dict[str, int | None] | None = None) -> StudySpec:
    """The study file with command-line overrides, checked like the file's own values."""
    from wordlength.search.spec import load_spec, with_overrides

    return with_overrides(load_spec(study_file), **(overrides or {}))


def check_formats(*texts: str) -> None:
    """Refuse texts that are no formats, before anything slow."""
    from wordlength.space import parse_format

    for text in texts:
        parse_format(text)


def uniform_candidate(slots: tuple[SlotInfo, ...], weights: str, biases: str, activations: str) -> Candidate:
    """The same three formats in every layer."""
    from wordlength.space import Candidate, parse_format

    return Candidate.uniform(
        (info.slot for info in slots), parse_format(weights), parse_format(biases), parse_format(activations)
    )


def read_candidate(path: Path, slots: tuple[SlotInfo, ...]) -> Candidate:
    """The candidate of a JSON file: slot → format, as `wordlength propose --to` writes it, or an exported config.json.

    Raises SpecError or FormatError, naming the file, unless every slot of the network has a format that fits it.
    """
    from wordlength.errors import FormatError
    from wordlength.space import Candidate, parse_format

    texts, formats = _formats_in(path, [str(info.slot) for info in slots]), {}
    for info in slots:
        try:
            formats[info.slot] = parse_format(texts[str(info.slot)])
            info.formats(formats[info.slot])
            Candidate.of({info.slot: formats[info.slot]})
        except FormatError as error:
            place = path if str(info.slot) in str(error) else f"{info.slot} in {path}"
            raise FormatError(f"{error} ({place})") from None
    return Candidate.of(formats)


def _formats_in(path: Path, slots: list[str]) -> dict[str, str]:
    """The file's map, which names just the network's slots."""
    import json
    from difflib import get_close_matches

    from wordlength.errors import SpecError

    try:
        plain = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except RecursionError:
        raise SpecError(f"a candidate file must be a flat map, but it is nested too deep ({path})") from None
    except ValueError as error:
        raise SpecError(f"a candidate file must be JSON, but {error} ({path})") from None
    formats = plain.get("candidate", plain) if isinstance(plain, dict) else plain
    if not isinstance(formats, dict) or not all(isinstance(text, str) for text in formats.values()):
        raise SpecError(f'a candidate file must map slots to formats, as {{"{slots[0]}": "fixed<8,0>", …}} ({path})')
    if unknown := [name for name in formats if name not in slots]:
        near = get_close_matches(unknown[0], slots, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"a candidate's slots must be the network's, but got {unknown[0]!r}{hint} ({path})")
    if missing := [name for name in slots if name not in formats]:
        more = f" and {len(missing) - 1} more have" if len(missing) > 1 else " has"
        raise SpecError(f"a candidate must give every slot a format, but {missing[0]}{more} none ({path})")
    return formats


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} is there twice")
    return dict(pairs)


def write_json(place: Path, plain: Mapping[str, Any]) -> None:
    """To a file, or for `-` to standard output; the command prints no table then."""
    import json

    from wordlength.atomic import write_atomically

    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    if place == Path("-"):
        typer.echo(text, nl=False)
    else:
        write_atomically(place, text.encode())


def refuse(text: str) -> NoReturn:
    """Print one line and leave with status 2."""
    print_error(text)
    raise typer.Exit(2)


def print_error(text: str) -> None:
    """One red-marked line per line of text, on standard error."""
    for line in text.splitlines():
        errors.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
