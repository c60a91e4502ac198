"""What the float model itself says of formats: propose, sensitivity, subset."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError
from wordlength.search.cli.asked import (
    fractions_of,
    is_file,
    one_of,
    roles_of,
    study_spec,
    widths_of,
    wish_of,
)
from wordlength.search.cli.common import AnyStudy, HomeOption, JsonFile, Verbose, app, console, home_of, write_json
from wordlength.search.cli.places import require_places

if TYPE_CHECKING:
    from wordlength.search.home import Home
    from wordlength.space import Candidate

Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="weights, biases or activations; may be given more than once.", show_default="all"),
]
Bits = Annotated[str, typer.Option("--bits", help="Widths, separated by commas.")]


@app.command()
def propose(
    study: AnyStudy,
    bits: Bits = "2,3,4,6,8,12,16",
    kind: Annotated[str, typer.Option("--kind", help="fixed or po2.")] = "fixed",
    overflow: Annotated[
        float, typer.Option("--overflow", help="Share of values that least overflow may leave outside.")
    ] = 0.001,
    role: Roles = None,
    sqnr: Annotated[bool, typer.Option("--sqnr", help="Also signal-to-noise ratios per width.")] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Write a candidate to this file instead of the tables.", show_default=False),
    ] = None,
    weights: Annotated[str, typer.Option("--weights", help="With --to: kind:bits, or a format.")] = "fixed:4",
    biases: Annotated[str, typer.Option("--biases", help="With --to: kind:bits, or a format.")] = "fixed:16",
    activations: Annotated[str, typer.Option("--activations", help="With --to: kind:bits, or a format.")] = "fixed:16",
    rule: Annotated[str, typer.Option("--rule", help="With --to: error or overflow.")] = "error",
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Data types that the float model's own values propose, per layer and width; a search starts from them.

    The tables tell the position (integer bits, sign excluded; with po2 the largest exponent) of least squared
    error; in brackets, where it is another, the smallest that leaves at most the --overflow share of the values
    outside the range. Activations are a sample of the representative subset's: `wordlength subset` tells what
    it misses.

    With --to the proposals become a candidate: fixed:4, po2:4, vbs:4, or fixed:4,channel for integer bits per
    output channel; a whole format, as po2:4,-1 or binary, is taken as it is.

    Examples:

        wordlength propose klein --bits 4,8 --role weights --sqnr

        wordlength propose examples/klein.yaml --to candidate.json --weights po2:4 --activations fixed:8
    """
    place = home_of(home)
    spec = study_spec(study, place)
    roles = roles_of(role)
    widths = widths_of(bits, one_of(kind, ("fixed", "po2"), "--kind"), roles)
    if not 0 <= overflow < 1:
        raise SpecError(f"overflow must be at least 0 and below 1, but got {overflow:g} (--overflow)")
    from wordlength.objectives.proposals import Rule, proposed_candidate
    from wordlength.space import Role

    chosen = Rule(one_of(rule, tuple(Rule), "--rule"))
    texts = {Role.WEIGHTS: weights, Role.BIASES: biases, Role.ACTIVATIONS: activations}
    wishes = {each: wish_of(text, each) for each, text in texts.items()}
    require_places(to=to)
    from wordlength.search.measure_tables import proposal_tables, sqnr_tables
    from wordlength.search.measures import figures_of, slot_proposals
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.session import open_baseline
    from wordlength.search.tables import memory_table

    with LaunchDisplay(console) as display:
        _, baseline = open_baseline(spec, place, display, verbose)
    rows = slot_proposals(baseline, kind, widths, roles, overflow)
    figures = {"kind": kind, "overflow_share": overflow, "slots": rows}
    if to is None:
        ratios = sqnr_tables(rows, kind, console.width) if sqnr else ()
        console.print(*proposal_tables(rows, kind, overflow, console.width), *ratios, sep="\n")
    else:
        candidate = proposed_candidate(baseline, wishes, chosen, overflow)
        figures["candidate"] = candidate.to_dict()
        console.print(memory_table(baseline.slots, candidate))
        _write_candidate(candidate, to, study, home, place)
    if json_file is not None:
        write_json(json_file, figures_of("propose", spec, baseline, figures))


def _write_candidate(candidate: Candidate, to: Path, study: str, home: Path | None, place: Home) -> None:
    """Write the candidate, and say how to go on with it."""
    write_atomically(to, (json.dumps(candidate.to_dict(), indent=2) + "\n").encode())
    known = [study if is_file(study) else str(place.study(study).study_file), "--candidate", str(to)]
    _say(f"written: {to}; go on with:")
    _say(f"  wordlength analyze {shlex.join([*known, *(['--home', str(home)] if home else [])])}")
    _say(f"  wordlength memory {shlex.join(known)}")


