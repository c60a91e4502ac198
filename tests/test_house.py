"""The house's rules about size: one idea per file, functions that are seen at a glance."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Path from the root, text."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 10
    for file in files:
        yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def test_no_file_is_longer_than_400_lines() -> None:
    lines = {path: text.count("\n") for path, text in sources("wordlength", "tests", "benchmarks")}
    long = {path for path, count in lines.items() if count > MOST_LINES_OF_A_FILE}
    assert not long, {path: lines[path] for path in long}


def test_no_function_is_longer_than_40_lines() -> None:
    lines = {
        (path, node.name): node.end_lineno - node.lineno + 1
        for path, text in sources("wordlength", "benchmarks")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    long = {place for place, count in lines.items() if count > MOST_LINES_OF_A_FUNCTION}
    assert not long, {place: lines[place] for place in long}
