"""docs/troubleshooting.md quotes messages that the sources have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "…"
"""What differs: a value in the sources, a gap in a quotation."""


def _text(node: ast.AST) -> str | None:
    """A string of the sources, or an f-string with gaps for its values."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in parts)
        case _:
            return None


def _strings() -> frozenset[str]:
    files = (ROOT / "wordlength").rglob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return frozenset(text for node in nodes if (text := _text(node)) is not None)


def _quotations() -> Iterator[str]:
    """What every item of a list begins with."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("- ") and not line.startswith("- **"):
            quoted = re.match(r"- `([^`]+)`: ", line)
            assert quoted, f"an item must begin with a quoted message, but got {line!r}"
            yield quoted[1]
        elif quoted := re.match(r"- \*\*`(.+?)`", line):
            yield quoted[1]


def _begins(message: str, quotation: str) -> bool:
    """Whether a message reads like that from its first letter on, some text in place of each gap."""
    pieces = [re.escape(piece) for piece in quotation.split(GAP)]
    return re.match(".*".join(pieces), message, re.DOTALL) is not None


STRINGS = _strings()
QUOTATIONS = tuple(_quotations())


def test_the_page_quotes_the_messages_met_most() -> None:
    assert len(QUOTATIONS) >= 40
    assert len(set(QUOTATIONS)) == len(QUOTATIONS)


@pytest.mark.parametrize("quotation", QUOTATIONS)
def test_a_quoted_message_is_in_the_sources(quotation: str) -> None:
    assert len(quotation.replace(GAP, "").strip()) >= 12, "so short a piece would be found anywhere"
    assert any(_begins(message, quotation) for message in STRINGS)


def test_a_message_that_is_not_there_is_found_out() -> None:
    assert not any(_begins(message, "a study must have been lunched, but …") for message in STRINGS)
    assert any(_begins(message, "a study must have been launched, but …") for message in STRINGS)
