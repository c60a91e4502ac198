"""Every command that a page shows is one that its program takes; none is passed over."""

import importlib.util
import re
import tomllib
from fnmatch import fnmatchcase

import pytest
from not_run import NOT_RUN, STAND_INS
from pages import REPOSITORY, Command, blocks, commands, mentions, pages
from typed import refusal
from workshop import is_run

COMMANDS = [command for page in pages() for command in commands(page)]
MENTIONS = [command for page in pages() for command in mentions(page)]


def of(program: str) -> list[Command]:
    """Commands that run a program, wherever it lies."""
    return [command for command in COMMANDS if command.words[0].rsplit("/", 1)[-1] == program]


def test_there_are_as_many_as_a_reader_counts() -> None:
    """A block whose kind is mistaken would take its commands with it."""
    assert len(COMMANDS) > 80
    assert len(MENTIONS) > 20
    printed = [block for page in pages() for block in blocks(page) if block.kind == "printed"]
    hidden = [f"{block.place} {line}" for block in printed for line in block.text.splitlines() if _looks_typed(line)]
    assert hidden == []


def _looks_typed(line: str) -> bool:
    """`$ wordlength …` is typed; lines without a prompt that begin so are, too."""
    return bool(re.match(r"(wordlength|make|pip|python3?) [a-z-]+( |$)", line)) and ":" not in line


def test_wordlength_takes_them() -> None:
    wrong = [
        f"{command.place} {command.text}: {reason}"
        for command in of("wordlength")
        if (reason := refusal(command.words[1:]))
    ]
    assert wrong == []


def test_wordlength_has_what_prose_mentions() -> None:
    wrong = [
        f"{command.place} {command.text}: {reason}"
        for command in MENTIONS
        if (reason := refusal(command.words[1:], whole=False))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("front klein --plot", "requires an argument"),
        ("front klein --plots front.png", "No such option"),
        ("fronts klein", "no such command: fronts"),
        ("export klein --to best --vectors many", "valid integer"),
        ("export klein", "Missing option"),
        ("status klein nilsson", "unexpected extra argument"),
        ("--versions", "no such option"),
    ],
)
def test_what_it_does_not_take_is_told(line: str, reason: str) -> None:
    assert reason.lower() in refusal(line.split()).lower()


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    named = {command.place: word for command in of("make") for word in command.words[1:] if "-C" not in command.words}
    assert len(named) > 8
    assert {place: word for place, word in named.items() if word not in targets} == {}


def test_every_script_and_module_of_python_exists() -> None:
    scripts = [word for command in of("python") for word in command.words if word.endswith(".py")]
    assert scripts
    assert [
        script for script in scripts if not script.startswith("best/") and not (REPOSITORY / script).is_file()
    ] == []
    modules = re.findall(r"python -m (wordlength[\w.]+)", "".join(_texts()))
    assert modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_every_extra_that_pip_is_told_exists() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    named = {extra for text in _texts() for extra in re.findall(r"wordlength\[(\w+)\]", text)}
    assert named
    assert named <= set(extras)


def test_what_is_not_run_is_still_on_a_page() -> None:
    texts = [command.text for command in COMMANDS]
    assert [pattern for pattern in NOT_RUN if not any(fnmatchcase(text, pattern) for text in texts)] == []
    shown = "\n".join(texts + [block.text for page in pages() for block in blocks(page) if block.kind == "python"])
    assert [word for word in STAND_INS if not re.search(rf"\b{word}\b", shown)] == []


def test_most_of_them_are_run() -> None:
    """tests/docs/test_pages_run.py runs what the table does not name."""
    run = [command for command in COMMANDS if is_run(command)]
    assert len(run) > 50
    assert {command.words[0] for command in run} == {"wordlength", "make"}


def _texts() -> list[str]:
    return [(REPOSITORY / page).read_text(encoding="utf-8") for page in pages()]
