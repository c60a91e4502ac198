"""One candidate's numbers: analyze, memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.errors import SpecError
from wordlength.search.cli.asked import study_spec
from wordlength.search.cli.candidate_file import check_formats, read_candidate, uniform_candidate
from wordlength.search.cli.common import AnyStudy, HomeOption, JsonFile, app, home_of, note, say, write_json
from wordlength.search.cli.loudness import Verbose, console
from wordlength.search.cli.places import require_places
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.report import TrialReport
    from wordlength.search.study_file.spec import StudySpec
    from wordlength.space import Candidate, SlotInfo

DEFAULT_FORMAT = "fixed:16,2"
"""Of biases and activations: the paper's 3.13."""

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", metavar="FORMAT", help="Format of all kernels, as po2:4,-1 or 'po2<4,-1>'.", show_default=False
    ),
]
Biases = Annotated[
    str | None,
    typer.Option(
        "--biases", metavar="FORMAT", help=f"Format of all biases; by default {DEFAULT_FORMAT}.", show_default=False
    ),
]
Activations = Annotated[
    str | None,
    typer.Option(
        "--activations",
        metavar="FORMAT",
        help=f"Format of all layer outputs; by default {DEFAULT_FORMAT}.",
        show_default=False,
    ),
]
CandidateFile = Annotated[
    Path | None,
    typer.Option(
        "--candidate",
        metavar="FILE",
        help="Formats of all slots instead: what `wordlength propose --to` wrote, or an exported config.json.",
        show_default=False,
    ),
]


def _report_place(file: Path | None) -> Path | None:
    require_places(report=file)
    return file


ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write the analysis as one HTML page that needs nothing else.",
        show_default=False,
        callback=_report_place,
    ),
]


@app.command()
def analyze(
    study: AnyStudy,
    weights: Weights = None,
    biases: Biases = None,
    activations: Activations = None,
    candidate: CandidateFile = None,
    report: ReportFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """One candidate, with the same formats in every layer or from a file: two-step training and fixed-point analysis.

    Examples:

        wordlength analyze demo --weights po2:4,-1 --activations fixed:8,3

        wordlength analyze demo --candidate best/config.json --report page.html
    """
    place = home_of(home)
    spec = study_spec(study, place)
    _require_formats(weights, biases, activations, candidate)
    from wordlength.objectives.quiet import start_tensorflow
    from wordlength.objectives.report import TrialJob
    from wordlength.search.figures import analysis_figures
    from wordlength.search.session import model_slots, open_evaluator, using

    with at_work() as display, using(spec, place, "an analysis"):
        # Formats that do not fit the network are refused before anything is trained.
        start_tensorflow(spec.workers.cpus, verbose)
        chosen = _chosen(model_slots(spec, verbose), weights, biases, activations, candidate)
        evaluator, baseline = open_evaluator(spec, place, display, verbose)
        with display.busy("two-step training"):
            trial, _ = evaluator.evaluate(TrialJob(0, chosen, spec.seed))
    if json_file is not None:
        write_json(json_file, analysis_figures(spec, baseline, trial))
    _print_analysis(trial, baseline, spec)
    if report is not None:
        _write_report(report, trial, baseline, spec)


@app.command()
def memory(
    study: AnyStudy,
    weights: Weights = None,
    biases: Biases = None,
    activations: Activations = None,
    candidate: CandidateFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Bytes per layer and in total, for the same formats in every layer or from a file; trains nothing, needs no data.

    Examples:

        wordlength memory examples/demo.yaml --weights po2:4,-1

        wordlength memory examples/demo.yaml --candidate best/config.json
    """
    spec = study_spec(study, home_of(home))
    _require_formats(weights, biases, activations, candidate)
    from wordlength.search.figures import memory_figures
    from wordlength.search.session import model_slots
    from wordlength.search.tables import memory_table

    slots = model_slots(spec, verbose)
    chosen = _chosen(slots, weights, biases, activations, candidate)
    if json_file is not None:
        write_json(json_file, memory_figures(spec.name, slots, chosen))
    console.show(memory_table(slots, chosen))


def _require_formats(weights: str | None, biases: str | None, activations: str | None, candidate: Path | None) -> None:
    """Formats come from the options or from a file, and those of the options can be read."""
    texts = [text for text in (weights, biases, activations) if text is not None]
    if candidate is not None and texts:
        raise SpecError(f"formats must come from options or from a file, but got both ({candidate} and {texts[0]})")
    if candidate is None and weights is None:
        raise SpecError(
            "formats must be given, but got neither --weights (with --biases, --activations) nor --candidate"
        )
    check_formats(*texts)
    if candidate is not None and not candidate.is_file():
        raise SpecError(f"a candidate file must be a file, but {candidate} is not (--candidate)")


def _chosen(
    slots: tuple[SlotInfo, ...],
    weights: str | None,
    biases: str | None,
    activations: str | None,
    candidate: Path | None,
) -> Candidate:
    """The candidate asked for. Raises SpecError or FormatError, naming the slot, for one that does not fit."""
    if candidate is not None:
        return read_candidate(candidate, slots)
    assert weights is not None
    found = uniform_candidate(slots, weights, biases or DEFAULT_FORMAT, activations or DEFAULT_FORMAT)
    for info in slots:
        info.formats(found[info.slot])
    return found


def _print_analysis(trial: TrialReport, baseline: Baseline, spec: StudySpec) -> None:
    from wordlength.objectives.goals import goals_of
    from wordlength.search.findings_text import findings_text
    from wordlength.search.tables import accumulator_table, analysis_table, memory_table, trial_verdict

    console.show(analysis_table(trial))
    if trial.accumulators:
        console.show(accumulator_table(trial))
    console.show(memory_table(baseline.slots, trial.candidate))
    # Last, where the reader of a terminal looks first.
    say(findings_text(trial, spec.analysis.precision_limit, console.width))
    say(trial_verdict(trial, baseline, goals_of(spec.objectives)))


def _write_report(path: Path, trial: TrialReport, baseline: Baseline, spec: StudySpec) -> None:
    from wordlength.atomic import write_atomically
    from wordlength.objectives.goals import goals_of
    from wordlength.search.export.facts import with_error
    from wordlength.search.pages.analysis import analysis_html

    improvement = with_error(baseline.goal, baseline.quality, baseline.standard_error)
    facts = {
        "study": spec.name,
        "float32 baseline": f"{baseline.goal.title} {improvement}, {baseline.memory_bytes:,} bytes",
        "analysed windows": f"{spec.analysis.windows:,}",
        "precision limit": f"{100 * spec.analysis.precision_limit:g} %",
    }
    page = analysis_html(
        f"{spec.name}: fixed-point analysis",
        trial,
        spec.analysis.precision_limit,
        facts,
        goals=goals_of(spec.objectives),
    )
    write_atomically(path, page.encode())
    note(f"written: {path}")
