"""reference/library.md: what `wordlength` and the rooms' packages export, from their docstrings and types."""

from __future__ import annotations

import importlib
from typing import Any

PAGE = "reference/library.md"
HEAD = """# From Python

What `import wordlength` offers, and below it what the rooms offer to who extends them. Made from the docstrings and
types in the code.
"""
ROOMS = {
    "wordlength.search": "Studies: launch, front, export",
    "wordlength.objectives": "What a candidate costs",
    "wordlength.space": "Formats, candidates, the search space",
    "wordlength.errors": "Errors",
}
"""Where the names of `wordlength` live → how their part of the page is called."""
PACKAGES = {
    "wordlength.space": "Room `wordlength.space`",
    "wordlength.objectives.audio": "Package `wordlength.objectives.audio`",
    "wordlength.objectives.goals": "Package `wordlength.objectives.goals`",
    "wordlength.objectives.models": "Package `wordlength.objectives.models`",
}
"""Packages whose `__all__` has more than `wordlength` does."""


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls it once it has found the pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The whole page: mkdocstrings' directives, a name each."""
    return HEAD + "".join(
        f"\n## {title}\n\n" + "".join(f"::: {name}\n\n" for name in names) for title, names in contents().items()
    )


def contents() -> dict[str, list[str]]:
    """Title → full names, where they are defined; every name once."""
    import wordlength

    homes = {name: module for module, names in wordlength._HOMES.items() for name in names}
    pages: dict[str, list[str]] = {}
    for room, title in ROOMS.items():
        pages[title] = [f"{homes[n]}.{n}" for n in wordlength.__all__ if homes[n].startswith(room)]
    for package, title in PACKAGES.items():
        names = sorted(set(importlib.import_module(package).__all__) - set(wordlength.__all__))
        pages[title] = [f"{package}.{name}" for name in names]
    return pages
