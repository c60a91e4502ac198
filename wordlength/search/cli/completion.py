"""What the shell offers after a tab: names of launched studies, study files, rules that pick a point."""

from __future__ import annotations

import glob
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

BASH = r"""
%(complete_func)s() {
    local IFS=$'\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(autocomplete_var)s=complete_bash $1 ) )
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
    if [[ ${#COMPREPLY[@]} -gt 0 ]]; then
        COMPREPLY=( $( printf '%%q\n' "${COMPREPLY[@]}" ) )
    fi
}

complete -o default -F %(complete_func)s %(prog_name)s
"""
"""Typer's own script leaves blanks in names unquoted, and puts one after `trial=` and folders."""


def use_bash_script() -> None:
    """Have --install-completion and --show-completion write our script; Typer has no public way to say that."""
    from typer import _completion_classes, _completion_shared

    _completion_shared._completion_scripts["bash"] = BASH
    _completion_classes.BashComplete.source_template = BASH


def complete_study(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Names of the studies launched in the home folder that the line so far gives."""
    from wordlength.paths import expanded
    from wordlength.search.home import Home

    given = context.params.get("home")
    home = Home(expanded(given).absolute()) if given else Home.default()
    yield from (name for name in home.names() if name.startswith(incomplete))


def complete_study_file(incomplete: str) -> Iterator[str]:
    """Study files, and folders that may hold some."""
    folder, slash, start = incomplete.rpartition("/")
    for path in sorted(Path(f"{folder}{slash}" or ".").glob(f"{glob.escape(start)}*")):
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
