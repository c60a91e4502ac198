"""Studies: launch, status, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.common import (
    HomeOption,
    JsonFile,
    Study,
    StudyFile,
    Trials,
    Workers,
    app,
    home_of,
    note,
    read_spec,
    say,
    write_json,
)
from wordlength.search.cli.loudness import Verbose, console, switch
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.search.check import Violation


@app.command()
def launch(
    study_file: StudyFile,
    trials: Trials = None,
    workers: Workers = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", metavar="URL", help="Join this Ray cluster.")
    ] = None,
    no_ui: Annotated[
        bool, switch("--no-ui", help="Do not serve the front in MLflow's UI while the study runs.")
    ] = False,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Launch a study, or go on with it: the same command resumes after Ctrl-C, and so does the name of the study.

    As soon as the study exists, the link to its Pareto front in MLflow is printed; the front moves there while the
    study runs.

    Examples:

        wordlength launch examples/demo.yaml

        wordlength launch examples/demo.yaml --trials 100 --workers 2
    """
    place = home_of(home)
    spec = read_spec(place.file_of(study_file), {"trials": trials, "count": workers})
    from wordlength.search.front_page import LivePage
    from wordlength.search.launch import launch as run
    from wordlength.search.tables import front_tables, verdict

    if ray_address:
        note("while it is part of the cluster, Ray's processes of this machine listen on all of its interfaces")
    with LivePage(spec, place, not no_ui) as page, at_work("every trial that has ended is kept", page) as display:
        view = run(spec, place, ray_address=ray_address, observer=display, verbose=verbose)
    console.show(*front_tables(view, console.table_columns), *verdict(view))
    note(f"the front in MLflow: wordlength ui {view.name}")
    if view.finished < view.wanted:
        note("ended early: only known candidates were proposed; the space is as good as exhausted")


@app.command()
def status(study: Study, json_file: JsonFile = None, home: HomeOption = None) -> None:
    """Counts by state, hypervolume, running trials, time per trial.

    Example:

        wordlength status demo
    """
    from wordlength.search.figures import status_figures
    from wordlength.search.rungs import rung_counts
    from wordlength.search.study import load_study
    from wordlength.search.tables import status_table

    place = home_of(home)
    view = load_study(study, place)
    folder, settings = place.study(view.name), place.find(view.name).search.screening
    trials = [row.candidate.digest for row in view.rows if row.candidate is not None]
    screened = rung_counts(folder.screening, settings, trials) if settings else None
    if json_file is not None:
        write_json(json_file, status_figures(view, folder.is_live(), screened))
    console.show(status_table(view, folder.is_live(), screened))


@app.command()
def check(
    study: Study,
    repair: Annotated[bool, switch("--repair", help="Mend MLflow from the trials' storage.")] = False,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Compare the trials' storage with the study's folder and with MLflow; exit status 1 if they do not agree.

    The storage is the truth: with --repair, runs that are missing, half written, doubled or different are written
    again from it and from the trials' reports, and trials that no launch runs any more are queued again.

    Examples:

        wordlength check demo

        wordlength check demo --repair
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
        say(f"{len(found)} found, {len(found) - len(left)} mended")
    elif found:
        say(f"{len(found)} found; mend MLflow with: wordlength check {spec.name} --repair")
    else:
        say("storage, folder and MLflow agree")
    if json_file is not None:
        write_json(json_file, {"study": spec.name, "agree": not left, "found": found, "left": left})
    if left:
        raise typer.Exit(1)


def _tell_all(violations: Sequence[Violation], head: str) -> None:
    for violation in violations:
        say(f"{head}{violation}")
