"""What the pages show: commands, Python, YAML, and what is neither, each with its file and line."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = (
    "wordlength",
    "make",
    "python",
    "python3",
    "python3.10",
    "python3.11",
    "pip",
    "ray",
    "sudo",
    "ssh",
    "export",
    ".",
)
"""First words by which a line of an indented block is known as a command; so is what lies in a folder bin/."""
_PYTHON = re.compile(r"(from|import|def|class|@)\b|[a-z_][a-z_.]*\(|[a-z_]+ = ")
_YAML = re.compile(r"[a-z_]+:( |$)")
_MENTION = re.compile(r"`(wordlength\s[^`]+)`")


@dataclass(frozen=True)
class Block:
    """One block of code: its kind (shell, python, yaml or printed), its text, and the headings it stands below."""

    page: str
    line: int
    kind: str
    text: str
    heading: str

    @property
    def place(self) -> str:
        """File and line, as errors are told."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command line as a reader types it, without its comment."""

    page: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """File and line, as errors are told."""
        return f"{self.page}:{self.line}"

    @property
    def words(self) -> list[str]:
        """The words of the program that is run, without what its output goes to."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="|>;&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("|>;&"):
                break
            words.append(word)
        return words

    @property
    def rest(self) -> str:
        """What its output goes to, as `> front.csv` or `| jq .knee`; empty for the terminal."""
        found = re.search(r"\s([|>].*)$", self.text)
        return found[1] if found and not self.text.count("'") % 2 else ""


def pages() -> list[str]:
    """Every page that a reader is given, the README first."""
    found = ["README.md", "CONTRIBUTING.md"]
    for pattern in ("docs/**/*.md", "examples/**/*.md"):
        found += sorted(path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob(pattern))
    assert len(found) == len(set(found)) > 20
    return found


def blocks(page: str) -> list[Block]:
    """The page's blocks of code, fenced or indented, in their order."""
    return list(_blocks(page, (REPOSITORY / page).read_text(encoding="utf-8").splitlines()))


def commands(page: str) -> list[Command]:
    """The command lines of the page's shell blocks, and of what is printed after a prompt."""
    return [command for block in blocks(page) for command in _commands(block)]


def mentions(page: str) -> list[Command]:
    """`wordlength …` within prose and tables: names of commands, with or without what else they take."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", lambda fence: "\n" * fence[0].count("\n"), text, flags=re.M | re.S)
    lines = ((prose.count("\n", 0, found.start()) + 1, found[1]) for found in _MENTION.finditer(prose))
    return [Command(page, line, " ".join(words.split())) for line, words in lines]


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    heading, number, before = "", 0, ""
    while number < len(lines):
        line = lines[number]
        if fence := re.match(r" *(`{3,})(\w*)", line):
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == fence[1])
            text = "\n".join(lines[number + 1 : end])
            yield Block(page, number + 2, _fenced(fence[2], text), text, heading)
            number = end
        elif line.startswith("    ") and not before.strip() and not _in_list(lines, number):
            end = _end_of_indented(lines, number)
            text = "\n".join(row[4:] for row in lines[number:end]).rstrip()
            yield Block(page, number + 1, _kind(text), text, heading)
            number = end - 1
        elif title := re.match(r"#+ (.*)", line):
            heading = title[1]
        before = lines[number]
        number += 1


def _in_list(lines: list[str], number: int) -> bool:
    """Whether an indented line goes on with a list's entry."""
    above = next((row for row in reversed(lines[:number]) if row.strip() and not row.startswith("  ")), "")
    return bool(re.match(r"([-*]|\d+\.) ", above)) and not lines[number].startswith("      ")


def _end_of_indented(lines: list[str], start: int) -> int:
    end = start
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    return end


def _fenced(language: str, text: str) -> str:
    known = {"sh": "shell", "bash": "shell", "console": "shell", "python": "python", "yaml": "yaml"}
    if language:
        return known.get(language, "printed")
    return "shell" if _is_command(text.splitlines()[0].strip()) else "printed"


def _kind(text: str) -> str:
    first = text.splitlines()[0]
    if _is_command(first):
        return "shell"
    return "yaml" if _YAML.match(first) else "python" if _PYTHON.match(first) else "printed"


def _is_command(line: str) -> bool:
    words = [word for word in line.removeprefix("$ ").split() if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    return bool(words) and (words[0] in PROGRAMS or "/bin/" in words[0])


def _commands(block: Block) -> Iterator[Command]:
    """Lines that begin as commands do, gone on with after a backslash; what else is there was printed by them."""
    number, lines = 0, block.text.splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    while number < len(lines):
        start, line = number, lines[number]
        while line.endswith("\\"):
            number += 1
            line = line[:-1].rstrip() + " " + lines[number].strip()
        number += 1
        shown = line.startswith("$ ") if prompted else block.kind == "shell" and _is_command(line)
        if shown:
            yield Command(block.page, block.line + start, _without_comment(line.removeprefix("$ ")))


def _without_comment(line: str) -> str:
    return re.sub(r"\s+#\s.*$", "", line).strip()
