"""After the search: retrain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.errors import SpecError
from wordlength.search.cli.common import (
    PICKS,
    HomeOption,
    JsonFile,
    Study,
    app,
    home_of,
    note,
    rules,
    say,
    write_json,
)
from wordlength.search.cli.completion import complete_pick
from wordlength.search.cli.loudness import Verbose, console, errors
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.objectives.settings import RetrainingSettings
    from wordlength.search.home import Home
    from wordlength.search.retrain import RetrainedTrial
    from wordlength.search.study_file.spec import StudySpec
    from wordlength.search.trials import StudyView

RETRAIN = """
Retrain front members on all training data, and measure them on test speakers that no trial has heard.

A trial trains on the representative subset, and validation mixtures guide the search: the front is a ranking,
and a little optimistic. This trains each chosen candidate in the same two steps from the float baseline, on all
training windows and for longer, and compares it with float32 on validation and test mixtures. The last epoch's
weights are kept, so that neither set chooses anything here.

Figures and weights are kept in the study's folder (retrained/): the same command again reads them, and goes on
after Ctrl-C with the trial that was cut off. Each retraining is a run of its own in MLflow, below the study's; what
MLflow did not take, the next retrain of the study records.

Examples:

    wordlength retrain demo --pick best --pick max-bytes=200kB

    wordlength retrain demo --epochs 4 --json retrained.json
"""

Chosen = Annotated[
    list[str] | None,
    typer.Option(
        "--pick",
        metavar="RULE",
        help=f"{PICKS}; may be given more than once.",
        show_default="the whole front",
        autocompletion=complete_pick,
        callback=rules,
    ),
]
Epochs = Annotated[
    int,
    typer.Option("--epochs", metavar="N", help="Passes over all training data, in each of the two steps."),
]
Distillation = Annotated[
    float,
    typer.Option(
        "--distillation",
        metavar="SHARE",
        help="Share of the float model's own outputs in what is learned, 0 to 1.",
    ),
]


@app.command(help=RETRAIN)
def retrain(
    study: Study,
    pick: Chosen = None,
    epochs: Epochs = 2,
    distillation: Distillation = 1.0,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """A table of what was retrained."""
    place = home_of(home)
    settings = _settings(place.find(study), epochs, distillation)
    from wordlength.search.measure_tables import retrained_table
    from wordlength.search.retrain import record, retrained_figures
    from wordlength.search.study import load_study

    view = load_study(study, place)
    rows = _retrained(view, pick or (), settings, place, verbose)
    console.show(retrained_table(rows, view.baseline))
    for row in rows:
        if row.reason:
            say(f"trial {row.point.number}: {row.reason}")
    if json_file is not None:
        write_json(json_file, retrained_figures(view, settings, rows))
    if missing := record(view, place, rows):
        errors.print(missing, highlight=False, markup=False, soft_wrap=True)
    else:
        note(f"in MLflow: wordlength ui {view.name}, runs with tags.kind = 'retrained'")


def _retrained(
    view: StudyView, pick: Sequence[str], settings: RetrainingSettings, place: Home, verbose: bool
) -> list[RetrainedTrial]:
    """Each trial once it is retrained, recorded at once: the next one takes minutes, and may be cut off."""
    from wordlength.search.retrain import chosen, record
    from wordlength.search.retrain import retrain as run

    points = chosen(view, pick)
    rows: list[RetrainedTrial] = []
    with at_work("every trial that was retrained is kept") as display:
        for row in run(view, points, settings, place, display, verbose):
            rows.append(row)
            if not row.reused:
                record(view, place, rows)
    return rows


def _settings(spec: StudySpec, epochs: int, distillation: float) -> RetrainingSettings:
    """The study's batch size, step sizes and seed, and what was asked for. Raises SpecError, naming the option."""
    from wordlength.objectives.settings import RetrainingSettings

    training = spec.training
    first, second = training.quantized_rates
    settings = RetrainingSettings(
        batch_size=training.batch_size, seed=spec.seed, learning_rate=first, second_learning_rate=second
    )
    for name, value in {"epochs": epochs, "distillation": distillation}.items():
        try:
            settings = replace(settings, **{name: value})  # type: ignore[arg-type]
        except ValueError as error:
            raise SpecError(f"{error} (--{name})") from None
    return settings
