"""The navigation: a pattern stands for the pages it finds, and a page that is not there is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


def on_config(config: Any) -> Any:
    """MkDocs calls it once the configuration is read."""
    config.nav = present(config.nav, Path(config.docs_dir))
    return config


def present(nav: list[Any], docs: Path) -> list[Any]:
    """The entries whose pages are there; a section without any is left out, too."""
    entries: list[Any] = []
    named = [entry for entry in nav if isinstance(entry, str)]
    for entry in nav:
        if isinstance(entry, str) and "*" in entry:
            found = sorted(page.relative_to(docs).as_posix() for page in docs.glob(entry))
            entries += [page for page in found if page not in named]
        elif isinstance(entry, str):
            entries += [entry] if is_page(entry, docs) else []
        else:
            entries += _titled(entry, docs)
    return entries


def _titled(entry: dict[str, Any], docs: Path) -> list[Any]:
    ((title, below),) = entry.items()
    if isinstance(below, list):
        pages = present(below, docs)
        return [{title: pages}] if pages else []
    return [entry] if is_page(below, docs) else []


def is_page(page: str, docs: Path) -> bool:
    """Whether it is written, generated while the site is built, or a page of the repository outside docs/."""
    return page.startswith("reference/") or (docs / page).is_file() or (REPOSITORY / page).is_file()
