"""A study as one file: archive, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.atomic import is_special
from wordlength.search.cli.common import HomeOption, Study, app, home_of, note, refuse, say
from wordlength.search.cli.loudness import switch
from wordlength.search.cli.places import STANDARD_OUTPUT, require_places

if TYPE_CHECKING:
    from wordlength.search.study_file.spec import StudySpec

To = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="File to write.", show_default="STUDY.tar.gz")]
ArchiveFile = Annotated[Path, typer.Argument(help="File that `wordlength archive` wrote.")]
NewName = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Another name for the study.", show_default=False)
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="FOLDER",
        help="Folder that its corpora lie in.",
        envvar="WORDLENGTH_DATA",
        show_default=False,
    ),
]
Optuna = Annotated[
    str | None,
    typer.Option(
        "--optuna", metavar="URL", help="Keep its trials at this address (storage.optuna).", show_default=False
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(
        "--tracking", metavar="URL", help="Record it at this address of MLflow (storage.tracking).", show_default=False
    ),
]


@app.command()
def archive(
    study: Study,
    to: To = None,
    force: Annotated[bool, switch("--force", help="Replace an existing file.")] = False,
    home: HomeOption = None,
) -> None:
    """Write a study into one file that can be restored on another machine.

    It holds the study file, trials, reports, weights, retrained trials, a network of your own, the float baseline, and
    MLflow's runs with histories and artifacts; corpora and prepared data are not in it. A study that is being run is
    refused: end its launch first.

    Examples:

        wordlength archive demo

        wordlength archive demo --to /backup/demo.tar.gz
    """
    place = home_of(home)
    to = to or Path(f"{place.find(study).name}.tar.gz")
    if to == STANDARD_OUTPUT or is_special(to):
        refuse(f"an archive is written to a file, but got {to} (--to)")
    require_places(to=to)
    if to.exists() and not force:
        refuse(f"an archive's file must be new, but {to} exists (--force replaces it)")
    from wordlength.search.disk.archive import archive as run
    from wordlength.search.disk.item import counted_trials

    done = run(study, place, to)
    for text in done.missing:
        say(f"missing: {text}")
    about, members = done.manifest.about, len(done.manifest.members)
    trials = counted_trials(about["trials"], about["queued"])
    note(f"written: {to}, {to.stat().st_size:,} bytes, {trials} in {members} files")


@app.command()
def restore(
    file: ArchiveFile,
    name: NewName = None,
    data_root: DataRoot = None,
    optuna: Optuna = None,
    tracking: Tracking = None,
    home: HomeOption = None,
) -> None:
    """Restore a study from its archive; every command then works on it, and a launch goes on with it.

    The file is checked first, member by member. A study of that name is never replaced. Cut off, the same command
    begins anew. Restore only what you trust: a network of its author's own is code that a launch runs.

    Examples:

        wordlength restore demo.tar.gz

        wordlength restore demo.tar.gz --as demo-laptop --data-root /data/corpora
    """
    from wordlength.search.disk.restore import Places
    from wordlength.search.disk.restore import restore as run

    place = home_of(home)
    spec = run(file, place, name, Places(optuna, tracking, data_root))
    say(f"restored: {spec.name} in {place.root}")
    if name or optuna or tracking:
        note(f"its name and places stand in {place.study(spec.name).study_file}; a launch of that goes on with it")
    _tell_lost(spec)


def _tell_lost(spec: StudySpec) -> None:
    """Corpora that are not where the study looks for them."""
    from wordlength.search.disk.restore import corpus_paths

    if lost := [path for path in corpus_paths(spec) if not path.exists()]:
        where = ", ".join(map(str, lost))
        say(f"not here: {where}; launch, retrain and export need them (WORDLENGTH_DATA, or --data-root)")