@app.command()
def sensitivity(
    study: AnyStudy,
    bits: Bits = "4",
    kind: Annotated[str, typer.Option("--kind", help="fixed, po2 or vbs.")] = "fixed",
    role: Roles = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the bars: FILE.png or FILE.html.", show_default=False)
    ] = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Which tensors suffer most from few bits: STOI improvement slot by slot, without training.

    Two questions of each: what does it cost to quantize only this one, all others in float32; and what does it
    win back to leave only this one in float32, all others quantized? Every difference has its paired standard
    error over the validation mixtures; ≈ 0 marks what cannot be told apart from nothing. Errors of several
    tensors may cancel: where all quantized together are far off, sparing one can make it worse (below 0).

    Formats are the proposals of least error (see `propose`). --role restricts who takes part: the others stay
    in float32 throughout. Activations cannot have virtual bit shifts: with --kind vbs they are fixed.

    Examples:

        wordlength sensitivity klein --bits 4 --plot sensitivity.png

        wordlength sensitivity examples/klein.yaml --kind po2 --bits 3,4 --role weights
    """
    place = home_of(home)
    spec = study_spec(study, place)
    roles = roles_of(role)
    from wordlength.objectives.sensitivity import KINDS

    widths = widths_of(bits, one_of(kind, tuple(KINDS), "--kind"), roles)
    if plot is not None and plot.suffix.lower() not in (".png", ".html"):
        raise SpecError(f"a plot must end in .png or .html, but got {plot} (--plot)")
    require_places(plot=plot)
    from wordlength.search.measure_plots import sensitivity_html, sensitivity_png
    from wordlength.search.measure_tables import sensitivity_table
    from wordlength.search.measures import figures_of, sensitivities
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.session import open_baseline

    with LaunchDisplay(console) as display:
        data, baseline = open_baseline(spec, place, display, verbose)
        found = sensitivities(spec, data, baseline, kind, widths, roles, display)
    for width in found:
        console.print(sensitivity_table(width, kind, baseline))
    if json_file is not None:
        figures = {"kind": kind, "roles": roles, "widths": found}
        write_json(json_file, figures_of("sensitivity", spec, baseline, figures))
    if plot is not None:
        title = f"{spec.name}: sensitivity without training, float32 {baseline.goal.text(baseline.quality)}"
        draw = sensitivity_png if plot.suffix.lower() == ".png" else sensitivity_html
        write_atomically(plot, draw(found, kind, title))
        _say(f"written: {plot}")


@app.command()
def subset(
    study: AnyStudy,
    fractions: Annotated[
        str, typer.Option("--fractions", help="Shares of the training mixtures, separated by commas.")
    ] = "0.05,0.1,0.25",
    formats: Annotated[int, typer.Option("--formats", help="Candidates to train on each, from 5 to 12.")] = 6,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Whether a representative subset is honest: does it rank formats, and see ranges, as all training data do?

    For each fraction the subset is taken that this `subset_fraction` in the study file would take. Candidates of
    2 to 8 bits, at the proposals, go through two-step training on it and on all training windows, with the gate
    open. All windows are trained on twice, in two orders: no subset can agree better with them than they do with
    themselves. A pair of candidates counts as told apart if both trainings put it in the same order, more than
    two paired standard errors apart. Largest activations and overflow are the float model's.

    It takes (fractions + 2) x formats trials.

    Examples:

        wordlength subset klein --fractions 0.05,0.1,0.25

        wordlength subset examples/klein.yaml --fractions 0.1 --formats 8 --json subset.json
    """
    place = home_of(home)
    spec = study_spec(study, place)
    shares = fractions_of(fractions)
    from wordlength.objectives.fidelity import LADDER

    if not 5 <= formats <= len(LADDER):
        raise SpecError(f"formats must be between 5 and {len(LADDER)}, but got {formats} (--formats)")
    from wordlength.search.measure_tables import fidelity_sentence, outcome_table, rank_table, reach_tables
    from wordlength.search.measures import fidelity, figures_of
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.session import open_baseline

    with LaunchDisplay(console) as display:
        data, baseline = open_baseline(spec, place, display, verbose)
        rows = fidelity(spec, place, data, baseline, shares, formats, display)
    *parts, again, full = rows
    if json_file is not None:
        figures = {"subset_fraction": spec.data.subset_fraction, "fractions": parts, "again": again, "all": full}
        write_json(json_file, figures_of("subset", spec, baseline, figures))
    console.print(
        outcome_table(rows, baseline.goal.title),
        rank_table(rows, baseline.goal.title),
        *reach_tables([*parts, full]),
        sep="\n",
    )
    for row in parts:
        _say(fidelity_sentence(row, again, full))
    if not any(row.is_own for row in parts):
        _say(f"This study's own subset_fraction is {spec.data.subset_fraction:g}.")


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
