"""What the float model's own values ask for: propose."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordlength.atomic import write_atomically
from wordlength.errors import SpecError
from wordlength.search.cli.asked import Bits, Roles, is_study_file, one_of, roles_of, study_spec, widths_of, wish_of
from wordlength.search.cli.common import AnyStudy, HomeOption, JsonFile, app, home_of, note, write_json
from wordlength.search.cli.loudness import Verbose, console, switch
from wordlength.search.cli.places import require_places
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.proposals import Rule
    from wordlength.search.measures import SlotProposals
    from wordlength.space import Candidate, Format, KindRange, Role

PROPOSE = """
Data types that the float model's own values propose, per layer and width; a search starts from them.

The tables tell the position (integer bits, sign excluded; with po2 the largest exponent) of least squared
error; in brackets, where it is another, the smallest that leaves at most the --overflow share of the values
outside the range. Activations are a sample of the representative subset's: `wordlength subset` tells what
it misses.

With --to the proposals become a candidate: fixed:4, po2:4, vbs:4, or fixed:4,channel for integer bits per
output channel; a whole format, as po2:4,-1 or binary, is taken as it is.

Examples:

    wordlength propose demo --bits 4,8 --role weights --sqnr

    wordlength propose demo --to best.json --weights po2:4
"""

Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="fixed or po2.")]
Overflow = Annotated[
    float, typer.Option("--overflow", metavar="SHARE", help="Share of values that least overflow may leave outside.")
]
Ratios = Annotated[bool, switch("--sqnr", help="Also signal-to-noise ratios per width.")]
To = Annotated[
    Path | None,
    typer.Option(
        "--to", metavar="FILE", help="Write a candidate to this file instead of the tables.", show_default=False
    ),
]
Weights = Annotated[str, typer.Option("--weights", metavar="FORMAT", help="With --to: kind:bits, or a format.")]
Biases = Annotated[str, typer.Option("--biases", metavar="FORMAT", help="With --to: kind:bits, or a format.")]
Activations = Annotated[str, typer.Option("--activations", metavar="FORMAT", help="With --to: kind:bits, or a format.")]
Choice = Annotated[str, typer.Option("--rule", metavar="RULE", help="With --to: error or overflow.")]


@dataclass(frozen=True)
class _Tables:
    """What the tables are asked to show."""

    kind: str
    widths: tuple[int, ...]
    roles: tuple[Role, ...]
    overflow: float
    sqnr: bool

    def show(self, rows: Sequence[SlotProposals]) -> None:
        from wordlength.search.measure_tables import proposal_tables, sqnr_tables

        ratios = sqnr_tables(rows, self.kind, console.table_columns) if self.sqnr else ()
        console.show(*proposal_tables(rows, self.kind, self.overflow, console.table_columns), *ratios)


@dataclass(frozen=True)
class _Wanted:
    """The candidate asked for: of each role a range and width, or a format; the rule that places the range."""

    wishes: Mapping[Role, tuple[KindRange, int] | Format]
    rule: Rule


@app.command(help=PROPOSE)
def propose(
    study: AnyStudy,
    bits: Bits = "2,3,4,6,8,12,16",
    kind: Kind = "fixed",
    overflow: Overflow = 0.001,
    role: Roles = None,
    sqnr: Ratios = False,
    to: To = None,
    weights: Weights = "fixed:4",
    biases: Biases = "fixed:16",
    activations: Activations = "fixed:16",
    rule: Choice = "error",
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Tables of proposals, or a candidate of them."""
    place = home_of(home)
    spec = study_spec(study, place)
    tables = _tables(bits, kind, overflow, role, sqnr)
    wanted = _wanted(rule, weights, biases, activations)
    require_places(to=to)
    from wordlength.search.measures import measured_figures, slot_proposals
    from wordlength.search.session import open_baseline, using

    with at_work() as display, using(spec, place, "a proposal"):
        _, baseline = open_baseline(spec, place, display, verbose)
    rows = slot_proposals(baseline, kind, tables.widths, tables.roles, overflow)
    figures: dict[str, Any] = {"kind": kind, "overflow_share": overflow, "slots": rows}
    if to is None:
        tables.show(rows)
    else:
        candidate = _candidate(baseline, wanted, overflow)
        figures["candidate"] = candidate.to_dict()
        known = study if is_study_file(study) else str(place.study(study).study_file)
        _write_candidate(candidate, to, known, home)
    if json_file is not None:
        write_json(json_file, measured_figures("propose", spec, baseline, figures))


def _tables(bits: str, kind: str, overflow: float, role: list[str] | None, sqnr: bool) -> _Tables:
    """Raises SpecError, naming the option."""
    roles = roles_of(role)
    widths = widths_of(bits, one_of(kind, ("fixed", "po2"), "--kind"), roles)
    if not 0 <= overflow < 1:
        raise SpecError(f"overflow must be at least 0 and below 1, but got {overflow:g} (--overflow)")
    return _Tables(kind, widths, roles, overflow, sqnr)


def _wanted(rule: str, weights: str, biases: str, activations: str) -> _Wanted:
    """Raises SpecError, naming the option."""
    from wordlength.objectives.proposals import Rule
    from wordlength.space import Role

    chosen = Rule(one_of(rule, tuple(Rule), "--rule"))
    texts = {Role.WEIGHTS: weights, Role.BIASES: biases, Role.ACTIVATIONS: activations}
    return _Wanted({each: wish_of(text, each) for each, text in texts.items()}, chosen)


def _candidate(baseline: Baseline, wanted: _Wanted, overflow: float) -> Candidate:
    """The candidate, its memory printed."""
    from wordlength.objectives.proposals import proposed_candidate
    from wordlength.search.tables import memory_table

    candidate = proposed_candidate(baseline, wanted.wishes, wanted.rule, overflow)
    console.show(memory_table(baseline.slots, candidate))
    return candidate


def _write_candidate(candidate: Candidate, to: Path, study_file: str, home: Path | None) -> None:
    """Write the candidate, and say how to go on with it."""
    write_atomically(to, (json.dumps(candidate.to_dict(), indent=2) + "\n").encode())
    known = [study_file, "--candidate", str(to)]
    note(f"written: {to}; go on with:")
    note(f"  wordlength analyze {shlex.join([*known, *(['--home', str(home)] if home else [])])}")
    note(f"  wordlength memory {shlex.join(known)}")
