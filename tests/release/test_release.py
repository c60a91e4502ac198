"""What can be seen of a release without building it; `make smoke` builds it, installs it and uses it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from wordlength.version import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    assert found
    return found


def steps(jobs: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every step with the make target of its run; empty in a job that has one target."""
    for job in jobs.values():
        for target in job["strategy"]["matrix"].get("target", [""]):
            yield from ((step, target) for step in job["steps"])


def test_everything_beside_the_sources_is_package_data() -> None:
    package = ROOT / "wordlength"
    globs = PROJECT["tool"]["setuptools"]["package-data"]["wordlength"]
    taken = {path for pattern in globs for path in package.glob(pattern)}
    beside = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert package / "py.typed" in beside
    assert taken == beside
    unused = [pattern for pattern in globs if not any(package.glob(pattern))]
    assert unused == []


def test_every_folder_with_sources_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "wordlength").rglob("*.py")}
    assert len(folders) > 10
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_version_is_told_once() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "wordlength.version.VERSION"}
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION


def test_the_pythons_of_ci_are_those_that_the_package_names(jobs: dict[str, Any]) -> None:
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    named = [text.split(" :: ")[-1] for text in PROJECT["project"]["classifiers"] if "Python :: 3." in text]
    assert pythons == named
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"


def test_ci_runs_targets_of_the_makefile(jobs: dict[str, Any]) -> None:
    commands = [step["run"].replace("${{ matrix.target }}", target) for step, target in steps(jobs) if "run" in step]
    asked = {words[1] for command in commands if (words := command.split())[0] == "make"}
    longer = {"test-studies", "test-docs", "test-fpga", "test-reliability", "test-browser"}
    assert asked == {"test", "smoke"} | longer
    targets = set(re.findall(r"^([\w-]+):", makefile(), re.MULTILINE))
    assert asked <= targets
    phony = re.search(r"^\.PHONY: (.*)$", makefile(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets


def test_every_run_of_ci_ends_by_itself(jobs: dict[str, Any]) -> None:
    assert all(0 < job["timeout-minutes"] <= 120 for job in jobs.values())
