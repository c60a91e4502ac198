"""What the shell offers after a tab: names of launched studies, study files, rules that pick a point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

RULES = {
    "knee": "the point of best balance",
    "best": "the best first objective",
    "smallest": "the least memory",
    "trial=": "a trial's number",
    "max-bytes=": "the best that fits, as 200kB",
}


def complete_study(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Names of the studies launched in the home folder that the line so far gives."""
    from wordlength.search.home import Home

    given = context.params.get("home")
    home = Home(Path(given).expanduser().absolute()) if given else Home.default()
    yield from (name for name in home.names() if name.startswith(incomplete))


def complete_study_file(incomplete: str) -> Iterator[str]:
    """Study files, and folders that may hold some."""
    folder, slash, start = incomplete.rpartition("/")
    for path in sorted(Path(f"{folder}{slash}" or ".").glob(f"{start}*")):
        if path.is_dir() and not path.name.startswith("."):
            yield f"{path}/"
        elif path.suffix in (".yaml", ".yml"):
            yield str(path)


def complete_any_study(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Launched studies, then study files."""
    yield from complete_study(context, incomplete)
    yield from complete_study_file(incomplete)


def complete_pick(incomplete: str) -> list[tuple[str, str]]:
    """Rules of `--pick`, each with what it means."""
    return [(rule, told) for rule, told in RULES.items() if rule.startswith(incomplete)]
