"""The result: front."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wordlength.search.cli.common import (
    CsvFile,
    HomeOption,
    JsonFile,
    PictureFile,
    Study,
    app,
    home_of,
    note,
    refuse,
    write_json,
    write_picture,
    write_text,
)
from wordlength.search.cli.loudness import console
from wordlength.search.cli.places import STANDARD_OUTPUT

if TYPE_CHECKING:
    from wordlength.search.trials import StudyView


@app.command()
def front(
    study: Study,
    plot: PictureFile = None,
    csv_file: CsvFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
) -> None:
    """The Pareto front: trial, quality (STOI improvement by default), memory, formats per layer.

    The smallest member, the knee and the best are named; so are uniform formats, those of Klein et al. 2021 among them.

    Examples:

        wordlength front demo

        wordlength front demo --plot front.html

        wordlength front demo --json - | jq .knee
    """
    from wordlength.search.plots import front_csv, front_figures
    from wordlength.search.study import load_study
    from wordlength.search.tables import front_tables, verdict

    if json_file == csv_file == STANDARD_OUTPUT:
        refuse("a front is printed in one format, but got both JSON and CSV (--json - --csv -)")
    view = load_study(study, home_of(home))
    if json_file is not None:
        write_json(json_file, front_figures(view))
    if csv_file is not None:
        write_text(csv_file, front_csv(view.front, view.baseline))
    console.show(*front_tables(view, console.table_columns), *verdict(view))
    if plot is not None:
        _plot(view, plot)
    if view.front and not console.quiet:
        note(f"export one: wordlength export {view.name} --pick knee --to best")


def _plot(view: StudyView, file: Path) -> None:
    from wordlength.search.plots import pareto_html, pareto_png

    write_picture(file, lambda: pareto_png(view), lambda: pareto_html(view).encode())
