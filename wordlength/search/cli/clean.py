"""What lies on disk, and removing it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.search.cli.common import HomeOption, JsonFile, app, home_of, refuse, say, write_json
from wordlength.search.cli.loudness import console, switch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordlength.search.disk.item import Item
    from wordlength.search.home import Home


Removed = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="NAME", help="Remove this study; may be given more than once.", show_default=False),
]


@app.command()
def clean(
    study: Removed = None,
    caches: Annotated[bool, switch("--caches", help="Remove the caches that no other study uses.")] = False,
    all_caches: Annotated[bool, switch("--all-caches", help="Remove every cache; they are made again.")] = False,
    orphans: Annotated[bool, switch("--orphans", help="Remove what belongs to nothing any more.")] = False,
    yes: Annotated[bool, switch("--yes", help="Do not ask.")] = False,
    json_file: JsonFile = None,
    home: HomeOption = None,
) -> None:
    """What lies on disk: studies, caches, what belongs to nothing any more. Without options nothing is removed.

    What is to be removed is listed first, with sizes, and asked for. Nothing is removed that is in use.
    A study goes with its trials, its runs in MLflow and their artifacts. Cut off, the same command goes on.

    Examples:

        wordlength clean

        wordlength clean --study demo --caches --orphans
    """
    from wordlength.search.disk.cleaning import chosen
    from wordlength.search.disk.contents import look
    from wordlength.search.disk.tables import disk_figures, disk_tables

    place = home_of(home)
    disk = look(place)
    if json_file is not None:
        write_json(json_file, disk_figures(disk, place.root))
    if not (study or caches or all_caches or orphans):
        console.show(*disk_tables(disk, place.root))
        return
    items = chosen(disk, study or (), caches, all_caches, orphans)
    if not items:
        console.print("nothing to remove")
        return
    _ask(items, yes)
    _remove(items, place)


def _ask(items: Sequence[Item], yes: bool) -> None:
    """List what goes; go on only if that is wanted."""
    from wordlength.search.disk.tables import items_table, size_text

    total = size_text(sum(item.size_bytes for item in items))
    console.show(items_table("to be removed", items))
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(f"removing {total} must be confirmed, but there is no terminal to ask at; give --yes")
    if not typer.confirm(f"Remove these, {total}?"):
        console.print("nothing removed")
        raise typer.Exit(1)


def _remove(items: Sequence[Item], home: Home) -> None:
    from wordlength.search.disk.cleaning import remove
    from wordlength.search.disk.tables import size_text

    done = remove(items, home)
    for text in done.left:
        say(f"left: {text}")
    total = size_text(sum(item.size_bytes for item in done.removed))
    places = "1 place" if len(done.removed) == 1 else f"{len(done.removed)} places"
    console.print(f"removed: {places}, {total}", highlight=False)
