"""Which tensors suffer most from few bits: sensitivity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.asked import Bits, Roles, one_of, roles_of, study_spec, widths_of
from wordlength.search.cli.common import (
    AnyStudy,
    HomeOption,
    JsonFile,
    PictureFile,
    app,
    home_of,
    write_json,
    write_picture,
)
from wordlength.search.cli.loudness import Verbose, console
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.search.measures import Sensitivities

SENSITIVITY = """
Which tensors suffer most from few bits: the first objective slot by slot, without training.

Two questions of each: what does it cost to quantize only this one, all others in float32; and what does it
win back to leave only this one in float32, all others quantized? Every difference has its paired standard
error over the validation mixtures; ≈ 0 marks what cannot be told apart from nothing. Errors of several
tensors may cancel: where all quantized together are far off, sparing one can make it worse (below 0).

Formats are the proposals of least error (see `propose`). --role restricts who takes part: the others stay
in float32 throughout. Activations cannot have virtual bit shifts: with --kind vbs they are fixed.

Examples:

    wordlength sensitivity demo --bits 4 --plot sensitivity.png

    wordlength sensitivity demo --kind po2 --bits 3,4 --role weights
"""


@app.command(help=SENSITIVITY)
def sensitivity(
    study: AnyStudy,
    bits: Bits = "4",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="fixed, po2 or vbs.")] = "fixed",
    role: Roles = None,
    plot: PictureFile = None,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """A table per width."""
    place = home_of(home)
    spec = study_spec(study, place)
    roles = roles_of(role)
    from wordlength.objectives.sensitivity import KINDS

    widths = widths_of(bits, one_of(kind, tuple(KINDS), "--kind"), roles)
    from wordlength.search.measure_tables import sensitivity_table
    from wordlength.search.measures import measured_figures, sensitivities
    from wordlength.search.session import open_baseline, using

    with at_work() as display, using(spec, place, "a sensitivity analysis"):
        data, baseline = open_baseline(spec, place, display, verbose)
        found = sensitivities(spec, data, baseline, kind, widths, roles, display)
    for width in found:
        console.show(sensitivity_table(width, kind, baseline))
    if json_file is not None:
        figures = {"kind": kind, "roles": roles, "widths": found}
        write_json(json_file, measured_figures("sensitivity", spec, baseline, figures))
    if plot is not None:
        _draw(
            plot,
            found,
            kind,
            f"{spec.name}: sensitivity without training, float32 {baseline.goal.text(baseline.quality)}",
        )


def _draw(plot: Path, found: Sequence[Sensitivities], kind: str, title: str) -> None:
    from wordlength.search.measure_plots import sensitivity_html, sensitivity_png

    write_picture(plot, lambda: sensitivity_png(found, kind, title), lambda: sensitivity_html(found, kind, title))
