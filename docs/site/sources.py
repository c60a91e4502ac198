"""Files of the repository outside docs/ as pages of the site: those that pages link to or the navigation names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, InclusionLevel

REPOSITORY = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
"""A relative link's or image's target: path, anchor."""
HOMEPAGE = {"README.md": "docs/index.md"}
"""The README tells what the site's home tells."""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".c": "c", ".h": "c", ".toml": "toml", ".json": "json"}


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls it once it has found the pages; those of the repository's files come on top."""
    named = {path for path in _named(config.nav) if (REPOSITORY / path).is_file()}
    wanted = [path for path in named if not (REPOSITORY / "docs" / path).exists()]
    texts = [(f"docs/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    wanted += [path for place, text in texts for path in outside(place, text)]
    done: set[str] = set()
    while wanted:
        if (path := wanted.pop()) in done:
            continue
        done.add(path)
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        wanted += outside(path, text) if path.endswith(".md") else []
        level = InclusionLevel.INCLUDED if path in named else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, _page(path), content=_content(path, text), inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """MkDocs calls it with a page's text: its links out of docs/ go to the pages made here."""
    here = page.file.src_uri
    made = page.file.generated_by is not None and not here.startswith("reference/")
    return relinked(markdown, here if made else f"docs/{here}", here)


def relinked(text: str, place: str, page: str) -> str:
    """The text of the repository's file `place`, shown as the site's page `page`, with links that hold there."""

    def target(found: re.Match[str]) -> str:
        path = _resolved(place, found[1])
        if not (REPOSITORY / path).is_file():
            return found[0]  # MkDocs says what is wrong with it.
        path = HOMEPAGE.get(path, path)
        shown = path.removeprefix("docs/") if path.startswith("docs/") else _page(path)
        return os.path.relpath(shown, os.path.dirname(page) or ".") + (found[2] or "")

    return LINK.sub(target, text)


def outside(place: str, text: str) -> list[str]:
    """Files outside docs/ that the text of the repository's file `place` links to."""
    targets = [HOMEPAGE.get(path, path) for path in (_resolved(place, found[1]) for found in LINK.finditer(text))]
    return [path for path in targets if not path.startswith(("docs/", "..")) and (REPOSITORY / path).is_file()]


def _resolved(place: str, link: str) -> str:
    return os.path.normpath(PurePosixPath(place).parent / link)


def _page(path: str) -> str:
    """A Markdown file is a page as it is, any other one within a block of code."""
    return path if path.endswith(".md") else f"{path}.md"


def _content(path: str, text: str) -> str:
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n````{LANGUAGES.get(Path(path).suffix, 'text')}\n{text.rstrip()}\n````\n"


def _named(nav: Any) -> Iterator[str]:
    """Every page in the navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for below in nav.values():
            yield from _named(below)
    else:
        for entry in nav:
            yield from _named(entry)
