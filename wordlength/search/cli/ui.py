"""The front in MLflow: ui."""

from __future__ import annotations

from typing import Annotated

import typer

from wordlength.search.cli.common import HomeOption, app, home_of, refuse
from wordlength.search.cli.completion import complete_study
from wordlength.search.cli.loudness import console


@app.command()
def ui(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Name of a launched study, or its study file; without it all are listed.",
            autocompletion=complete_study,
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Port on this machine; by default a free one.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    home: HomeOption = None,
) -> None:
    """Open a study's Pareto front in MLflow's own UI; Ctrl-C ends it. Reachable from this machine only.

    Without STUDY the links of all studies are printed, and the one launched last is opened. Where a study is recorded
    on a tracking server of its own (storage.tracking), that server's link is printed, and nothing is started.

    Examples:

        wordlength ui demo

        wordlength ui demo --port 5000 --no-browser
    """
    from wordlength.errors import WordlengthError
    from wordlength.search.front_page import show_fronts

    place = home_of(home)
    if study is None and not place.names():
        refuse(f"there must be a launched study to show, but {place.root} has none; run: wordlength launch STUDY_FILE")
    specs = [place.find(study)] if study else [place.find(name) for name in place.newest_first()]
    try:
        show_fronts(specs, place, port, not no_browser, console)
    except WordlengthError:
        raise
    except ValueError as error:
        refuse(f"{error} (--port)")
