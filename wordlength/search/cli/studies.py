"""Studies: launch, status, front, ui, export, schema."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.common import (
    CsvFile,
    HomeOption,
    JsonFile,
    Study,
    StudyFile,
    Verbose,
    app,
    console,
    errors,
    home_of,
    read_spec,
    refuse,
    write_json,
    write_text,
)
from wordlength.search.cli.places import STANDARD_OUTPUT, require_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.search.check import Violation
    from wordlength.search.trials import StudyView


@app.command()
def launch(
    study_file: StudyFile,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Finished trials the study shall have in the end.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Trials at a time.")] = None,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Join this Ray cluster.")] = None,
    ui: Annotated[bool, typer.Option(help="Serve the front in MLflow's UI while the study runs.")] = True,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Launch a study, or go on with it: the same command resumes after Ctrl-C.

    As soon as the study exists, the link to its Pareto front in MLflow is printed; the front moves there while the
    study runs.

    Examples:

        wordlength launch examples/klein.yaml

        wordlength launch examples/klein.yaml --trials 100 --workers 2
    """
    spec, place = read_spec(study_file, {"trials": trials, "count": workers}), home_of(home)
    from wordlength.search.front_page import LivePage
    from wordlength.search.launch import launch as run
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.tables import front_tables, verdict

    if ray_address:
        text = "while it is part of the cluster, Ray's processes of this machine listen on all of its interfaces"
        errors.print(text, highlight=False, soft_wrap=True)
    try:
        with LivePage(spec, place, ui) as page, LaunchDisplay(console, page) as display:
            view = run(spec, place, ray_address=ray_address, observer=display, verbose=verbose)
    except KeyboardInterrupt:
        again = shlex.join(sys.argv[1:])
        errors.print(f"stopped; go on with: wordlength {again}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    console.print(*front_tables(view, console.width), verdict(view), sep="\n", highlight=False)
    console.print(f"the front in MLflow: wordlength ui {view.name}", highlight=False)
    if view.finished < view.wanted:
        console.print("ended early: only known candidates were proposed; the space is as good as exhausted")


@app.command()
def status(study: Study, json_file: JsonFile = None, home: HomeOption = None) -> None:
    """Counts by state, hypervolume, running trials, time per trial.

    Example:

        wordlength status klein
    """
    from wordlength.search.figures import status_figures
    from wordlength.search.rungs import counted
    from wordlength.search.study import load_study
    from wordlength.search.tables import status_table

    place = home_of(home)
    view = load_study(study, place)
    folder, settings = place.study(view.name), place.find(view.name).search.screening
    trials = [row.candidate.digest for row in view.rows if row.candidate is not None]
    screened = counted(folder.screening, settings, trials) if settings else None
    if json_file is not None:
        write_json(json_file, status_figures(view, folder.is_live(), screened))
    console.print(status_table(view, folder.is_live(), screened))


@app.command()
def check(
    study: Study,
    repair: Annotated[bool, typer.Option("--repair", help="Mend MLflow from the trials' storage.")] = False,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Compare the trials' storage with the study's folder and with MLflow; exit status 1 if they do not agree.

    The storage is the truth: with --repair, runs that are missing, half written, doubled or different are written
    again from it and from the trials' reports, and trials that no launch runs any more are queued again.

    Examples:

        wordlength check klein

        wordlength check klein --repair
    """
    from wordlength.search.check import check_study, repair_study
    from wordlength.search.session import describe_again

    place = home_of(home)
    spec = place.find(study)
    found = left = check_study(spec, place)
    _tell_all(found, "")
    if repair and found:
        repair_study(spec, place, lambda identity: describe_again(spec, identity, place, verbose))
        left = check_study(spec, place)
        _tell_all(left, "left: ")
        console.print(f"{len(found)} found, {len(found) - len(left)} mended")
    elif found:
        console.print(f"{len(found)} found; mend MLflow with: wordlength check {spec.name} --repair", soft_wrap=True)
    else:
        console.print("storage, folder and MLflow agree")
    if json_file is not None:
        write_json(json_file, {"study": spec.name, "agree": not left, "found": found, "left": left})
    if left:
        raise typer.Exit(1)


def _tell_all(violations: Sequence[Violation], head: str) -> None:
    for violation in violations:
        console.print(f"{head}{violation}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def front(
    study: Study,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw it into this file, .png or .html.")] = None,
    csv_file: CsvFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
) -> None:
    """The Pareto front: trial, STOI improvement, memory, formats per layer.

    The smallest member, the knee and the best are named; so are uniform formats, and the paper's among them.

    Examples:

        wordlength front klein

        wordlength front klein --plot front.html

        wordlength front klein --json - | jq .knee
    """
    from wordlength.search.plots import front_csv, front_figures
    from wordlength.search.study import load_study
    from wordlength.search.tables import front_tables, verdict

    if json_file == csv_file == STANDARD_OUTPUT:
        refuse("a front is printed in one format, but got both JSON and CSV (--json - --csv -)")
    if plot is not None and plot.suffix.lower() not in (".png", ".html"):
        refuse(f"a picture's file must end in .png or .html, but got {str(plot)!r} (--plot)")
    require_places(plot=plot)
    view = load_study(study, home_of(home))
    if plot is not None:
        _plot(view, plot)
    if json_file is not None:
        write_json(json_file, front_figures(view))
    if csv_file is not None:
        write_text(csv_file, front_csv(view.front, view.baseline))
    console.print(*front_tables(view, console.width), verdict(view), sep="\n", highlight=False)
    if plot is not None:
        errors.print(f"written: {plot}", highlight=False, markup=False, soft_wrap=True)


def _plot(view: StudyView, file: Path) -> None:
    from wordlength.atomic import write_atomically
    from wordlength.search.plots import pareto_html, pareto_png

    shown = view.points, view.front, view.baseline, view.name, view.finished, view.ended
    drawn = pareto_png(*shown) if file.suffix.lower() == ".png" else pareto_html(*shown).encode()
    write_atomically(file, drawn)


@app.command()
def ui(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of a launched study, or its study file; by default the one launched last."),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port on this machine; by default a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    home: HomeOption = None,
) -> None:
    """Open a study's Pareto front in MLflow's own UI; Ctrl-C ends it. Reachable from this machine only.

    Without STUDY the links of all studies are printed. Where a study is recorded on a tracking server of its own
    (storage.tracking), that server's link is printed, and nothing is started.

    Examples:

        wordlength ui klein

        wordlength ui klein --port 5000 --no-browser
    """
    from wordlength.errors import WordlengthError
    from wordlength.search.front_page import show_fronts

    place = home_of(home)
    if study is None and not place.names():
        refuse(f"there must be a launched study to show, but {place.root} has none; run: wordlength launch STUDY_FILE")
    specs = [place.find(study)] if study else [place.find(name) for name in place.newest_first()]
    try:
        show_fronts(specs, place, port, browser, console)
    except WordlengthError:
        raise
    except ValueError as error:
        refuse(f"{error} (--port)")


@app.command()
def schema(
    bundle: Annotated[bool, typer.Option("--bundle", help="That of an exported config.json instead.")] = False,
) -> None:
    """Print the study file's JSON schema: every key, its range and what it means.

    Example:

        wordlength schema > study.schema.json
    """
    import json

    from wordlength.search.export.config import json_schema as bundle_schema
    from wordlength.search.spec import json_schema

    print(json.dumps(bundle_schema() if bundle else json_schema(), indent=2))
