"""The command line: launch a study, look at its front, export the best config."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from wordlength.errors import WordlengthError

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
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Project folder for studies and caches.", envvar="WORDLENGTH_HOME", show_default=".wordlength"
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what TensorFlow and Ray print.")]
Weights = Annotated[str, typer.Option("--weights", help="Format of all kernels, as po2:4,-1 or 'po2<4,-1>'.")]
Biases = Annotated[str, typer.Option("--biases", help="Format of all biases.")]
Activations = Annotated[str, typer.Option("--activations", help="Format of all layer outputs.")]

console = Console()
errors = Console(stderr=True)


@app.command()
def launch(
    study_file: StudyFile,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Finished trials the study shall have in the end.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Trials at a time.")] = None,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Join this Ray cluster.")] = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Launch a study, or go on with it: the same command resumes after Ctrl-C.

    Examples:

        wordlength launch examples/klein.yaml

        wordlength launch examples/klein.yaml --trials 100 --workers 2
    """
    spec, place = _spec(study_file, {"trials": trials, "count": workers}), _home(home)
    from wordlength.search.launch import launch as run
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.tables import front_tables, verdict

    try:
        with LaunchDisplay(console) as display:
            view = run(spec, place, ray_address=ray_address, observer=display, verbose=verbose)
    except KeyboardInterrupt:
        again = shlex.join(sys.argv[1:])
        errors.print(f"stopped; go on with: wordlength {again}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    console.print(*front_tables(view, console.width), verdict(view), sep="\n", highlight=False)
    if view.finished < view.wanted:
        console.print("ended early: only known candidates were proposed; the space is as good as exhausted")


@app.command()
def status(study: Study, home: HomeOption = None) -> None:
    """Counts by state, hypervolume, running trials, time per trial.

    Example:

        wordlength status klein
    """
    from wordlength.search.study import load_study
    from wordlength.search.tables import status_table

    place = _home(home)
    view = load_study(study, place)
    console.print(status_table(view, place.study(view.name).is_live()))


@app.command()
def front(study: Study, home: HomeOption = None) -> None:
    """The Pareto front: trial, STOI improvement, memory, formats per layer.

    Example:

        wordlength front klein
    """
    from wordlength.search.study import load_study
    from wordlength.search.tables import front_tables, verdict

    view = load_study(study, _home(home))
    console.print(*front_tables(view, console.width), verdict(view), sep="\n", highlight=False)


@app.command()
def ui(
    port: Annotated[int | None, typer.Option("--port", help="Port on this machine; by default a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    home: HomeOption = None,
) -> None:
    """Open MLflow's own UI on this project's studies; Ctrl-C ends it. Reachable from this machine only.

    Examples:

        wordlength ui

        wordlength ui --port 5000 --no-browser
    """
    from wordlength.search.ui import serve_ui

    place = _home(home)
    if not place.names():
        _refuse(f"there must be a launched study to show, but {place.root} has none; run: wordlength launch STUDY_FILE")
    try:
        status = serve_ui(place.tracking_address(), place.artifacts, port, browser)
    except ValueError as error:
        _refuse(f"{error} (--port)")
    raise typer.Exit(status)


@app.command()
def export(
    study: Study,
    to: Annotated[Path, typer.Option("--to", help="New or empty folder for the files.")],
    pick: Annotated[
        str, typer.Option("--pick", help="knee, best, smallest, trial=N or max-bytes=SIZE (as 120kB).")
    ] = "knee",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    verify: Annotated[bool, typer.Option(help="Load the written model and measure it again.")] = True,
    home: HomeOption = None,
) -> None:
    """Export one trial: config.json, qkeras_model.keras, report.md.

    Examples:

        wordlength export klein --pick knee --to best

        wordlength export klein --pick max-bytes=120kB --to small
    """
    from wordlength.search.export.bundle import export as run
    from wordlength.search.progress import LaunchDisplay

    with LaunchDisplay(console) as display:
        done = run(study, pick, to, _home(home), force=force, verify=verify, observer=display, tell=console.print)
    if done.measured_again is not None:
        console.print(
            f"measured again from the written model: STOI improvement {done.measured_again:+.7f}, "
            f"logged {done.point.stoi_improvement:+.7f}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"written: {done.folder}/ config.json, qkeras_model.keras, report.md", highlight=False)


@app.command()
def analyze(
    study_file: StudyFile,
    weights: Weights,
    biases: Biases = "fixed:16,2",
    activations: Activations = "fixed:16,2",
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """One candidate with the same formats in every layer: two-step training and fixed-point analysis.

    Example:

        wordlength analyze examples/klein.yaml --weights po2:4,-1 --biases fixed:16,2 --activations fixed:16,2
    """
    spec, place = _spec(study_file), _home(home)
    _formats(weights, biases, activations)
    from wordlength.objectives.report import TrialJob
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.session import open_evaluator
    from wordlength.search.tables import analysis_table, memory_table, trial_verdict

    with LaunchDisplay(console) as display:
        evaluator, baseline = open_evaluator(spec, place, display, verbose)
        candidate = _uniform(baseline.slots, weights, biases, activations)
        with display.busy("two-step training"):
            report, _ = evaluator.evaluate(TrialJob(0, candidate, spec.seed))
    console.print(analysis_table(report))
    console.print(memory_table(baseline.slots, candidate))
    console.print(trial_verdict(report, baseline), highlight=False)


@app.command()
def memory(
    study_file: StudyFile,
    weights: Weights,
    biases: Biases = "fixed:16,2",
    activations: Activations = "fixed:16,2",
    verbose: Verbose = False,
) -> None:
    """Bytes per layer and in total for the same formats in every layer; trains nothing, needs no data.

    Example:

        wordlength memory examples/klein.yaml --weights po2:4,-1 --biases fixed:16,2 --activations fixed:16,2
    """
    spec = _spec(study_file)
    _formats(weights, biases, activations)
    from wordlength.search.session import model_slots
    from wordlength.search.tables import memory_table

    slots = model_slots(spec, verbose)
    console.print(memory_table(slots, _uniform(slots, weights, biases, activations)))


@app.command()
def schema() -> None:
    """Print the study file's JSON schema: every key, its range and what it means.

    Example:

        wordlength schema > study.schema.json
    """
    import json

    from wordlength.search.spec import json_schema

    print(json.dumps(json_schema(), indent=2))


def main() -> NoReturn:
    """Run the command line; anything that wordlength refuses becomes one line and exit status 2."""
    try:
        app()
    except WordlengthError as error:
        _print_error(str(error))
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        _print_error(f"files must be readable and folders writable, but {error.filename}: {error.strerror}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _home(folder: Path | None) -> Home:
    from wordlength.search.home import Home

    return Home(folder.expanduser().absolute()) if folder else Home.default()


def _spec(study_file: Path, overrides: dict[str, int | None] | None = None) -> StudySpec:
    """The study file with command-line overrides, checked like the file's own values."""
    from wordlength.search.spec import load_spec, with_overrides

    return with_overrides(load_spec(study_file), **(overrides or {}))


def _formats(*texts: str) -> None:
    from wordlength.space import parse_format

    for text in texts:
        parse_format(text)


def _uniform(slots: tuple[SlotInfo, ...], weights: str, biases: str, activations: str) -> Candidate:
    from wordlength.space import Candidate, parse_format

    return Candidate.uniform(
        (info.slot for info in slots), parse_format(weights), parse_format(biases), parse_format(activations)
    )


def _refuse(text: str) -> NoReturn:
    _print_error(text)
    raise typer.Exit(2)


def _print_error(text: str) -> None:
    for line in text.splitlines():
        errors.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
