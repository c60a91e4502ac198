"""Begin: a study file for one's own network and data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wordlength.search.cli.common import HomeOption, Verbose, app, console, home_of, refuse


@app.command()
def init(
    model: Annotated[
        str | None, typer.Option("--model", help="The network: file.py:function, a name, or the one in a file.keras.")
    ] = None,
    speech: Annotated[Path | None, typer.Option("--speech", help="Folder of clean speech; else the built-in.")] = None,
    noise: Annotated[Path | None, typer.Option("--noise", help="Folder of noise; else the built-in.")] = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", help="Folder (or CSV file) of noisy files beside their clean ones.")
    ] = None,
    argument: Annotated[
        list[str] | None, typer.Option("--arguments", help="key=value for the function, as JSON; may be repeated.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="A trained file.keras, so that nothing is trained in float.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="The study file to write.")] = Path("study.yaml"),
    name: Annotated[str | None, typer.Option("--name", help="The study's name; by default the file's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a study file that is there.")] = False,
    home: HomeOption = None,
    verbose: Verbose = False,
) -> None:
    """Write a study file for a network and for folders of speech and noise: commented, and ready to launch.

    Builds the network and lists its layers, finds out which layout each folder has, proposes ranges of formats and
    which layers share theirs. Nothing is trained.

    Examples:

        wordlength init --model gru.py:noise_reducer --speech timit --noise UrbanSound8K

        wordlength init --model gru.py:noise_reducer --arguments units=64 --pairs VoiceBank-DEMAND

        wordlength init --baseline trained.keras --to mine.yaml
    """
    from wordlength.atomic import write_atomically
    from wordlength.objectives.quiet import quiet_tensorflow
    from wordlength.search.new_study import Given, new_study, read_argument, require_name
    from wordlength.search.proposal import table

    if model is None and baseline is None:
        refuse("a study needs a network, but got none (--model file.py:function, or --baseline file.keras)")
    if to.suffix not in (".yaml", ".yml"):
        refuse(f"a study file's name must end in .yaml, but got {str(to)!r} (--to)")
    if to.exists() and not force:
        refuse(f"a study file must not be there already, but {to} is; replace it with --force (--to)")
    arguments = dict(map(read_argument, argument or ()))
    given = Given(require_name(name or to.stem), model, baseline, speech, noise, pairs, arguments)
    with quiet_tensorflow(verbose):
        study = new_study(given, to, home_of(home).cache)
    write_atomically(to, study.text.encode())
    console.print(*table(study.layers), sep="\n", highlight=False, markup=False, soft_wrap=True)
    parameters = sum(layer.parameters for layer in study.layers)
    told = f"written: {to}, a study of {parameters:,} parameters; go on with: wordlength launch {to}"
    console.print(told, highlight=False, markup=False, soft_wrap=True)
