"""Begin: a study file for one's own network and data (init), and what may stand in it (schema)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from wordlength.search.cli.common import HomeOption, app, home_of, note, refuse, say
from wordlength.search.cli.loudness import Verbose, switch

INIT = """
Write a study file for a network and for folders of speech and noise: commented, and ready to launch.

Builds the network and lists its layers, finds out which layout each folder has, proposes ranges of formats and
which layers share theirs. Nothing is trained.

Examples:

    wordlength init --model gru.py:build --speech timit --noise UrbanSound8K

    wordlength init --model gru.py:build --arguments units=64 --pairs voicebank

    wordlength init --baseline trained.keras --to mine.yaml
"""

Model = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="The network: file.py:function, a name, or the one in a file.keras."),
]
Speech = Annotated[
    Path | None, typer.Option("--speech", metavar="FOLDER", help="Folder of clean speech; else the built-in.")
]
Noise = Annotated[Path | None, typer.Option("--noise", metavar="FOLDER", help="Folder of noise; else the built-in.")]
Pairs = Annotated[
    Path | None,
    typer.Option("--pairs", metavar="FOLDER", help="Folder (or CSV file) of noisy files beside their clean ones."),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option("--arguments", metavar="KEY=VALUE", help="key=value for the function, as JSON; may be repeated."),
]
Trained = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="A trained file.keras, so that nothing is trained in float."),
]
To = Annotated[Path, typer.Option("--to", metavar="FILE", help="The study file to write.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The study's name; by default the file's.")]
Force = Annotated[bool, switch("--force", help="Replace a study file that is there.")]


@app.command(help=INIT)
def init(
    model: Model = None,
    speech: Speech = None,
    noise: Noise = None,
    pairs: Pairs = None,
    argument: Arguments = None,
    baseline: Trained = None,
    to: To = Path("study.yaml"),
    name: Name = None,
    force: Force = False,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Write a study file."""
    from wordlength.atomic import write_atomically
    from wordlength.objectives.quiet import quiet_tensorflow
    from wordlength.search.study_file.layers import table
    from wordlength.search.study_file.new_study import Given, new_study, read_argument, require_name

    if model is None and baseline is None:
        refuse("a study needs a network, but got none (--model file.py:function, or --baseline file.keras)")
    _require_new(to, force)
    arguments = dict(map(read_argument, argument or ()))
    given = Given(require_name(name or to.stem), model, baseline, speech, noise, pairs, arguments)
    with quiet_tensorflow(verbose):
        study = new_study(given, to, home_of(home).cache)
    write_atomically(to, study.text.encode())
    say("\n".join(table(study.layers)))
    parameters = sum(layer.parameters for layer in study.layers)
    file = shlex.quote(str(to))
    note(f"written: {to}, a study of {parameters:,} parameters")
    note(f"what its data are: wordlength data {file}")
    note(f"a few trials first: wordlength launch {file} --trials 6; the same without --trials goes on to all")


def _require_new(to: Path, force: bool) -> None:
    if to.suffix not in (".yaml", ".yml"):
        refuse(f"a study file's name must end in .yaml, but got {str(to)!r} (--to)")
    if to.exists() and not force:
        refuse(f"a study file must not be there already, but {to} is; replace it with --force (--to)")


@app.command()
def schema(
    bundle: Annotated[bool, switch("--bundle", help="That of an exported config.json instead.")] = False,
) -> None:
    """Print the study file's JSON schema: every key, its range and what it means.

    Example:

        wordlength schema > study.schema.json
    """
    import json

    from wordlength.search.export.config import json_schema as bundle_schema
    from wordlength.search.study_file.spec import json_schema

    print(json.dumps(bundle_schema() if bundle else json_schema(), indent=2))
