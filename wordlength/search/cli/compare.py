"""Two studies over each other: compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.common import (
    KNEE,
    PICKS,
    HomeOption,
    JsonFile,
    PictureFile,
    app,
    home_of,
    refuse,
    rules,
    say,
    write_json,
    write_picture,
)
from wordlength.search.cli.completion import complete_pick, complete_study
from wordlength.search.cli.loudness import console

if TYPE_CHECKING:
    from wordlength.search.compare import Comparison


StudyA = Annotated[
    str,
    typer.Argument(
        metavar="STUDY_A", help="Name of a launched study, or its study file.", autocompletion=complete_study
    ),
]
StudyB = Annotated[
    str,
    typer.Argument(metavar="STUDY_B", help="Another one with the same objectives.", autocompletion=complete_study),
]
Whose = Annotated[
    list[str],
    typer.Option(
        "--pick",
        metavar="RULE",
        help=f"Whose formats are compared: {PICKS}; twice: of A, then of B.",
        autocompletion=complete_pick,
        callback=rules,
    ),
]


@app.command()
def compare(
    first: StudyA,
    second: StudyB,
    pick: Whose = KNEE,
    plot: PictureFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
) -> None:
    """Two studies' fronts over each other: hypervolume, who beats whom, which formats differ.

    Both hypervolumes count from the same worst values. For every member of either front: what the other study reaches
    for no more than its cost, and what it needs for no less than its quality. Where data, network or float baseline
    are not the same, that is told first.

    Examples:

        wordlength compare demo demo-wide

        wordlength compare demo demo-wide --pick best --plot fronts.png
    """
    if len(pick) > 2:
        refuse(f"a member is picked from each of two studies, but got {len(pick)} rules (--pick)")
    from wordlength.search.compare import compare as run
    from wordlength.search.compare_tables import comparison_figures, comparison_tables

    found = run(first, second, home_of(home), tuple(pick))
    if json_file is not None:
        write_json(json_file, comparison_figures(found))
    for part in comparison_tables(found):
        say(part) if isinstance(part, str) else console.show(part)
    if plot is not None:
        _plot(found, plot)


def _plot(found: Comparison, file: Path) -> None:
    from wordlength.search.plots.two_fronts import fronts_html, fronts_png

    write_picture(file, lambda: fronts_png(found), lambda: fronts_html(found))
