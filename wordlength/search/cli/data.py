"""What a study's corpora hold: data."""

from __future__ import annotations

import typer
from rich.text import Text

from wordlength.search.cli.asked import study_spec
from wordlength.search.cli.common import AnyStudy, HomeOption, JsonFile, app, home_of, print_error, say, write_json
from wordlength.search.cli.loudness import Verbose, console
from wordlength.search.cli.work import at_work


@app.command()
def data(study: AnyStudy, json_file: JsonFile = None, home: HomeOption = None, verbose: Verbose = False) -> None:
    """What the study's corpora hold and what training, validation and test are made of; nothing is trained.

    Every file is read once. Levels are root mean squares in dB of full scale, lowest…highest (the JSON file has the
    median too); a file is clipped where it stays at full scale for three samples, and silent where it lies 40 dB below
    its loudest frame.
    Warnings, a line each: speakers, noise recordings or equal files in two parts, imbalance, clips too short.

    Exit status 1 where the data cannot be used; 0 with warnings.

    Examples:

        wordlength data examples/demo.yaml

        wordlength data examples/demo.yaml --json data.json
    """
    place = home_of(home)
    spec = study_spec(study, place)
    from wordlength.objectives.audio.survey import survey
    from wordlength.search.data_tables import corpus_lines, corpus_table, part_table

    with at_work("nothing was changed") as display:
        found = survey(spec.data, place.cache, display.data)
    if json_file is not None:
        write_json(json_file, {"study": spec.name, **found.to_dict()})
    if found.corpora:
        console.show(corpus_table(found))
        say(f"{corpus_lines(found, console.width)}\n")
    if found.parts:
        console.show(part_table(found))
    for line in found.warnings:
        console.print(Text.assemble(("warning: ", "bold yellow"), line), soft_wrap=True)
    for line in found.problems:
        print_error(line)
    raise typer.Exit(1 if found.problems else 0)
