"""Every YAML block of the pages is a study file or a part of one, and is taken where it stands in a study file."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import REPOSITORY, Block, blocks, pages

from wordlength.errors import WordlengthError
from wordlength.search.study_file.spec import json_schema, parse_spec

BLOCKS = [block for page in pages() for block in blocks(page) if block.kind == "yaml"]
BUILTIN = [{"kind": "builtin"}]
BASES: list[dict[str, Any]] = [
    {"name": "page", "data": {"speech": BUILTIN, "noise": BUILTIN}},
    {
        "name": "page",
        "data": {"speech": BUILTIN, "noise": BUILTIN, "target": {"kind": "score"}},
        "model": "quality_cnn",
        "objectives": ["pearson_correlation", "memory_bytes"],
    },
]
"""What a page's part is put into: a study of masks, or of scores."""


def settings(block: Block) -> Iterator[dict[str, Any]]:
    """The block's content, one by one where it shows alternatives of the same key."""
    lines = block.text.splitlines()
    keys = [line.split(":")[0] for line in lines]
    if len(lines) > 1 and len(set(keys)) == 1:
        yield from (yaml.safe_load(line) for line in lines)
    else:
        yield yaml.safe_load(block.text)


def placed(part: dict[str, Any]) -> dict[str, Any]:
    """The part in its place: at the top, or below the one section that has its keys. Raises KeyError if none has."""
    schema = json_schema()
    places: dict[str, set[str]] = {"": set(schema["properties"])}
    for section, rule in schema["properties"].items():
        if "$ref" in rule:
            places[section] = set(schema["$defs"][rule["$ref"].rsplit("/", 1)[1]]["properties"])
    for place, keys in places.items():
        if set(part) <= keys:
            return {place: part} if place else part
    raise KeyError(f"no section of a study file has the keys {', '.join(part)}")


def merged(base: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The base with the part's keys, section by section."""
    changed = dict(base)
    for key, value in part.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        changed[key] = merged(base[key], value) if both else value
    return changed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study file of a page would lie: beside it the files that pages name."""
    folder = tmp_path_factory.mktemp("study")
    (function,) = (block for block in blocks("docs/your-model.md") if block.kind == "python")
    (folder / "net.py").write_text(function.text, encoding="utf-8")
    (folder / "loudness.py").write_text("def level(heard):\n    return 1.0\n", encoding="utf-8")
    (folder / "chip.py").write_text("def area(costed):\n    return 1.0\n", encoding="utf-8")
    for name in ("net.keras", "trained.keras"):
        shutil.make_archive(str(folder / name), "zip", folder, "net.py")
        (folder / f"{name}.zip").rename(folder / name)
    return folder / "study.yaml"


def refusals(part: dict[str, Any], study: Path) -> list[str]:
    """Why each base refuses the part; empty if one takes it."""
    told = []
    for base in BASES:
        try:
            parse_spec(yaml.safe_dump(merged(base, placed(part))), study)
        except WordlengthError as error:
            told.append(str(error))
        else:
            return []
    return told


@pytest.mark.parametrize("block", BLOCKS, ids=[block.place for block in BLOCKS])
def test_a_study_file_takes_it(block: Block, study: Path) -> None:
    assert {f"{block.place}: {told}" for part in settings(block) for told in refusals(part, study)} == set()


def test_there_are_as_many_as_a_reader_counts() -> None:
    assert len(BLOCKS) > 10


def test_what_no_study_file_takes_is_told(study: Path) -> None:
    with pytest.raises(KeyError, match="no section of a study file has the keys trails"):
        refusals({"trails": 3}, study)
    assert all("trials" in told for told in refusals({"search": {"trials": 0}}, study))
    assert len(refusals({"search": {"trials": 0}}, study)) == len(BASES)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "examples").rglob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_are_study_files(file: Path) -> None:
    assert parse_spec(file.read_text(encoding="utf-8"), file).name
