"""Whether the representative subset can be trusted: subset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.errors import SpecError
from wordlength.search.cli.asked import fractions_of, study_spec
from wordlength.search.cli.common import AnyStudy, HomeOption, JsonFile, app, home_of, say, write_json
from wordlength.search.cli.loudness import Verbose, console
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.objectives.goals import Goal
    from wordlength.search.measures import FractionRow

SUBSET = """
Whether a representative subset is honest: does it rank formats, and see ranges, as all training data do?

For each fraction the subset is taken that this `subset_fraction` in the study file would take. Candidates of
2 to 8 bits, at the proposals, go through two-step training on it and on all training windows, with the gate
open. All windows are trained on twice, in two orders: no subset can agree better with them than they do with
themselves. A pair of candidates counts as told apart if both trainings put it in the same order, more than
two paired standard errors apart. Largest activations and overflow are the float model's.

It takes (fractions + 2) x formats trials.

Examples:

    wordlength subset demo --fractions 0.05,0.1,0.25

    wordlength subset examples/demo.yaml --fractions 0.1 --formats 8
"""


@app.command(help=SUBSET)
def subset(
    study: AnyStudy,
    fractions: Annotated[
        str, typer.Option("--fractions", metavar="SHARES", help="Shares of the training mixtures, separated by commas.")
    ] = "0.05,0.1,0.25",
    formats: Annotated[
        int, typer.Option("--formats", metavar="N", help="Candidates to train on each, from 5 to 12.")
    ] = 6,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Tables, and a sentence for each fraction."""
    place = home_of(home)
    spec = study_spec(study, place)
    shares = fractions_of(fractions)
    _require_trainable(formats)
    from wordlength.search.measures import fidelity, measured_figures
    from wordlength.search.session import open_baseline, using

    with at_work() as display, using(spec, place, "a study of its subset"):
        data, baseline = open_baseline(spec, place, display, verbose)
        rows = fidelity(spec, place, data, baseline, shares, formats, display)
    *parts, again, full = rows
    if json_file is not None:
        figures = {"subset_fraction": spec.data.subset_fraction, "fractions": parts, "again": again, "all": full}
        write_json(json_file, measured_figures("subset", spec, baseline, figures))
    _tell(rows, baseline.goal)
    if not any(row.is_own for row in parts):
        say(f"This study's own subset_fraction is {spec.data.subset_fraction:g}.")


def _require_trainable(formats: int) -> None:
    from wordlength.objectives.fidelity import LADDER

    if not 5 <= formats <= len(LADDER):
        raise SpecError(f"formats must be between 5 and {len(LADDER)}, but got {formats} (--formats)")


def _tell(rows: Sequence[FractionRow], goal: Goal) -> None:
    from wordlength.search.measure_tables import fidelity_sentence, outcome_table, rank_table, reach_tables

    *parts, again, full = rows
    tables = (outcome_table(rows, goal), rank_table(rows, goal), *reach_tables([*parts, full]))
    console.show(*tables)
    for row in parts:
        say(fidelity_sentence(row, again, full, goal))
