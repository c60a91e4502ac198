"""Links and paths on the pages lead somewhere."""

import re
from pathlib import Path

import pytest
from pages import REPOSITORY, pages

LINK = re.compile(r"\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]+))?\)")
PATH = re.compile(r"`((?:examples|docs|tests|benchmarks|cluster|wordlength|\.ci)/[\w./-]+)`")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def prose(page: str) -> str:
    return FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))


def anchors(file: Path) -> set[str]:
    """Anchors of a page's headings, as MkDocs makes them; a heading that is there twice gets a number."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text(encoding="utf-8")), flags=re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", words.encode("ascii", "ignore").decode()).strip().lower())
        found.append(f"{slug}_{found.count(slug)}" if slug in found else slug)
    return set(found)


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_files_and_headings(page: str) -> None:
    wrong = []
    for path, anchor in LINK.findall(prose(page)):
        file = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        generated = file.parent.name == "reference"  # tests/docs/test_site.py builds the site, and follows these.
        if not generated and (not file.exists() or (anchor and anchor not in anchors(file))):
            wrong.append(f"{path}#{anchor}")
    assert wrong == []


@pytest.mark.parametrize("page", pages())
def test_paths_of_the_repository_exist(page: str) -> None:
    assert [path for path in PATH.findall(prose(page)) if not (REPOSITORY / path).exists()] == []


def test_there_are_links_and_paths() -> None:
    assert sum(len(LINK.findall(prose(page))) for page in pages()) > 40
    assert sum(len(PATH.findall(prose(page))) for page in pages()) > 10
