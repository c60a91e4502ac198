"""The site is built without a warning, asks no other host for anything, and its references leave nothing out."""

import importlib.util
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from pages import REPOSITORY
from typed import refusal

import wordlength
from wordlength.search.study_file.spec import json_schema

MACHINERY = REPOSITORY / "docs" / "site"


def machinery(name: str) -> Any:
    """One of the files that make the site."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", MACHINERY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; building fails on a broken link or anchor, a page without a place, a name without a docstring."""
    pytest.importorskip("material", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(REPOSITORY)}
    built = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


def test_every_page_is_built(site: Path) -> None:
    written = [
        page.relative_to(REPOSITORY / "docs").with_suffix(".html") for page in (REPOSITORY / "docs").rglob("*.md")
    ]
    assert len(written) > 15
    made = [Path("reference") / f"{name}.html" for name in ("study-file", "commands", "library")]
    assert [page for page in written + made if not (site / page).is_file()] == []


def test_no_page_asks_another_host(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(https?:[^\" >]+)|<link[^>]*\shref=\"?(https?:[^\" >]+)"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [page.name for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
    styles = [
        style for style in site.rglob("*.css") if re.search(r"url\([\"']?https?:|@import", style.read_text("utf-8"))
    ]
    assert styles == []


@pytest.fixture(scope="module")
def keys() -> str:
    """The reference of the study file's keys."""
    return str(machinery("study_file").reference())


def test_every_key_of_a_study_file_has_an_anchor(keys: str) -> None:
    schema = json_schema()
    named = set(schema["properties"]) | {key for one in schema["$defs"].values() for key in one.get("properties", ())}
    assert len(named) > 60
    assert [key for key in named if not re.search(rf"^\| \**\[?`{key}`", keys, flags=re.M)] == []
    anchors = re.findall(r"\{ #([\w-]+) \}", keys)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([\w-]+)\)", keys)) <= set(anchors)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("training-batch_size", "whole number<br>1 to 65,536<br>default `128`"),
        ("training-learning_rate", "number<br>above 0, at most 1<br>default `0.001`"),
        ("data-snr_db", "list: number<br>-60 to 60<br>default `[0.0]`"),
        ("search-trials", "whole number<br>1 to 1,000,000<br>default `50`"),
        ("space-weights-fixed-bits", "2 × whole number<br>1 to 32"),
        ("data-target-segment_seconds", "number<br>0.1 to 60"),
        ("search-sampler", 'text<br>`tpe`, `nsga2`, `random`<br>default `"tpe"`'),
        ("search-uniform-biases", "default `fixed<16,2>`"),
    ],
)
def test_what_a_key_may_be_is_told(keys: str, key: str, told: str) -> None:
    """Ranges come from the schema, or from what the settings' classes refuse."""
    (row,) = re.findall(rf"^\|[^|]*#{key} \}}[^|]*\|([^|]*)\|", keys, flags=re.M)
    assert told in row


def test_every_command_is_there_with_its_options_and_examples_that_parse() -> None:
    commands = machinery("commands")
    text, found = commands.reference(), dict(commands.commands())
    assert len(found) > 18
    examples = 0
    for name, command in found.items():
        assert f"\n## {name}\n" in text
        for option in (option for one in command.params for option in one.opts if option.startswith("--")):
            assert f"`{option}`" in text
        for line in re.findall(r"^ {4,}wordlength (.*)$", command.help, flags=re.M):
            assert refusal(line.split(" |")[0].split(" >")[0].split()) == "", f"{name}: {line}"
            examples += 1
    assert examples > 25


def test_every_public_name_is_there(site: Path) -> None:
    page = unescape((site / "reference" / "library.html").read_text(encoding="utf-8"))
    ids = set(re.findall(r"id=\"?wordlength\.([\w.]+)", page))
    assert {name for name in wordlength.__all__ if not any(place.endswith(f".{name}") for place in ids)} == set()
