"""Functions of the user's own, in Python files that a study carries as text: what can be checked without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from wordlength.errors import WordlengthError


def require_function(source: str, function: str, file: Path, whose: str, error: type[WordlengthError]) -> None:
    """Raise `error` for text that is no Python or cannot define the function; nothing of it is run.

    `whose`: what the file is for, as `a network`.
    """
    try:
        tree = ast.parse(source, str(file))
    except (SyntaxError, ValueError) as problem:
        line, told = getattr(problem, "lineno", None), getattr(problem, "msg", None) or str(problem)
        place = f"{file}, line {line}" if line else f"{file}"
        raise error(f"{whose}'s file must be Python, but {told} ({place})") from None
    names, open_ended = _defined(tree)
    if function not in names and not open_ended:
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        has = f"its functions are {', '.join(functions)}" if functions else "it has none"
        raise error(f"{whose}'s file must define the function, but {function!r} is not there; {has} ({file})")


def imported_beside(source: str, file: Path) -> list[str]:
    """Files beside `file` that its text, which is Python, imports; paths from its folder on."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source, str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    places = (place for name in sorted(names) for place in (f"{name}.py", f"{name}/__init__.py"))
    return [place for place in places if (file.parent / place).is_file()]


def _defined(tree: ast.Module) -> tuple[set[str], bool]:
    """Names that the module may have, and whether there may be others: only running it would tell."""
    names: set[str] = set()
    open_ended = False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
            open_ended |= any(alias.name == "*" for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names, open_ended
