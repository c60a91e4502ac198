"""The ear: listen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordlength.search.cli.common import (
    KNEE,
    HomeOption,
    JsonFile,
    Picks,
    Retrained,
    Study,
    app,
    home_of,
    note,
    write_json,
)
from wordlength.search.cli.loudness import Verbose, console, switch
from wordlength.search.cli.work import at_work

if TYPE_CHECKING:
    from rich.table import Table

    from wordlength.search.listening.listen import Listened


LISTEN = """
Hear what quantization does: a mixture clean, noisy, enhanced in float32 and by a trial, as WAV files.

Beside clean.wav, noisy.wav, float.wav and quantized.wav (with more than one --pick, a quantized-….wav each) lie
picture.png, spectrograms of all on one scale and the masks with their difference, and clip.json: the mixture, STOI
of each, and the gain. One gain for all files of a clip keeps what is louder louder.

Examples:

    wordlength listen demo --to heard

    wordlength listen demo --pick best --pick smallest --clip worst,0 --to heard
"""

To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="New or empty folder for sounds and picture.")]
Clips = Annotated[
    str,
    typer.Option(
        "--clip",
        metavar="N,N",
        help="Numbers of mixtures, as 0,3; or worst, median, best by STOI improvement of the first trial.",
    ),
]
Part = Annotated[str, typer.Option("--part", metavar="PART", help="test, which no trial has heard, or validation.")]
Force = Annotated[bool, switch("--force", help="Replace an earlier listening.")]


@app.command(help=LISTEN)
def listen(
    study: Study,
    to: To,
    pick: Picks = KNEE,
    clip: Clips = "0",
    part: Part = "test",
    retrained: Retrained = False,
    force: Force = False,
    json_file: JsonFile = None,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """A table of STOI, or JSON."""
    place, clips = home_of(home), [_clip_of(one) for one in clip.split(",")]
    place.find(study)  # Before the imports that take seconds: a misspelt name is told at once.
    from wordlength.search.listening.listen import listen as run

    asked: dict[str, Any] = {"clips": clips, "part": part, "retrained": retrained, "force": force, "verbose": verbose}
    with at_work(f"{to} is as it was") as display:
        done = run(study, pick, to, place, **asked, observer=display, tell=note)
    if json_file is not None:
        write_json(json_file, {"command": "listen", "study": done.facts[0]["study"], "clips": list(done.facts)})
    console.show(_table(done))
    note(f"written: {done.folder}")
    note("others: --clip N, worst, median, best")


def _clip_of(text: str) -> int | str:
    """A number if it is one; what is neither number nor word is refused later, with the range."""
    text = text.strip()
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def _table(done: Listened) -> Table:
    """STOI of every sound but the clean one, a row per clip."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"STOI, {done.part} mixtures of {done.facts[0]['study']!r}")
    table.add_column("clip", justify="right")
    table.add_column("mixture")
    for name in ("noisy", "float32", *(voice.title.replace(" (", "\n(") for voice in done.voices), "gain,\ndB"):
        table.add_column(name, justify="right", no_wrap=True)
    for clip, facts in zip(done.clips, done.facts, strict=True):
        stoi = [f"{sound.stoi:.3f}" for sound in clip.sounds if sound.name != "clean"]
        table.add_row(str(clip.number), Text(clip.name), *stoi, f"{facts['gain_db']:+.1f}")
    return table
