"""Studies: launch, status, front, ui, export, schema."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from wordlength.search.cli.common import (
    HomeOption,
    Study,
    StudyFile,
    Verbose,
    app,
    console,
    errors,
    home_of,
    read_spec,
    refuse,
)


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
    spec, place = read_spec(study_file, {"trials": trials, "count": workers}), home_of(home)
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

    place = home_of(home)
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

    view = load_study(study, home_of(home))
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

    place = home_of(home)
    if not place.names():
        refuse(f"there must be a launched study to show, but {place.root} has none; run: wordlength launch STUDY_FILE")
    try:
        status = serve_ui(place.tracking_address(), place.artifacts, port, browser)
    except ValueError as error:
        refuse(f"{error} (--port)")
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
        done = run(study, pick, to, home_of(home), force=force, verify=verify, observer=display, tell=console.print)
    if done.measured_again is not None:
        console.print(
            f"measured again from the written model: STOI improvement {done.measured_again:+.7f}, "
            f"logged {done.point.stoi_improvement:+.7f}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"written: {done.folder}/ config.json, qkeras_model.keras, report.md", highlight=False)


@app.command()
def schema() -> None:
    """Print the study file's JSON schema: every key, its range and what it means.

    Example:

        wordlength schema > study.schema.json
    """
    import json

    from wordlength.search.spec import json_schema

    print(json.dumps(json_schema(), indent=2))
